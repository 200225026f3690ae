"""The gates as a command.

    python -m gates check                      measure, compare with what is stored
    python -m gates accept --reason "why"      measure, store, record the reason
    python -m gates same-environment           exit code 0 when the stored figures are of this environment

Exit code 1 when a gate failed.  What cannot be measured here is said, counted
in the closing line, and fails nothing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TypeVar

from gates import comparison, counting, stored
from gates.cells import CELLS, Cell, cell_named
from gates.comparison import FAILED, NOT_COMPARED, Figures, Verdict
from gates.environment import describe_environment, differences, kind_of_processor
from gates.process import NotMeasured, Stores, make_stores
from gates.ratios import measure_ratios
from gates.stored import Stored

PROFILES = Path("build") / "gates"

KINDS = ("instructions", "calls", "ratio")

ATTEMPTS = 3
"""How often what fails is measured: a machine that is busy for half a minute fails nothing."""

RATIO_RUNS = 3
"""How many ratios are accepted as one, by their median: processes started anew differ by a tenth."""

T = TypeVar("T")


class Measurement:
    """What was measured of some cells, and what could not be."""

    def __init__(
        self, kinds: Sequence[str], cells: Sequence[Cell], processor: str, ratio_runs: int = 1
    ) -> None:
        self.cells, self._processor = cells, processor
        self.not_measured: dict[str, str] = {}
        self._instructions: dict[str, float] = {}
        self._calls: dict[str, dict[str, float]] = {}
        self._ratios: dict[str, float] = {}
        if "calls" in kinds:
            self._calls = self._measured("calls", counting.count_calls) or {}
        if "ratio" in kinds:
            runs = [self._measured("ratio", _ratios_over) or {} for _ in range(ratio_runs)]
            self._ratios = {name: median(run[name] for run in runs) for name in runs[0] if all(runs)}
        if "instructions" in kinds:
            self._instructions = self._measured("instructions", counting.count_instructions) or {}

    def figures(self, cell: Cell) -> Figures:
        """Return what was measured of a cell."""
        name = cell.name
        ratios = {self._processor: self._ratios[name]} if name in self._ratios else {}
        return Figures(self._instructions.get(name), self._calls.get(name), ratios)

    def _measured(self, kind: str, measure: Callable[[Stores, Sequence[Cell], Path], T]) -> T | None:
        """Measure over stores of its own: what is there already costs less to write."""
        began = time.monotonic()
        profiles = PROFILES / kind
        shutil.rmtree(profiles, ignore_errors=True)
        profiles.mkdir(parents=True)
        try:
            with tempfile.TemporaryDirectory(prefix="sidegate-gates-") as directory:
                found = measure(make_stores(Path(directory)), self.cells, profiles)
        except NotMeasured as problem:
            self.not_measured[kind] = str(problem)
            return None
        print(f"measured {kind}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        return found


def _ratios_over(stores: Stores, cells: Sequence[Cell], _profiles: Path) -> dict[str, float]:
    return measure_ratios(stores, cells)


def main(arguments: Sequence[str], folder: Path = stored.FOLDER) -> int:
    """Check or accept, as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m gates", description=__doc__)
    parser.add_argument("command", choices=("check", "accept", "same-environment"))
    parser.add_argument(
        "--base", type=Path, help="what scripts/measure_base.sh wrote: a commit, measured here"
    )
    parser.add_argument("--reason", default="", help="why the figures may change; needed by accept")
    parser.add_argument("--only", choices=KINDS, action="append", help="measure this only")
    parser.add_argument("--cell", action="append", type=_cell, metavar="NAME", help="measure this cell only")
    options = parser.parse_args(arguments)
    kinds, cells = tuple(options.only or KINDS), tuple(options.cell or CELLS)
    if options.command == "same-environment":
        return 1 if differences(stored.load(folder).environment, describe_environment()) else 0
    if options.command == "check":
        return check(kinds, cells, reference(folder, options.base))
    if not options.reason.strip():
        parser.error('accept needs a reason: make bench-accept REASON="why the figures may change"')
    return accept(options.reason.strip(), kinds, cells, folder)


def reference(folder: Path, base: Path | None) -> Stored:
    """Return what to compare with: what is stored, as another commit says that it is here."""
    known = stored.load(folder)
    if base is None or not base.exists():
        return known
    return stored.translated(known, stored.load(base / "stored"), stored.load(base / "measured"))


def _cell(name: str) -> Cell:
    try:
        return cell_named(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def check(kinds: Sequence[str], cells: Sequence[Cell], known: Stored) -> int:
    """Compare; what fails is measured again, up to three times in all, and the best counts."""
    environment = describe_environment()
    processor = kind_of_processor(environment)
    first = Measurement(kinds, cells, processor)
    measured = {cell.name: first.figures(cell) for cell in cells}
    verdicts = judge(known, environment, cells, measured, first.not_measured)
    for _ in range(ATTEMPTS - 1):
        failed = {verdict.cell for verdict in verdicts if verdict.outcome == FAILED}
        if not failed:
            break
        print(f"once more: {', '.join(sorted(failed))}", file=sys.stderr, flush=True)
        # All cells of that kind, for some leave warm what others find.
        again = Measurement(failed_kinds(verdicts), cells, processor)
        for cell in cells:
            measured[cell.name] = comparison.better_of(measured[cell.name], again.figures(cell))
        verdicts = judge(known, environment, cells, measured, first.not_measured)
    for line in comparison.report(verdicts):
        print(line)
    return 1 if any(verdict.outcome == FAILED for verdict in verdicts) else 0


def judge(
    known: Stored,
    environment: dict[str, str],
    cells: Sequence[Cell],
    measured: dict[str, Figures],
    not_measured: dict[str, str],
) -> list[Verdict]:
    """Return the verdicts on all that was measured, and on what was not."""
    other = "; ".join(differences(known.environment, environment)) if known.cells else ""
    verdicts = [Verdict(kind, "all", NOT_COMPARED, why) for kind, why in not_measured.items()]
    for cell in cells:
        was, now = known.figures(cell.name), measured[cell.name]
        if now.instructions is not None and other:
            verdicts.append(
                Verdict(comparison.INSTRUCTIONS, cell.name, NOT_COMPARED, f"other environment: {other}")
            )
        elif now.instructions is not None:
            hint = f"callgrind_annotate {PROFILES}/instructions/{counting.profile_name(cells, cell.name)}"
            verdicts.append(
                comparison.judge_instructions(cell.name, was.instructions, now.instructions, hint)
            )
        if now.calls is not None:
            verdicts += comparison.judge_calls(cell.name, was, now, cell.calls_allowed)
        if now.ratios:
            processor = kind_of_processor(environment)
            verdicts.append(comparison.judge_ratio(cell.name, was.ratio_on(processor), now.ratios[processor]))
    return verdicts


def failed_kinds(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Return what has to be measured again."""
    gates = {verdict.gate for verdict in verdicts if verdict.outcome == FAILED}
    of_gate = {comparison.SYNC_CALLS: "calls", comparison.CALLS: "calls"}
    return tuple({of_gate.get(gate, gate): None for gate in sorted(gates)})


def accept(reason: str, kinds: Sequence[str], cells: Sequence[Cell], folder: Path) -> int:
    """Store what is measured now, and why that is right."""
    was, environment = stored.load(folder), describe_environment()
    # Calls are the same in every environment, and ratios are kept by processor.
    elsewhere = was.cells and "instructions" in kinds and differences(was.environment, environment)
    if elsewhere and set(cells) != set(CELLS):
        print(
            "gates: the stored instructions are of another environment: accept all cells, not some, "
            "or with --only ratio",
            file=sys.stderr,
        )
        return 1
    found = Measurement(kinds, cells, kind_of_processor(environment), RATIO_RUNS)
    if found.not_measured:
        for kind, why in found.not_measured.items():
            print(f"gates: nothing is stored, for {kind} cannot be measured here: {why}", file=sys.stderr)
        return 1
    kept = was.environment if was.cells and "instructions" not in kinds else environment
    now = Stored(kept, {cell.name: was.figures(cell.name) for cell in CELLS})
    for cell in cells:
        now.cells[cell.name] = now.figures(cell.name).updated(found.figures(cell))
    stored.save(now, folder)
    stored.note_reason(reason, datetime.now(UTC).date().isoformat(), was, now, folder)
    for line in stored.changes(was, now):
        print(line)
    print(f"gates: {len(cells)} cells are stored; commit bench/gates with the change that they belong to")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

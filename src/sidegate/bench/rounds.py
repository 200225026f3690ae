"""Measuring: each cell, round after round, the servers in turn.

Rounds of different servers alternate, and so do those of cells that are held against
each other; every other round goes backwards, so that what changes on the machine meanwhile
meets all of them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sidegate.bench.cells import Cell, taking_turns
from sidegate.bench.client_limits import fault_of
from sidegate.bench.corpus import Scale
from sidegate.bench.kinds import work_of
from sidegate.bench.results import Result, Sample
from sidegate.bench.target import Target
from sidegate.bench.work import Work
from sidegate.bench.wrong_answers import claims_success, shown_example
from sidegate.errors import SidegateError
from sidegate.native.exchange import Exchange, Rhythm, Tally

T = TypeVar("T")
WARMING_SHARE = 0.25
_SPARE_BYTES = 16 << 20
"""A disk with less room than this, and than what is asked of a server at once, is as good as full."""
WITHOUT_LIMIT = 1 << 40


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured; `connections` None: as many as the cell says."""

    scale: Scale
    duration_seconds: float = 2.0
    rounds: int = 3
    connections: int | None = None
    poll: bool = False
    patience_seconds: float = 5.0
    """How long answers that are under way at the end of a round are waited for."""

    def rhythm(self, share: float = 1.0) -> Rhythm:
        """Return how long a round lasts."""
        seconds = self.duration_seconds * share
        return Rhythm(seconds, WITHOUT_LIMIT, self.patience_seconds, self.poll)


class Side(Protocol):
    """What takes its turn in a cell: a server, or what its rate is held against."""

    def in_turn(self, step: Callable[[], T]) -> T:
        """Take a step while the others rest."""

    def begin(self) -> bool:
        """Make ready and warm up; whether there are to be rounds."""

    def round(self) -> None:
        """Make one round and keep its sample."""

    def end(self) -> None:
        """Compare a sample in full."""

    def close(self) -> None:
        """Give back what is open."""

    def found(self) -> Iterable[Result]:
        """Return what was found; nothing where this takes no part in the cell."""


Ceiling = Callable[[Cell], Side | None]
"""Makes a side of what no server in a cell can surpass, where there is such a thing."""


def measure(
    cells: Sequence[Cell],
    targets: Sequence[Target],
    settings: Settings,
    tell: Callable[[str], None],
    *,
    ceiling: Ceiling | None = None,
) -> list[Result]:
    """Measure every cell on every server that has it; what a server does wrong is in the results."""
    found: list[Result] = []
    for group in taking_turns(cells):
        tell("; ".join(cell.title_at(settings.scale) for cell in group))
        sides: list[Side] = []
        for cell in group:
            parts = [cell, *(other for other in cells if other.part_of == cell.name)]
            sides += [_Server(parts, target, settings, is_alone=len(targets) == 1) for target in targets]
            limit = ceiling(cell) if ceiling is not None else None
            sides += [limit] if limit is not None else []
        found += _take_turns(sides, settings.rounds)
    places = {cell.name: place for place, cell in enumerate(cells)}
    return sorted(found, key=lambda result: places[result.cell.part_of or result.cell.name])


class _Server:
    """One server's part in a cell."""

    def __init__(
        self, cells: Sequence[Cell], target: Target, settings: Settings, *, is_alone: bool = False
    ) -> None:
        """`is_alone`: no other server has a turn after it."""
        self._settings = settings
        self._is_alone = is_alone
        self._connections = settings.connections or cells[0].connections
        self.target = target
        self.work: Work | None = None
        self.results = {
            cell.name: Result(cell, target.label, settings.scale, self._connections) for cell in cells
        }
        self.whole = self.results[cells[0].name]

    def in_turn(self, step: Callable[[], T]) -> T:
        """Take a step while the other servers rest."""
        if self._is_alone:
            return step()
        with self.target.awake():
            return step()

    def begin(self) -> bool:
        """Prepare, check a sample, warm up; whether there are to be rounds."""
        cell = self.whole.cell
        try:
            self.work = work_of(cell, self.target, self._settings.scale, self._connections)
            if self.work is None:
                return False
            self.work.prepare(self._settings.duration_seconds * WARMING_SHARE)
            tallies = self._run(self.work, WARMING_SHARE)
            self.work.give_back()
        except SidegateError as error:
            self._refuse(error)
            return False
        if tallies[cell.name].answered == 0:
            self._note(tallies, None, None)
            return False
        for result, tally in self._of_results(tallies):
            result.warming_failures += tally.failed + tally.unanswered
            _show(result, tally, self.work.asked)
        return True

    def _run(self, work: Work, share: float = 1.0) -> dict[str, Tally]:
        tallies = work.run(self._settings.rhythm(share))
        if any(tally.failed or tally.unanswered for tally in tallies.values()):
            self._look_at_disk()
        return tallies

    def _refuse(self, error: SidegateError) -> None:
        """There are no more rounds; raises ClientExhausted: there are none for anybody."""
        self.whole.refused = fault_of(error)
        self._look_at_disk()

    def _look_at_disk(self) -> None:
        """Note that the disk is full, of which few servers say a word: before what was written is removed."""
        asked_bytes = self._connections * self.whole.cell.moved_bytes(self._settings.scale)
        hint = self.target.lacks_room(_SPARE_BYTES + asked_bytes)
        for result in self.results.values() if hint else ():
            result.hint = hint

    def round(self) -> None:
        """Make one round and keep its sample."""
        process = self.target.process
        try:
            if self.work is None or self.whole.refused:
                return
            self.work.prepare(self._settings.duration_seconds)
            if process is not None:
                process.forget_peak()
            before = process.cpu_seconds() if process is not None else 0.0
            tallies = self._run(self.work)
            cpu_seconds = process.cpu_seconds() - before if process is not None else None
        except SidegateError as error:
            self._refuse(error)
            return
        self._note(tallies, cpu_seconds, process.resident_bytes() if process is not None else None)
        self.work.give_back()

    def end(self) -> None:
        """Compare a sample in full."""
        try:
            if self.work is not None and self.whole.samples and not self.whole.refused:
                self.whole.wrong += self.work.verify()
                if self.whole.wrong:
                    self._look_at_disk()
                self.work.give_back()
        except SidegateError as error:
            self.whole.wrong.append(fault_of(error))

    def close(self) -> None:
        """Give back what the work opened."""
        if self.work is not None:
            try:
                self.work.close()
            except SidegateError as error:
                self.whole.wrong.append(fault_of(error))
            self.work.remove()

    def found(self) -> Iterable[Result]:
        """Return what was found; nothing where the server does not have the cell."""
        return self.results.values() if self.work is not None or self.whole.refused else ()

    def _of_results(self, tallies: dict[str, Tally]) -> Iterator[tuple[Result, Tally]]:
        return ((self.results[name], tally) for name, tally in tallies.items() if name in self.results)

    def _note(self, tallies: dict[str, Tally], cpu_seconds: float | None, resident: int | None) -> None:
        for result, tally in self._of_results(tallies):
            is_whole = result is self.whole
            busy = max(0.0, 1 - tally.idle_seconds / tally.seconds) if tally.seconds else None
            result.samples.append(
                Sample(
                    tally.seconds,
                    tally.answered,
                    tally.failed,
                    tally.unanswered,
                    busy if is_whole and tally.idle_seconds else None,
                    cpu_seconds if is_whole and result.cell.operation != "assemble" else None,
                    resident,
                )
            )
            result.histograms.append(tally.latencies)
            _show(result, tally, self.work.asked if self.work is not None else ())


def _show(result: Result, tally: Tally, asked: Sequence[Exchange]) -> None:
    """Keep the first three wrong answers of a cell as examples."""
    result.false = result.false or any(claims_success(answer) for _, answer in tally.examples)
    shown = [shown_example(answer, asked[position]) for position, answer in tally.examples]
    result.examples += shown[: max(0, 3 - len(result.examples))]


def _take_turns(sides: Sequence[Side], rounds: int) -> list[Result]:
    with ExitStack() as stack:
        for side in sides:
            stack.callback(side.in_turn, side.close)
        ready = [side for side in sides if side.in_turn(side.begin)]
        for number in range(rounds):
            for side in reversed(ready) if number % 2 else ready:
                side.in_turn(side.round)
        for side in ready:
            side.in_turn(side.end)
    return [result for side in sides for result in side.found()]

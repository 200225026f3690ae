"""What was stored beside what is measured: held, better, failed, or not compared.

Pure: figures in, verdicts out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gates.counting import SYNCS

INSTRUCTIONS, CALLS, SYNC_CALLS, RATIO = "instructions", "system calls", "syncs", "ratio"

INSTRUCTIONS_ALLOWED = 0.03
CALLS_ALLOWED = 0.5
"""Of one more call in each request, half is already too much; what varies is below 0.2."""

SYNCS_ALLOWED = 0.1
RATIO_KEPT = 0.70
"""CPU times on a shared machine vary by a tenth or two, also in pairs."""

HELD, BETTER, FAILED, NOT_COMPARED = "held", "better", "FAILED", "not compared"

ACCEPT = 'if it is meant: make bench-accept REASON="why"'


@dataclass(frozen=True, slots=True)
class Figures:
    """What one cell costs: instructions, system calls by name, the yardstick's CPU time to ours.

    Ratios are by kind of processor, for an Intel has a quarter less than an AMD with
    the same instructions.  None, and a kind that is not there: not measured, or not stored.
    """

    instructions: float | None = None
    calls: Mapping[str, float] | None = None
    ratios: Mapping[str, float] = field(default_factory=dict)

    def ratio_on(self, processor: str) -> float | None:
        """Return that of a kind of processor; of one not met before the least: the gate is wide there."""
        return self.ratios.get(processor, min(self.ratios.values(), default=None))

    @property
    def call_count(self) -> float | None:
        """All system calls."""
        return None if self.calls is None else sum(self.calls.values())

    @property
    def sync_count(self) -> float | None:
        """Those that wait for the disk."""
        return None if self.calls is None else sum(self.calls.get(name, 0.0) for name in SYNCS)

    def updated(self, newer: Figures) -> Figures:
        """Return these with what was measured anew."""
        return Figures(
            self.instructions if newer.instructions is None else newer.instructions,
            self.calls if newer.calls is None else newer.calls,
            {**self.ratios, **newer.ratios},
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate says of one cell."""

    gate: str
    cell: str
    outcome: str
    text: str


def judge_instructions(cell: str, was: float | None, now: float, hint: str = "") -> Verdict:
    """Judge the instructions of a round."""
    if was is None:
        return _unknown(INSTRUCTIONS, cell, _grouped(now))
    change = now / was - 1
    text = f"was {_grouped(was)}, is {_grouped(now)} a round: {change:+.1%}"
    if change > INSTRUCTIONS_ALLOWED:
        advice = f"allowed {INSTRUCTIONS_ALLOWED:+.0%}; where: {hint or 'callgrind_annotate'}; {ACCEPT}"
        return Verdict(INSTRUCTIONS, cell, FAILED, f"{text}, {advice}")
    return Verdict(INSTRUCTIONS, cell, BETTER if change < -INSTRUCTIONS_ALLOWED else HELD, text)


def judge_calls(cell: str, was: Figures, now: Figures, allowed: float = CALLS_ALLOWED) -> list[Verdict]:
    """Judge the system calls of a round, all of them and those that sync."""
    counted = (
        (CALLS, was.call_count, now.call_count, allowed),
        (SYNC_CALLS, was.sync_count, now.sync_count, SYNCS_ALLOWED),
    )
    return [
        _judge_count(gate, cell, before, after, more, _grown(was.calls or {}, now.calls or {}))
        for gate, before, after, more in counted
        if after is not None
    ]


def judge_ratio(cell: str, was: float | None, now: float) -> Verdict:
    """Judge the CPU time of the yardstick to ours."""
    if was is None:
        return _unknown(RATIO, cell, f"{now:.1%}")
    change = now / was - 1
    text = f"was {was:.1%}, is {now:.1%} of the yardstick: {change:+.0%}"
    if now < was * RATIO_KEPT:
        advice = f"{RATIO_KEPT - 1:+.0%} is allowed; where: profile the server with py-spy or perf; {ACCEPT}"
        return Verdict(RATIO, cell, FAILED, f"{text}, {advice}")
    return Verdict(RATIO, cell, BETTER if now * RATIO_KEPT > was else HELD, text)


def better_of(one: Figures, other: Figures) -> Figures:
    """Return the better of two measurements of a cell, figure by figure."""
    return Figures(
        _least(one.instructions, other.instructions),
        min((f.calls for f in (one, other) if f.calls is not None), key=_weight, default=None),
        {
            kind: max(f.ratios[kind] for f in (one, other) if kind in f.ratios)
            for kind in {*one.ratios, *other.ratios}
        },
    )


def report(verdicts: Iterable[Verdict]) -> list[str]:
    """Return a line for each verdict, the failed ones last, and the closing line."""
    last = {FAILED: 2, NOT_COMPARED: 1}
    ordered = sorted(verdicts, key=lambda verdict: last.get(verdict.outcome, 0))
    lines = [f"{v.outcome:<13} {v.gate:<13} {v.cell + ':':<22} {v.text}" for v in ordered]
    return [*lines, closing_line(ordered)]


def closing_line(verdicts: Iterable[Verdict]) -> str:
    """Return how many held, failed, and were not compared."""
    found = Counter(verdict.outcome for verdict in verdicts)
    better = f" ({found[BETTER]} of them better: make bench-accept keeps that)" if found[BETTER] else ""
    return (
        f"gates: {found[HELD] + found[BETTER]} held{better}, {found[FAILED]} failed, "
        f"{found[NOT_COMPARED]} not compared"
    )


def _judge_count(gate: str, cell: str, was: float | None, now: float, allowed: float, grown: str) -> Verdict:
    if was is None:
        return _unknown(gate, cell, f"{now:g}")
    text = f"was {was:g}, is {now:g} a round"
    if was:
        text += f": {now / was - 1:+.1%}"
    if now > was + allowed:
        return Verdict(gate, cell, FAILED, f"{text}, allowed +{allowed:g}; more of: {grown}; {ACCEPT}")
    return Verdict(gate, cell, BETTER if now < was - allowed else HELD, text)


def _grown(was: Mapping[str, float], now: Mapping[str, float]) -> str:
    grown = {name: count - was.get(name, 0.0) for name, count in now.items()}
    return ", ".join(f"{name} {more:+g}" for name, more in sorted(grown.items()) if more > SYNCS_ALLOWED)


def _unknown(gate: str, cell: str, now: str) -> Verdict:
    return Verdict(gate, cell, NOT_COMPARED, f"is {now}, and nothing is stored; make bench-accept stores it")


def _grouped(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ")


def _least(*figures: float | None) -> float | None:
    return min((figure for figure in figures if figure is not None), default=None)


def _weight(calls: Mapping[str, float]) -> tuple[float, float]:
    return sum(calls.get(name, 0.0) for name in SYNCS), sum(calls.values())

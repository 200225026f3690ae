"""What must be reached, and whether it is.

A literal table, and how a result is held against it: as a share of the bare
server, as a multiple of the best peer, of another cell, of the codec, of the same
read of a commit, or as a value of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sidegate.bench.results import Result, are_wrong, cpu_ratio, find, ratio, ratio_bounds

OURS: Final = "sidegate"
OURS_DURABLE: Final = "sidegate, durable"
OURS_SERVE: Final = "sidegate serve"
OURS_COMMIT: Final = "sidegate serve, a commit"
BARE: Final = "bare"
BARE_WRITES: Final = "bare, writes"
BARE_OVERWRITES: Final = "bare, overwrites"
CODEC: Final = "zstd"

NOT_COMPARED: Final = "not compared"
DISTURBED: Final = "disturbed"
"""The verdict where rounds are uneven, and some reach the goal while others do not."""
WRONG: Final = "wrong"
"""The verdict, and the ratio, where either side gave wrong answers: how fast they came says nothing."""

Kind = Literal["bare", "peer", "value", "cell", "codec", "commit"]


@dataclass(frozen=True, slots=True)
class Goal:
    """One condition on one cell: at least `bound`; a `value` in ms is at most that.

    `by_cpu`: what counts is not the rate but the CPU time for a request, because
    the load that belongs to the cell takes the client's core from it.
    """

    cell: str
    kind: Kind
    bound: float
    label: str = OURS
    other: str = ""
    by_cpu: bool = False


GOALS: Final = (
    Goal("head", "bare", 0.45),
    Goal("head", "peer", 2.5),
    Goal("get-4k", "bare", 0.45),
    Goal("get-4k", "peer", 4.0),
    Goal("range-64k", "bare", 0.60),
    Goal("range-64k", "peer", 3.0),
    Goal("range-1m", "bare", 0.70),
    Goal("range-1m", "peer", 1.3),
    Goal("get-8m", "bare", 0.70),
    Goal("get-8m", "peer", 1.3),
    Goal("get-64m", "bare", 0.70),
    Goal("get-64m", "peer", 1.3),
    Goal("list-1000", "value", 2000.0),
    Goal("list-1000-of-1m", "value", 2000.0),
    Goal("list-folders", "value", 5000.0),
    Goal("put-4k", "value", 10_000.0),
    Goal("put-4k", "value", 5_000.0, OURS_DURABLE),
    Goal("put-1m", "bare", 0.45),
    Goal("put-1m", "peer", 2.5),
    Goal("put-64m", "bare", 0.45),
    Goal("put-64m", "peer", 2.5),
    Goal("put-1m-sha256", "cell", 0.70, other="put-1m"),
    Goal("put-64m-sha256", "cell", 0.70, other="put-64m"),
    Goal("put-1m-chunked", "cell", 0.90, other="put-1m"),
    Goal("put-64m-chunked", "cell", 0.90, other="put-64m"),
    Goal("multipart-64m", "peer", 2.5),
    Goal("complete-64m", "value", 2.0),
    Goal("complete-5g", "value", 2.0),
    Goal("copy-64m", "value", 1.0),
    Goal("copy-5g", "value", 1.0),
    Goal("part-copy-64m", "value", 1.0),
    Goal("csv-put-64m", "codec", 0.75),
    Goal("csv-get-64m", "codec", 0.75),
    Goal("get-4k-open", "commit", 0.80, OURS_SERVE, by_cpu=True),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal held against results; `by_cpu` is the same comparison of CPU time.

    `bounds` is what single rounds would give, where rounds of either side are uneven.
    """

    goal: Goal
    ours: Result
    other: Result | None
    reached: float | None
    by_cpu: float | None
    bounds: tuple[float, float] | None = None

    @property
    def is_reached(self) -> bool | None:
        """Whether the goal is reached; None with nothing to compare, or when rounds contradict each other."""
        if self.reached is None:
            return None
        found = {self._suffices(value) for value in self.bounds or (self.reached,)}
        return found.pop() if len(found) == 1 else None

    @property
    def word(self) -> str:
        """Say it."""
        if are_wrong(self.ours, self.other):
            return WRONG
        if self.is_reached is None:
            return NOT_COMPARED if self.reached is None else DISTURBED
        return "reached" if self.is_reached else "NOT reached"

    def _suffices(self, value: float) -> bool:
        if self.goal.kind == "value" and self.ours.cell.unit == "ms":
            return value <= self.goal.bound
        return value >= self.goal.bound

    def wanted(self) -> str:
        """Say what must be reached."""
        bound, kind = self.goal.bound, self.goal.kind
        if kind == "value":
            sign = "≤" if self.ours.cell.unit == "ms" else "≥"
            return f"{sign} {bound:g} {self.ours.cell.unit}"
        if kind == "peer":
            return f"≥ {bound:g}x best peer"
        against = {"bare": "bare", "cell": self.goal.other, "codec": "codec", "commit": "a commit"}[kind]
        return f"≥ {bound:.0%} of {against}{', by CPU' if self.goal.by_cpu else ''}"


def judge(results: Sequence[Result], peers: Iterable[str]) -> list[Verdict]:
    """Hold the goals against what was measured; `peers` are the labels of the others."""
    labels = list(peers)
    found = []
    for goal in GOALS:
        ours = find(results, goal.cell, goal.label)
        if ours is None:
            continue
        if goal.kind == "value":
            reached = None if ours.is_wrong else ours.value
            found.append(Verdict(goal, ours, None, reached, None, _value_bounds(ours)))
            continue
        other = _other(goal, results, labels)
        by_rate, by_cpu = ratio(ours, other), cpu_ratio(ours, other)
        bounds = ratio_bounds(ours, other, by_cpu=goal.by_cpu) if is_doubtful(ours, other) else None
        found.append(Verdict(goal, ours, other, by_cpu if goal.by_cpu else by_rate, by_cpu, bounds))
    return found


def is_doubtful(*results: Result | None) -> bool:
    """Whether the rounds of any of them are uneven, so that a ratio of both says little."""
    return any(result is not None and result.is_uneven for result in results)


def _value_bounds(ours: Result) -> tuple[float, float] | None:
    values = ours.round_values
    return (min(values), max(values)) if values and ours.is_uneven else None


def best_peer(results: Sequence[Result], cell: str, labels: Sequence[str]) -> Result | None:
    """Return the fastest of the peers in a cell, None when none answered right."""
    found = [find(results, cell, label) for label in labels]
    answered = [result for result in found if result is not None and result.value and not result.is_wrong]
    if not answered:
        return None
    return max(
        answered, key=lambda result: -(result.value or 0) if result.cell.unit == "ms" else result.value or 0
    )


def _other(goal: Goal, results: Sequence[Result], peers: Sequence[str]) -> Result | None:
    match goal.kind:
        case "bare":
            return find(results, goal.cell, BARE_WRITES) or find(results, goal.cell, BARE)
        case "peer":
            return best_peer(results, goal.cell, peers)
        case "codec":
            return find(results, goal.cell, CODEC)
        case "commit":
            return find(results, goal.cell, OURS_COMMIT)
        case _:
            return find(results, goal.other, OURS)

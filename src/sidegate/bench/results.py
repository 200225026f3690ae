"""What was measured of one cell on one server, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from sidegate.bench.cells import Cell
from sidegate.bench.corpus import Scale
from sidegate.bench.latencies import added, compact, percentile

BUSY_CLIENT = 0.90
"""From here on the client was the limit, and the server could have done more."""

MOST_MISSING: Final = 0.05
"""Up to this share of requests that fail, and say so, figures are still of what was asked."""

UNEVEN: Final = 1.3
"""From here on rounds are too far from each other to be believed; undisturbed ones are within 1.1."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One round on one server; what is None could not be seen from here."""

    seconds: float
    answered: int
    failed: int = 0
    unanswered: int = 0
    client_busy: float | None = None
    cpu_seconds: float | None = None
    resident_bytes: int | None = None

    @property
    def rate(self) -> float:
        """Return right answers per second."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def cpu_seconds_each(self) -> float | None:
        """Return the server's CPU seconds for each right answer."""
        return self.cpu_seconds / self.answered if self.cpu_seconds and self.answered else None


@dataclass(slots=True)
class Result:
    """One cell on one server: all rounds.

    `examples` show wrong answers, `false` says whether one of them claimed success,
    `wrong` what a sample compared in full did not hold, `warming_failures` counts what
    failed before the first round, `refused` says why there are no rounds, `hint` what all
    of that may be due to.
    """

    cell: Cell
    label: str
    scale: Scale
    connections: int
    samples: list[Sample] = field(default_factory=list)
    histograms: list[list[int]] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    false: bool = False
    wrong: list[str] = field(default_factory=list)
    warming_failures: int = 0
    refused: str | None = None
    hint: str | None = None

    @property
    def rate(self) -> float | None:
        """Return the median of the rounds' rates, None when nothing was answered."""
        rates = [sample.rate for sample in self.samples]
        return median(rates) if rates and any(rates) else None

    @property
    def value(self) -> float | None:
        """Return the rate in the cell's unit; for `ms` the median latency."""
        if self.rate is None:
            return None
        if self.cell.unit == "ms":
            p50 = self.latency(0.5)
            return None if p50 is None else p50 * 1e3
        return self._in_unit(self.rate)

    @property
    def round_values(self) -> list[float]:
        """Return the rate of each round in the cell's unit; nothing for `ms`, which no single round has."""
        return [self._in_unit(s.rate) for s in self.samples if s.rate] if self.cell.unit != "ms" else []

    def _in_unit(self, rate: float) -> float:
        return rate * (self.cell.moved_bytes(self.scale) / 1e6 if self.cell.unit == "MB/s" else 1.0)

    @property
    def cpu_seconds(self) -> float | None:
        """Return the server's CPU seconds for each right answer."""
        found = [s.cpu_seconds_each for s in self.samples]
        known = [seconds for seconds in found if seconds is not None]
        return median(known) if known else None

    @property
    def cpu_seconds_per_gb(self) -> float | None:
        """Return the server's CPU seconds for each GB moved, None where bytes are not the point."""
        moved = self.cell.moved_bytes(self.scale)
        return None if self.cpu_seconds is None or moved < 64 << 10 else self.cpu_seconds / moved * 1e9

    @property
    def spread(self) -> float | None:
        """Return what the dearest round took to the cheapest, None for a single one.

        It is CPU time that counts, or time where that is not seen.
        """
        costs = [s.cpu_seconds_each for s in self.samples]
        if None in costs:
            costs = [1 / s.rate if s.rate else None for s in self.samples]
        found = [cost for cost in costs if cost is not None]
        return max(found) / min(found) if len(found) > 1 else None

    @property
    def is_uneven(self) -> bool:
        """Whether something disturbed rounds, so that their median may be of the disturbed ones."""
        return self.spread is not None and self.spread > UNEVEN

    @property
    def resident_bytes(self) -> int | None:
        """Return the largest resident size of the server in any round."""
        return max((s.resident_bytes for s in self.samples if s.resident_bytes is not None), default=None)

    @property
    def client_busy(self) -> float | None:
        """Return the share of the time that the client had work to do."""
        found = [s.client_busy for s in self.samples if s.client_busy is not None]
        return median(found) if found else None

    @property
    def client_was_limit(self) -> bool:
        """Whether the server could have done more than it was asked."""
        return self.client_busy is not None and self.client_busy > BUSY_CLIENT

    @property
    def failures(self) -> int:
        """Return how many answers were wrong or did not come."""
        in_rounds = sum(s.failed + s.unanswered for s in self.samples)
        return in_rounds + self.warming_failures + len(self.wrong) + bool(self.refused)

    @property
    def is_wrong(self) -> bool:
        """Whether the figures are of something else than what was asked, and compare to nothing.

        An error that says so, or a dropped connection, is no speed to boast of: a few are
        only told. One false answer is enough, for nobody knows how many others there were.
        """
        if self.false or self.wrong or self.refused:
            return True
        missing = sum(s.failed + s.unanswered for s in self.samples)
        return missing > MOST_MISSING * (missing + sum(s.answered for s in self.samples))

    def latency(self, share: float) -> float | None:
        """Return a percentile of the latencies in seconds."""
        return percentile(added(self.histograms), share) if self.histograms else None

    def _missing(self) -> list[str]:
        """Say what there is no answer to be shown of."""
        if self.refused:
            return [self.refused]
        unanswered = sum(sample.unanswered for sample in self.samples)
        return [f"no answer came in time to {unanswered}"] if unanswered else []

    def as_document(self) -> dict[str, Any]:
        """Return the result as it is kept."""
        return {
            "cell": self.cell.name,
            "title": self.cell.title_at(self.scale),
            "unit": self.cell.unit,
            "endpoint": self.label,
            "connections": self.connections,
            "value": self.value,
            "rate": self.rate,
            "moved_bytes": 0 if self.cell.unit == "ms" else self.cell.moved_bytes(self.scale),
            "p50_ms": _milliseconds(self.latency(0.5)),
            "p99_ms": _milliseconds(self.latency(0.99)),
            "cpu_us_per_request": None if self.cpu_seconds is None else self.cpu_seconds * 1e6,
            "cpu_seconds_per_gb": self.cpu_seconds_per_gb,
            "resident_bytes": self.resident_bytes,
            "client_busy": self.client_busy,
            "client_was_limit": self.client_was_limit,
            "rounds": [
                {"rate": s.rate, "seconds": s.seconds, "answered": s.answered, "cpu_seconds": s.cpu_seconds}
                for s in self.samples
            ],
            "spread": self.spread,
            "is_uneven": self.is_uneven,
            "failures": self.failures,
            "is_wrong": self.is_wrong,
            "examples": [*self.examples, *self.wrong, *self._missing()],
            "hint": self.hint if self.failures else None,
            "latencies_ns": compact(added(self.histograms)) if self.histograms else {},
        }


def find(results: Sequence[Result], cell: str, label: str) -> Result | None:
    """Return the result of a cell on a server."""
    return next((r for r in results if r.cell.name == cell and r.label == label), None)


def are_wrong(*results: Result | None) -> bool:
    """Whether the figures of any of them are of wrong answers."""
    return any(result is not None and result.is_wrong for result in results)


def ratio(one: Result | None, other: Result | None) -> float | None:
    """Return how many times faster one is than the other: by latency where that is what counts."""
    if one is None or other is None or are_wrong(one, other) or not one.value or not other.value:
        return None
    return other.value / one.value if one.cell.unit == "ms" else one.value / other.value


def cpu_ratio(one: Result | None, other: Result | None) -> float | None:
    """Return how many times less CPU time one takes than the other."""
    if one is None or other is None or are_wrong(one, other) or not one.cpu_seconds or not other.cpu_seconds:
        return None
    return other.cpu_seconds / one.cpu_seconds


def ratio_bounds(one: Result | None, other: Result | None, *, by_cpu: bool) -> tuple[float, float] | None:
    """Return the least and the largest ratio of any two rounds, None where rounds have no such figure."""
    if one is None or other is None or are_wrong(one, other) or one.cell.unit == "ms":
        return None
    ours, theirs = _speeds(one, by_cpu), _speeds(other, by_cpu)
    return (min(ours) / max(theirs), max(ours) / min(theirs)) if ours and theirs else None


def _speeds(result: Result, by_cpu: bool) -> list[float]:
    if not by_cpu:
        return result.round_values
    costs = [sample.cpu_seconds_each for sample in result.samples]
    return [1 / cost for cost in costs if cost]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3

"""What a job reads and writes, per input and for its output, as numbers.

The session counts; this module adds up the sessions of a job, hands the sums on
while it runs, and tells each kind of denied request once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

_LOOK_SECONDS = 0.2
"""As often as a terminal need be drawn."""


@dataclass(frozen=True, slots=True)
class PlaceTraffic:
    """What was done with one input, or with the output.

    `requests` are counted by kind, `refusals` by reason. `exact` is false when there were more
    objects than the session tells apart; the counts of objects are then the least there were.
    """

    name: str
    requests: Mapping[str, int] = field(default_factory=dict)
    refusals: Mapping[str, int] = field(default_factory=dict)
    objects_read: int = 0
    objects_written: int = 0
    objects_copied: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    exact: bool = True

    @property
    def has_moved(self) -> bool:
        """Say whether anything was read or written."""
        return bool(self.objects_read or self.objects_written or self.objects_copied or self.written_bytes)

    def plus(self, other: PlaceTraffic) -> PlaceTraffic:
        """Return the sum; an object in both counts twice."""
        return PlaceTraffic(
            self.name,
            Counter(self.requests) + Counter(other.requests),
            Counter(self.refusals) + Counter(other.refusals),
            self.objects_read + other.objects_read,
            self.objects_written + other.objects_written,
            self.objects_copied + other.objects_copied,
            self.read_bytes + other.read_bytes,
            self.written_bytes + other.written_bytes,
            self.exact and other.exact,
        )

    def as_document(self) -> dict[str, object]:
        """Return it as JSON data, for the job's record."""
        return {
            "name": self.name,
            "requests": dict(self.requests),
            "refusals": dict(self.refusals),
            "objects_read": self.objects_read,
            "objects_written": self.objects_written,
            "objects_copied": self.objects_copied,
            "objects_exact": self.exact,
            "bytes_read": self.read_bytes,
            "bytes_written": self.written_bytes,
        }


@dataclass(frozen=True, slots=True)
class SessionTraffic:
    """One session so far; `denials` maps a kind of denied request to a sentence."""

    places: Sequence[PlaceTraffic] = ()
    denials: Mapping[object, str] = field(default_factory=dict)


TrafficCallback = Callable[[Sequence[PlaceTraffic]], object]


def ignore_traffic(places: Sequence[PlaceTraffic]) -> None:
    """Show nothing."""


class JobTraffic:
    """Adds up the sessions of one job, one after another."""

    def __init__(self, callback: TrafficCallback, clock: Callable[[], float] = time.monotonic) -> None:
        self._callback = callback
        self._clock = clock
        self._ended: dict[str, PlaceTraffic] = {}
        self._told: set[object] = set()
        self._looked_at = float("-inf")

    def look(self, current: Callable[[], SessionTraffic], say: Callable[[str], object]) -> None:
        """Hand on the sums with the running session; at most every 0.2 s, however often called."""
        now = self._clock()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        traffic = current()
        self._tell(traffic, say)
        self._callback(list(self._with(traffic).values()))

    def end_session(self, traffic: SessionTraffic, say: Callable[[str], object]) -> None:
        """Add a session that is over."""
        self._ended = self._with(traffic)
        self._tell(traffic, say)
        self._callback(list(self._ended.values()))

    def as_document(self) -> list[dict[str, object]]:
        """Return the sums of the sessions that are over as JSON data."""
        return [place.as_document() for place in self._ended.values()]

    def _with(self, traffic: SessionTraffic) -> dict[str, PlaceTraffic]:
        sums = dict(self._ended)
        for place in traffic.places:
            before = sums.get(place.name)
            sums[place.name] = place if before is None else before.plus(place)
        return sums

    def _tell(self, traffic: SessionTraffic, say: Callable[[str], object]) -> None:
        for kind, sentence in traffic.denials.items():
            if kind not in self._told:
                self._told.add(kind)
                say(sentence)

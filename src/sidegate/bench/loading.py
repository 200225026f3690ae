"""Storing what a run reads, before it measures.

A server may be busy for a moment: what it did not take is sent again, a few times.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sidegate.bench import plans
from sidegate.bench.cells import Cell
from sidegate.bench.client import Refused
from sidegate.bench.corpus import LISTED_BODY, SMALL_BYTES, Scale, Stored, listed_key
from sidegate.bench.places import Tell
from sidegate.bench.target import Target
from sidegate.bench.wrong_answers import shown_answer
from sidegate.native import Script
from sidegate.native.exchange import Exchange, Payload, Rhythm

LOADING_SECONDS: Final = 300.0
SMALL_CONNECTIONS: Final = 16
LARGE_CONNECTIONS: Final = 8
AT_ONCE: Final = 1000
"""Objects whose answers are held until all of them are here: 16 MiB at most."""
PAUSES_SECONDS: Final = (0.1, 0.3, 1.0, 2.0, 4.0)
"""Before what was not taken is sent again."""
TOLD_SECONDS: Final = 5.0
_FINAL: Final = frozenset({b"400", b"401", b"403", b"404", b"405", b"409", b"411", b"412", b"413", b"501"})
"""Statuses that would be the same again."""


def load(target: Target, cells: Sequence[Cell], scale: Scale, tell: Tell) -> None:
    """Store what the cells read; raises Refused, Unavailable.  `tell` gets how far it is, now and then."""
    stored = {one.key: one for cell in cells for one in plans.stored_objects(cell, scale)}
    small = [one for one in stored.values() if one.size_bytes <= SMALL_BYTES]
    if small:
        exchanges = [_put(target, one.key, one.size_bytes) for one in small]
        _send(target, exchanges, small[0].payload, small[0].serials[0], tell)
    for one in stored.values():
        if one.size_bytes > SMALL_BYTES:
            _load_large(target, one, tell)
    if any("listed" in cell.needs for cell in cells):
        keys = [listed_key(number, scale.listed_keys) for number in range(scale.listed_keys)]
        exchanges = [_put(target, key, len(LISTED_BODY)) for key in keys]
        _send(target, exchanges, Payload(LISTED_BODY), 0, tell)


def _put(target: Target, key: str, size_bytes: int) -> Exchange:
    fields = {"content-length": str(size_bytes)}
    return Exchange(target.signer.head("PUT", f"/{target.writes}/{key}", headers=fields), 200)


def _load_large(target: Target, stored: Stored, tell: Tell) -> None:
    if len(stored.serials) == 1:
        put = _put(target, stored.key, stored.size_bytes)
        _send(target, [put], stored.payload, stored.serials[0], tell)
        return
    with target.client() as client:
        upload = client.begin_upload(target.writes, stored.key)
        parts = plans.part_exchanges(
            target, stored.key, upload, len(stored.serials), len(stored.payload.template)
        )
        answers = _send(target, parts, stored.payload, stored.serials[0], tell)
        body = plans.completion([plans.etag_of(answer) for answer in answers])
        client.demand("POST", f"/{target.writes}/{stored.key}", [("uploadId", upload)], body)


def _send(
    target: Target, exchanges: list[Exchange], payload: Payload, first_serial: int, tell: Tell
) -> list[bytes]:
    """Make each exchange, again where it failed; returns the beginnings of the answers."""
    sending = _Sending(target, exchanges, payload, first_serial, tell)
    for start in range(0, len(exchanges), AT_ONCE):
        sending.send(range(start, min(start + AT_ONCE, len(exchanges))))
    return sending.answers


@dataclass(slots=True)
class _Sending:
    """Exchanges of which each is made until it has its answer; the serial of a body is by its place."""

    target: Target
    exchanges: list[Exchange]
    payload: Payload
    first_serial: int
    tell: Tell
    answers: list[bytes] = field(init=False)
    began: float = field(init=False)
    told: float = field(init=False)

    def __post_init__(self) -> None:
        self.answers = [b""] * len(self.exchanges)
        self.began = self.told = time.monotonic()

    def send(self, places: range) -> None:
        """Make some of them; raises Refused, Unavailable."""
        left = [places]
        for pause in (*PAUSES_SECONDS, None):
            failed = [answer for run in left for answer in self._try(run)]
            left = list(_runs([place for place in places if _status(self.answers[place]) != b"200"]))
            self._tell_progress(places.stop)
            if not left:
                return
            if pause is None or any(_status(answer) in _FINAL for answer in failed):
                raise self._refused(left[0].start, failed)
            time.sleep(pause)

    def _try(self, run: range) -> list[bytes]:
        """Make exchanges that follow each other, once; returns examples of wrong answers."""
        seconds = LOADING_SECONDS - (time.monotonic() - self.began)
        if seconds <= 0:
            done = sum(map(bool, self.answers))
            raise Refused(
                f"{self.target.label} took {done} of {len(self.exchanges)} objects in {LOADING_SECONDS:g} s",
                remedy="use a smaller --scale",
            )
        is_small = len(self.payload.template) <= SMALL_BYTES
        tally = self.target.load(
            Script(self.exchanges[run.start : run.stop], self.payload),
            min(SMALL_CONNECTIONS if is_small else LARGE_CONNECTIONS, len(run)),
            Rhythm(seconds, len(run), 60.0, False),
            first_serial=self.first_serial + run.start,
            keep_answers=True,
        )
        self.answers[run.start : run.stop] = tally.answers
        return [answer for _, answer in tally.examples]

    def _refused(self, place: int, failed: list[bytes]) -> Refused:
        line = self.exchanges[place].head.partition(b"?")[0].partition(b" HTTP")[0].decode("latin-1")
        said = shown_answer(self.answers[place] or next(iter(failed), b""))
        return Refused(f"{self.target.label} did not take {line}: {said}")

    def _tell_progress(self, done: int) -> None:
        now = time.monotonic()
        if done < len(self.exchanges) and now - self.told > TOLD_SECONDS:
            self.told = now
            self.tell(f"loading {self.target.label}: {done} of {len(self.exchanges)} objects")


def _status(answer: bytes) -> bytes:
    return answer.partition(b" ")[2][:3]


def _runs(places: list[int]) -> Iterator[range]:
    """Yield the stretches that numbers in order are made of."""
    start = 0
    for end in range(1, len(places) + 1):
        if end == len(places) or places[end] != places[end - 1] + 1:
            yield range(places[start], places[end - 1] + 1)
            start = end

"""One cell on one server, round after round.

`prepare` renders what a round sends, outside of the measured time; `run` makes
one round; `verify` compares a sample in full; `close` gives back what is open.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

from sidegate.bench import plans
from sidegate.bench.cells import Cell
from sidegate.bench.client import Client
from sidegate.bench.corpus import Scale, incompressible
from sidegate.bench.framing import DigestBodies
from sidegate.bench.target import Target
from sidegate.native import Script
from sidegate.native.exchange import Exchange, Rhythm, Tally, bucket_of

VERIFIED: Final = 16
VERIFIED_BYTES: Final = 256 << 20
WRITERS: Final = 2

_serials = itertools.count(time.time_ns(), 1 << 24)
"""Of what is written: never those of an earlier run on the same store."""


class Work(Protocol):
    """A cell on a server."""

    def prepare(self) -> None:
        """Make ready what the next round sends."""

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round; returns what was found by cell."""

    def verify(self) -> list[str]:
        """Return what was wrong with a sample that was compared in full."""

    def close(self) -> None:
        """End what is open at the server."""


def work_of(cell: Cell, target: Target, scale: Scale, connections: int) -> Work | None:
    """Return the work of a cell on a target, None when the target has no such."""
    if target.only is not None and cell.name not in target.only:
        return None
    if target.is_bare:
        exchanges = plans.bare_exchanges(cell, target, scale)
        if not exchanges:
            return None
        return _BareWork(cell, target, scale, connections, exchanges)
    if "many" in cell.needs and not target.many:
        return None
    if "branch" in cell.needs:
        return _OpenWork(cell, target, scale, connections) if target.branch else None
    match cell.operation:
        case "put" if cell.digest:
            return _DigestWork(cell, target, scale, connections)
        case "put":
            return _PutWork(cell, target, scale, connections)
        case "multipart":
            return MultipartWork(cell, target, scale, connections)
        case "copy" | "part-copy":
            return _CopyWork(cell, target, scale, connections)
        case _:
            return _ReadWork(cell, target, scale, connections)


@dataclass(slots=True)
class _Basics:
    """What all work has."""

    cell: Cell
    target: Target
    scale: Scale
    connections: int

    def prepare(self) -> None:
        """Need nothing."""

    def verify(self) -> list[str]:
        """Have nothing to compare."""
        return []

    def close(self) -> None:
        """Leave nothing open."""


class _ReadWork(_Basics):
    """The same requests over and over, from where the last round ended."""

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        self._script = Script(plans.reading_exchanges(cell, target, scale))
        self._position = 0

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        tally = self.target.load(self._script, self.connections, rhythm, first_position=self._position)
        self._position += tally.begun
        return {self.cell.name: tally}

    def verify(self) -> list[str]:
        """Ask a sample again and compare it in full."""
        wrong = []
        count = max(1, min(VERIFIED, VERIFIED_BYTES // max(1, self.cell.moved_bytes(self.scale))))
        with self.target.client() as client:
            for one in plans.expectations(self.cell, self.target, self.scale, count):
                answer = client.ask(one.method, one.path, one.query, dict(one.headers))
                if answer.status not in (200, 206):
                    wrong.append(f"{one.method} {one.path}: {answer.error()}")
                elif not one.matches(answer.body, dict(answer.headers)):
                    wrong.append(f"{one.method} {one.path}: the answer is not what was stored")
        return wrong


class _BareWork(_Basics):
    """The yardstick's part."""

    def __init__(
        self, cell: Cell, target: Target, scale: Scale, connections: int, exchanges: list[Exchange]
    ) -> None:
        super().__init__(cell, target, scale, connections)
        payload = plans.payload_of(cell, scale) if cell.operation == "put" else None
        self._script = Script(exchanges, payload)

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        return {self.cell.name: self.target.load(self._script, self.connections, rhythm)}


class _PutWork(_Basics):
    """Uploads that are checked by nothing; each body is new."""

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        self.payload = plans.payload_of(cell, scale)
        self.size_bytes = cell.moved_bytes(scale)
        self.limit = max(connections, scale.round_bytes // self.size_bytes)
        self.keys = min(scale.written_keys, self.limit)
        self._position = 0
        self._script = Script(
            [
                plans.put_exchange(cell, target, number, number, self.size_bytes)
                for number in range(self.keys)
            ],
            self.payload,
        )

    def prepare(self) -> None:
        """Warm the memory that the server will store in."""
        self.target.warm_memory(min(self.limit * self.size_bytes, self.scale.round_bytes))

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        tally, _ = self._upload(replace(rhythm, count=min(rhythm.count, self.limit)), self.connections)
        return {self.cell.name: tally}

    def verify(self) -> list[str]:
        """Upload a few more and read them back."""
        count = max(1, min(VERIFIED, self.keys, VERIFIED_BYTES // self.size_bytes))
        start = self._position
        tally, serial = self._upload(Rhythm(60.0, count, 60.0, False), min(count, self.connections))
        if tally.answered != count:
            return [f"{self.cell.name}: {count - tally.answered} of {count} uploads to be read back failed"]
        written = [
            (plans.written_key(self.cell, (start + number) % self.keys), serial + number)
            for number in range(count)
        ]
        return _wrong_bodies(self.target, [(key, partial(self.payload.of, one)) for key, one in written])

    def _upload(self, rhythm: Rhythm, connections: int) -> tuple[Tally, int]:
        serial = next(_serials)
        tally = self.target.load(
            self._script, connections, rhythm, first_position=self._position, first_serial=serial
        )
        self._position += tally.begun
        return tally, serial


class _DigestWork(_Basics):
    """Uploads that carry a digest of their body: rendered anew for each round."""

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        self._bodies = DigestBodies(cell.digest, plans.payload_of(cell, scale))
        self._size_bytes = cell.moved_bytes(scale)
        self._limit = max(connections, scale.round_bytes // self._size_bytes)
        self._ready: tuple[Script, int, int] | None = None

    def prepare(self) -> None:
        """Render a round, and warm the memory that the server will store in."""
        self._ready = self._render(self._limit)
        self.target.warm_memory(self._limit * self._size_bytes)

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        script, serial, count = self._ready or self._render(self._limit)
        self._ready = None  # a body that was sent is not new any more
        limited = replace(rhythm, count=min(rhythm.count, count))
        return {self.cell.name: self.target.load(script, self.connections, limited, first_serial=serial)}

    def verify(self) -> list[str]:
        """Upload a few more and read them back."""
        count = max(1, min(VERIFIED, self._limit, VERIFIED_BYTES // self._size_bytes))
        script, serial, _ = self._render(count)
        tally = self.target.load(
            script, min(count, self.connections), Rhythm(60.0, count, 60.0, False), first_serial=serial
        )
        if tally.answered != count:
            return [f"{self.cell.name}: {count - tally.answered} of {count} uploads to be read back failed"]
        bodies = self._bodies.payload
        return _wrong_bodies(
            self.target,
            [
                (plans.written_key(self.cell, number), partial(bodies.of, serial + number))
                for number in range(count)
            ],
        )

    def _render(self, count: int) -> tuple[Script, int, int]:
        serial = next(_serials)
        exchanges = [
            plans.put_exchange(
                self.cell,
                self.target,
                number,
                serial + number,
                self._bodies.sent_bytes,
                dict(digested.headers),
                digested.payload_hash,
                digested.tail,
            )
            for number, digested in enumerate(self._bodies.digests(serial, count))
        ]
        return Script(exchanges, self._bodies.framed), serial, count


class _CopyWork(_Basics):
    """Copies inside of the server, each on its own key or as a part of one upload."""

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        self._upload: str | None = None
        self._key = plans.written_key(cell, 0)
        if cell.operation == "part-copy":
            with target.client() as client:
                self._upload = client.begin_upload(target.writes, self._key)
        self._script = Script(plans.copy_exchanges(cell, target, scale, self._upload))

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        limited = replace(rhythm, count=min(rhythm.count, 10 * plans.LARGE_POOL))
        return {self.cell.name: self.target.load(self._script, self.connections, limited)}

    def verify(self) -> list[str]:
        """Read a copy back; parts are judged by their answers alone."""
        if self._upload is not None:
            return []
        (source,) = plans.stored_objects(self.cell, self.scale)
        return _wrong_bodies(self.target, [(self._key, lambda: b"".join(source.pieces()))])

    def close(self) -> None:
        """Abort the upload."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            with self.target.client() as client:
                client.ask("DELETE", f"/{self.target.writes}/{self._key}", [("uploadId", upload)])


class MultipartWork(_Basics):
    """Whole uploads in parts, one after another; Complete is timed apart."""

    PART_BYTES = 8 << 20
    COMPLETE = "complete-64m"

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        # No smaller at any scale: only the last part may be below 5 MiB.
        self._payload = incompressible(min(self.PART_BYTES, cell.moved_bytes(scale)))
        self._parts = cell.moved_bytes(scale) // len(self._payload.template)
        self._limit = max(1, scale.round_bytes // cell.moved_bytes(scale))
        self._numbers = itertools.count()
        self._open: tuple[str, str] | None = None
        self._last: tuple[str, int] | None = None

    def prepare(self) -> None:
        """Warm the memory that the server will store in."""
        self.target.warm_memory(self.scale.round_bytes)

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        whole, completing = Tally(), Tally()
        began = time.perf_counter()
        with self.target.client() as client:
            while True:
                started = time.perf_counter()
                whole.begun += 1
                parts, completed = self._one(client, rhythm)
                whole.idle_seconds += parts.idle_seconds
                ended = time.perf_counter()
                whole.seconds = ended - began
                whole.failed += parts.failed
                whole.examples += parts.examples[: 3 - len(whole.examples)]
                if completed is not None:
                    whole.answered += 1
                    completing.answered += 1
                    completing.seconds += completed
                    whole.latencies[bucket_of(int((ended - started) * 1e9))] += 1
                    completing.latencies[bucket_of(int(completed * 1e9))] += 1
                if whole.seconds >= rhythm.seconds or whole.begun >= self._limit or whole.failed:
                    break
        completing.begun = completing.answered
        return {self.cell.name: whole, self.COMPLETE: completing}

    def _one(self, client: Client, rhythm: Rhythm) -> tuple[Tally, float | None]:
        """Make one upload; returns its parts, and how long Complete took if it came to that."""
        key = plans.written_key(self.cell, next(self._numbers) % 8)
        upload = client.begin_upload(self.target.writes, key)
        self._open = (key, upload)
        serial = next(_serials)
        script = Script(
            plans.part_exchanges(self.target, key, upload, self._parts, len(self._payload.template)),
            self._payload,
        )
        parts = self.target.load(
            script,
            self.connections,
            replace(rhythm, seconds=60.0, count=self._parts),
            first_serial=serial,
            keep_answers=True,
        )
        if parts.answered != self._parts:
            parts.failed += parts.unanswered
            self.close()
            return parts, None
        body = plans.completion([plans.etag_of(answer) for answer in parts.answers])
        began = time.perf_counter()
        client.demand("POST", f"/{self.target.writes}/{key}", [("uploadId", upload)], body)
        took = time.perf_counter() - began
        self._open, self._last = None, (key, serial)
        return parts, took

    def verify(self) -> list[str]:
        """Read the last upload back."""
        if self._last is None:
            return []
        key, serial = self._last
        numbers = range(serial, serial + self._parts)
        return _wrong_bodies(self.target, [(key, lambda: b"".join(map(self._payload.of, numbers)))])

    def close(self) -> None:
        """Abort an upload that did not end."""
        if self._open is not None:
            (key, upload), self._open = self._open, None
            with self.target.client() as client:
                client.ask("DELETE", f"/{self.target.writes}/{key}", [("uploadId", upload)])


class _OpenWork(_ReadWork):
    """Reads of a branch while others write to it; their failures count too."""

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        writing = replace(target, reads=target.branch or "", writes=target.branch or "")
        self._writing = _PutWork(cell, writing, scale, WRITERS)

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        found: list[Tally] = []
        # The writers sleep between answers, so that the reader keeps its core.
        sleeping = replace(rhythm, poll=False)
        thread = threading.Thread(target=lambda: found.append(self._writing.run(sleeping)[self.cell.name]))
        thread.start()
        try:
            ((name, tally),) = super().run(rhythm).items()
        finally:
            thread.join()
        for written in found:
            tally.failed += written.failed + written.unanswered
            tally.examples += written.examples
        return {name: tally}

    def verify(self) -> list[str]:
        """Compare a sample of what is read, and of what was just written."""
        return super().verify() + self._writing.verify()


def _wrong_bodies(target: Target, written: list[tuple[str, Callable[[], bytes]]]) -> list[str]:
    """Read objects back; returns what is wrong with them."""
    wrong = []
    with target.client() as client:
        for key, body in written:
            answer = client.ask("GET", f"/{target.writes}/{key}")
            if answer.status != 200:
                wrong.append(f"GET of the written {key}: {answer.error()}")
            elif answer.body != body():
                wrong.append(f"GET of the written {key}: the answer is not what was written")
    return wrong

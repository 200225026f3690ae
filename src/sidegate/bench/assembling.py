"""Work that makes objects of parts or of other objects: multipart uploads and copies."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sidegate.bench import plans
from sidegate.bench.cells import Cell
from sidegate.bench.corpus import Scale, incompressible, large_object
from sidegate.bench.target import Target
from sidegate.bench.work import Basics, next_serial, wrong_bodies
from sidegate.native import Script
from sidegate.native.exchange import Rhythm, Tally, bucket_of

COPIES: Final = 20
ASSEMBLIES: Final = 5
"""Of a very large object in a round: one Complete is too few to tell a usual one from another."""

STEPS: Final = 3
"""Of an upload: Create, all parts, Complete."""


class CopyWork(Basics):
    """Copies inside of the server, each on its own key or as a part of one upload."""

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        self._upload: str | None = None
        self._key = plans.written_key(cell, 0)
        if cell.operation == "part-copy":
            with target.client() as client:
                self._upload = client.begin_upload(target.writes, self._key)
        self._exchanges = plans.copy_exchanges(cell, target, scale, self._upload)
        self._script = Script(self._exchanges)

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        limited = rhythm.at_most(10 * plans.LARGE_POOL)
        tally = self.target.load(self._script, self.connections, limited)
        return {self.cell.name: self.noted(tally, self._exchanges)}

    def verify(self) -> list[str]:
        """Read a copy back; parts are judged by their answers alone."""
        if self._upload is not None:
            return []
        (source,) = plans.stored_objects(self.cell, self.scale)
        return wrong_bodies(self.target, [(self._key, lambda: b"".join(source.pieces()))])

    def close(self) -> None:
        """Abort the upload."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            with self.target.client() as client:
                client.abort_upload(self.target.writes, self._key, upload)


class MultipartWork(Basics):
    """Whole uploads in parts, one after another over the same connections; Complete is timed apart."""

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

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        whole, completing = Tally(), Tally()
        # What a client makes once is not made for each upload: the server would wait for it.
        bodies = [bytearray(self._payload.template) for _ in range(self.connections)]
        with self.target.connected(self.connections) as descriptors:
            began = time.perf_counter()
            while True:
                started = time.perf_counter()
                whole.begun += 1
                steps = self._one(rhythm, descriptors, bodies)
                ended = time.perf_counter()
                whole.seconds = ended - began
                for step in steps:
                    whole.idle_seconds += step.idle_seconds
                is_done = len(steps) == STEPS and steps[-1].answered == 1
                if is_done:
                    whole.answered += 1
                    whole.latencies[bucket_of(int((ended - started) * 1e9))] += 1
                    _add(completing, steps[-1])
                else:
                    add_failure(whole, steps)
                if whole.seconds >= rhythm.seconds or whole.begun >= self._limit or not is_done:
                    break
        return {self.cell.name: whole, self.COMPLETE: completing}

    def _one(self, rhythm: Rhythm, descriptors: list[int], bodies: list[bytearray]) -> list[Tally]:
        """Make one upload; returns what it took: Create and, if it came to that, parts and Complete."""
        key = plans.written_key(self.cell, next(self._numbers) % 8)
        creation = plans.creation_exchange(self.target, key)
        driven = Script([creation]).drive(descriptors[:1], _exactly(1, rhythm), keep_answers=True)
        created = self.noted(driven, [creation])
        if not created.answered:
            return [created]
        upload = plans.upload_id_in(created.answers[0])
        self._open = (key, upload)
        serial = next_serial()
        sent = plans.part_exchanges(self.target, key, upload, self._parts, len(self._payload.template))
        driven = Script(sent, self._payload).drive(
            descriptors,
            replace(rhythm, seconds=60.0, count=self._parts),
            first_serial=serial,
            keep_answers=True,
            bodies=bodies,
        )
        parts = self.noted(driven, sent)
        if parts.answered != self._parts:
            self.close()
            return [created, parts]
        etags = [plans.etag_of(answer) for answer in parts.answers]
        completion = plans.completion_exchange(self.target, key, upload, etags)
        driven = Script([completion]).drive(descriptors[:1], _exactly(1, rhythm))
        completed = self.noted(driven, [completion])
        if completed.answered:
            self._open, self._last = None, (key, serial)
        else:
            self.close()
        return [created, parts, completed]

    def verify(self) -> list[str]:
        """Read the last upload back."""
        if self._last is None:
            return []
        key, serial = self._last
        numbers = range(serial, serial + self._parts)
        return wrong_bodies(self.target, [(key, lambda: b"".join(map(self._payload.of, numbers)))])

    def close(self) -> None:
        """Abort an upload that did not end."""
        if self._open is not None:
            (key, upload), self._open = self._open, None
            with self.target.client() as client:
                client.abort_upload(self.target.writes, key, upload)


class AssembleWork(Basics):
    """A very large object made of copied ranges; Complete is what counts, then a copy of it."""

    COPY = "copy-5g"

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        self._source = large_object(scale)
        self._part_bytes = min(MultipartWork.PART_BYTES, scale.large_bytes)
        self._parts = max(2, cell.moved_bytes(scale) // self._part_bytes)
        self._key = plans.written_key(cell, 0)
        self._upload: str | None = None

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round: assemble and complete a few times, then copy the last a few times."""
        completing, copying = Tally(), Tally()
        began = time.perf_counter()
        for _ in range(ASSEMBLIES):
            if not self._assemble(rhythm, completing):
                return {self.cell.name: completing, self.COPY: copying}
            if time.perf_counter() - began >= rhythm.seconds:
                break
        copy = plans.copy_exchange(self.target, f"{self.target.writes}/{self._key}", f"{self._key}.copy")
        copying = self.noted(self.target.load(Script([copy]), 1, _exactly(COPIES, rhythm)), [copy])
        return {self.cell.name: completing, self.COPY: copying}

    def _assemble(self, rhythm: Rhythm, completing: Tally) -> bool:
        """Make the object once; add to the tally of Complete, also what came before and failed."""
        with self.target.client() as client:
            self._upload = upload = client.begin_upload(self.target.writes, self._key)
        parts = self._copy_parts(upload, rhythm)
        if parts.answered != self._parts:
            self.close()
            completing.begun += 1
            add_failure(completing, [parts])
            return False
        etags = [plans.etag_in_body(answer) for answer in parts.answers]
        completion = plans.completion_exchange(self.target, self._key, upload, etags)
        completed = self.noted(self.target.load(Script([completion]), 1, _exactly(1, rhythm)), [completion])
        _add(completing, completed)
        if not completed.answered:
            add_failure(completing, [completed])
            self.close()
            return False
        self._upload = None
        return True

    def verify(self) -> list[str]:
        """Compare a range across parts of the copy, and its length."""
        with self.target.client() as client:
            path = f"/{self.target.writes}/{self._key}.copy"
            length = client.ask("HEAD", path).headers.get("content-length")
            edge = self._part_bytes
            answer = client.ask("GET", path, headers={"range": f"bytes={edge - 100}-{edge + 99}"})
        wanted = self._source.read(*self._range(0))[-100:] + self._source.read(*self._range(1))[:100]
        if length != str(self._parts * self._part_bytes):
            return [f"{path} is {length} bytes long"]
        return (
            [] if answer.body == wanted else [f"GET of a range of {path}: the answer is not what was copied"]
        )

    def close(self) -> None:
        """Abort an upload that did not end."""
        if self._upload is not None:
            upload, self._upload = self._upload, None
            with self.target.client() as client:
                client.abort_upload(self.target.writes, self._key, upload)

    def _range(self, number: int) -> tuple[int, int]:
        """Return where a part comes from in the source."""
        start = number * self._part_bytes % self._source.size_bytes
        return start, start + self._part_bytes

    def _copy_parts(self, upload: str, rhythm: Rhythm) -> Tally:
        source = f"/{self.target.reads}/{self._source.key}"
        ranges = [self._range(number) for number in range(self._parts)]
        exchanges = plans.range_copy_exchanges(self.target, self._key, upload, source, ranges)
        limited = _exactly(self._parts, rhythm)
        tally = self.target.load(Script(exchanges), self.connections, limited, keep_answers=True)
        return self.noted(tally, exchanges)


def _exactly(count: int, rhythm: Rhythm) -> Rhythm:
    """Return a rhythm of so many requests, however long they take within a minute."""
    return replace(rhythm, seconds=60.0, drain_seconds=60.0, count=count)


def add_failure(total: Tally, steps: Sequence[Tally]) -> None:
    """Count what an upload came to grief about: at least an answer that did not come."""
    for step in steps:
        total.failed += step.failed
        total.unanswered += step.unanswered
        total.examples += step.examples[: 3 - len(total.examples)]
    if not (total.failed or total.unanswered):
        total.unanswered += 1


def _add(total: Tally, one: Tally) -> None:
    """Count what one run found to that of others."""
    total.begun += one.begun
    total.answered += one.answered
    total.seconds += one.seconds
    total.idle_seconds += one.idle_seconds
    total.latencies = [sum(counts) for counts in zip(total.latencies, one.latencies, strict=True)]

"""Work that uploads whole bodies, each of them new: with a digest or without."""

from __future__ import annotations

from functools import partial

from sidegate.bench import plans
from sidegate.bench.cells import Cell
from sidegate.bench.corpus import Scale
from sidegate.bench.framing import DigestBodies
from sidegate.bench.target import Target
from sidegate.bench.work import (
    VERIFIED,
    VERIFIED_BYTES,
    Basics,
    expected,
    limit_of,
    next_serial,
    wrong_bodies,
)
from sidegate.native import Script
from sidegate.native.exchange import Exchange, Rhythm, Tally


class PutWork(Basics):
    """Uploads that are checked by nothing; each body is new."""

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        self.payload = plans.payload_of(cell, scale)
        self.size_bytes = cell.moved_bytes(scale)
        self.limit = limit_of(cell, scale, connections)
        self.keys = min(scale.written_keys, self.limit)
        self._position = 0
        self._last: Tally | None = None
        self._exchanges = [
            plans.put_exchange(cell, target, number, number, self.size_bytes) for number in range(self.keys)
        ]
        self._script = Script(self._exchanges, self.payload)

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        self._last, _ = self._upload(rhythm.at_most(self.limit), self.connections)
        return {self.cell.name: self._last}

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
        return wrong_bodies(self.target, [(key, partial(self.payload.of, one)) for key, one in written])

    def _upload(self, rhythm: Rhythm, connections: int) -> tuple[Tally, int]:
        serial = next_serial()
        tally = self.target.load(
            self._script, connections, rhythm, first_position=self._position, first_serial=serial
        )
        self.noted(tally, self._exchanges, self._position)
        self._position += tally.begun
        return tally, serial


class DigestWork(Basics):
    """Uploads that carry a digest of their body: rendered anew for each round."""

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        self._bodies = DigestBodies(cell.digest, plans.payload_of(cell, scale))
        self._size_bytes = cell.moved_bytes(scale)
        self._limit = limit_of(cell, scale, connections)
        self._ready: tuple[Script, int, list[Exchange]] | None = None
        self._last: Tally | None = None

    def prepare(self, seconds: float) -> None:
        """Render a round, and have memory for it."""
        count = expected(self._last, seconds, 2 * self.connections, self._limit)
        self._ready = self._render(count)
        super().prepare(seconds)

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        script, serial, exchanges = self._ready or self._render(self._limit)
        self._ready = None  # a body that was sent is not new any more
        limited = rhythm.at_most(len(exchanges))
        self._last = self.noted(
            self.target.load(script, self.connections, limited, first_serial=serial), exchanges
        )
        return {self.cell.name: self._last}

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
        return wrong_bodies(
            self.target,
            [
                (plans.written_key(self.cell, number), partial(bodies.of, serial + number))
                for number in range(count)
            ],
        )

    def _render(self, count: int) -> tuple[Script, int, list[Exchange]]:
        serial = next_serial()
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
        return Script(exchanges, self._bodies.framed), serial, exchanges

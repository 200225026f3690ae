"""Work that reads: the same requests over and over, from ours, from a peer, from the yardstick."""

from __future__ import annotations

from sidegate.bench import plans
from sidegate.bench.cells import Cell
from sidegate.bench.corpus import Scale
from sidegate.bench.target import Target
from sidegate.bench.work import VERIFIED, VERIFIED_BYTES, Basics, limit_of
from sidegate.native import Script
from sidegate.native.exchange import Exchange, Rhythm, Tally


class ReadWork(Basics):
    """The same requests over and over, from where the last round ended."""

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        self._exchanges = plans.reading_exchanges(cell, target, scale)
        self._script = Script(self._exchanges)
        self._position = 0

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        tally = self.target.load(self._script, self.connections, rhythm, first_position=self._position)
        self.noted(tally, self._exchanges, self._position)
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


class BareWork(Basics):
    """The yardstick's part."""

    def __init__(
        self, cell: Cell, target: Target, scale: Scale, connections: int, exchanges: list[Exchange]
    ) -> None:
        super().__init__(cell, target, scale, connections)
        is_upload = cell.operation == "put"
        self._exchanges = exchanges
        self._script = Script(exchanges, plans.payload_of(cell, scale) if is_upload else None)
        self._limit = limit_of(cell, scale, connections) if is_upload else None

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round; of uploads no more than any other server is sent."""
        limited = rhythm if self._limit is None else rhythm.at_most(self._limit)
        tally = self.target.load(self._script, self.connections, limited)
        return {self.cell.name: self.noted(tally, self._exchanges)}

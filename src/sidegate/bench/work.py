"""One cell on one server, round after round: what all kinds of work have.

`prepare` renders what a round sends, `run` makes one round, `give_back` takes out
of memory what it stored; `verify` compares a sample in full, `close` ends what is open.
Only `run` is measured.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from sidegate.bench import plans
from sidegate.bench.cells import Cell
from sidegate.bench.corpus import Scale
from sidegate.bench.target import Target
from sidegate.bench.wrong_answers import difference
from sidegate.errors import SidegateError
from sidegate.native.exchange import Exchange, Rhythm, Tally

VERIFIED: Final = 16
VERIFIED_BYTES: Final = 128 << 20

STORING: Final = frozenset({"put", "multipart", "copy", "part-copy"})
"""Operations whose bodies a server stores anew."""

HEADROOM: Final = 1.5
"""How much more than in the last round is made ready."""

_serials = itertools.count(time.time_ns(), 1 << 24)


class Work(Protocol):
    """A cell on a server; `asked` is what the examples in its tallies are answers to."""

    asked: list[Exchange]

    def prepare(self, seconds: float) -> None:
        """Make ready what the next round sends, which lasts so long."""

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round; returns what was found by cell."""

    def give_back(self) -> None:
        """Take out of memory what a round stored, outside of the measured time."""

    def verify(self) -> list[str]:
        """Return what was wrong with a sample that was compared in full."""

    def close(self) -> None:
        """End what is open at the server."""

    def remove(self) -> None:
        """Delete what the cell wrote, after all else."""


@dataclass(slots=True)
class Basics:
    """What all work has."""

    cell: Cell
    target: Target
    scale: Scale
    connections: int
    began_seconds: float = field(default_factory=time.time, init=False)
    asked: list[Exchange] = field(default_factory=list, init=False)

    def noted(self, tally: Tally, exchanges: Sequence[Exchange], first_position: int = 0) -> Tally:
        """Return a tally of these exchanges, from one on, whose examples are by their place in `asked`."""
        for index, (position, answer) in enumerate(tally.examples):
            tally.examples[index] = (len(self.asked), answer)
            self.asked.append(exchanges[(first_position + position) % len(exchanges)])
        return tally

    def prepare(self, seconds: float) -> None:
        """Need nothing but memory to store in."""
        if self.cell.operation in STORING:
            self.target.warm_memory()

    def give_back(self) -> None:
        """Take out of memory what a round stored."""
        if self.cell.operation in STORING:
            self.target.give_back_memory(self.began_seconds)

    def verify(self) -> list[str]:
        """Have nothing to compare."""
        return []

    def remove(self) -> None:
        """Delete what the cell wrote, so that the disk holds one cell's at a time."""
        if self.cell.operation in STORING and not self.target.is_bare and not self.target.keeps_history:
            with suppress(SidegateError):  # what cannot be deleted is told when the run ends
                self.target.remove_written(plans.written_folder(self.cell))

    def close(self) -> None:
        """Leave nothing open."""


def expected(tally: Tally | None, seconds: float, least: int, most: int) -> int:
    """Return how many requests a round will make at most, by what the last one did."""
    if tally is None or not tally.seconds:
        return min(least, most)
    return max(least, min(most, int(HEADROOM * tally.answered / tally.seconds * seconds)))


def limit_of(cell: Cell, scale: Scale, connections: int) -> int:
    """Return how many uploads a round sends at most."""
    return max(connections, scale.round_bytes // cell.moved_bytes(scale))


def next_serial() -> int:
    """Return the first of many serials for what is written: never those of an earlier run on a store."""
    return next(_serials)


def wrong_bodies(target: Target, written: list[tuple[str, Callable[[], bytes]]]) -> list[str]:
    """Read objects back; returns what is wrong with them."""
    wrong = []
    with target.client() as client:
        for key, body in written:
            answer = client.ask("GET", f"/{target.writes}/{key}")
            if answer.status != 200:
                wrong.append(f"GET of the written {key}: {answer.error()}")
            elif answer.body != (written_body := body()):
                found = difference(answer.body, written_body)
                wrong.append(f"GET of the written {key}: the answer is not what was written: {found}")
    return wrong

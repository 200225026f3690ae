"""Reads at one worker while others write to a branch, and whether they are the newest.

What is read is the branch, or the commit below it: with the same writing going on beside,
so that what it takes from the client's core is missing to both.  One in four of what is
written replaces an object that is being read.  Meanwhile a witness writes at one worker, and
reads what it wrote at the one that is measured.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from sidegate.bench import plans
from sidegate.bench.cells import Cell
from sidegate.bench.client import Client
from sidegate.bench.client_limits import fault_of, raise_exhausted
from sidegate.bench.corpus import SMALL_BYTES, Scale, small_object
from sidegate.bench.reading import ReadWork
from sidegate.bench.target import Target
from sidegate.bench.work import VERIFIED, next_serial
from sidegate.bench.workers import close_all
from sidegate.errors import SidegateError, Unavailable
from sidegate.native import Script
from sidegate.native.exchange import Exchange, Payload, Rhythm, Tally

CONNECTIONS_PER_WRITER: Final = 2
WRITES_BETWEEN_READ_KEYS: Final = 4
WITNESS_KEYS: Final = 4
REPLACED_KEYS: Final = 100
"""Objects that are read and written, at most a quarter of all."""

TICK_SECONDS: Final = 0.01
WRITES_PER_TICK: Final = 5
"""Of each writer: 1000 a second by two, which leaves most of the client's core to the reader's load."""

PAUSE_SECONDS: Final = 0.02
"""Between two looks of the witness, which is to see and not to be a load."""


class BesideWritersWork(ReadWork):
    """Reads while others write to the branch; their failures count too."""

    def __init__(self, cell: Cell, target: Target, scale: Scale, connections: int) -> None:
        super().__init__(cell, target, scale, connections)
        count = min(REPLACED_KEYS, scale.small_objects // 4)
        is_commit = target.branch != target.writes
        read = () if is_commit else tuple(small_object(number).key for number in range(WITNESS_KEYS + count))
        self._exchanges = _of_any_content(plans.reading_exchanges(cell, target, scale), read)
        self._script = Script(self._exchanges)
        keys = [small_object(WITNESS_KEYS + number).key for number in range(count)]
        self._writers = [_Writer(cell, writer, keys) for writer in target.writers]
        self._witness = _Witness(target)

    def run(self, rhythm: Rhythm) -> dict[str, Tally]:
        """Make one round."""
        # Not alone on the client's core: a client that polled would take it from the writers.
        sleeping = replace(rhythm, poll=False)
        ended = threading.Event()
        with ThreadPoolExecutor(len(self._writers) + 1) as threads:
            writing = [threads.submit(one.run, ended) for one in self._writers]
            looking = threads.submit(self._witness.look, ended.is_set)
            try:
                ((name, tally),) = super().run(sleeping).items()
            finally:
                ended.set()
        looking.result()
        for writer, done in zip(self._writers, writing, strict=True):
            for written in done.result():
                tally.failed += written.failed + written.unanswered
                tally.examples += self.noted(written, writer.exchanges).examples
        return {name: tally}

    def verify(self) -> list[str]:
        """Say what the witness saw, and let it look a little more now that nobody else writes."""
        looks = iter(range(VERIFIED))
        self._witness.look(lambda: next(looks, None) is None)
        return self._witness.wrong[:VERIFIED]


def _of_any_content(exchanges: list[Exchange], keys: tuple[str, ...]) -> list[Exchange]:
    """Return the exchanges; what is replaced meanwhile is compared by its length alone."""
    return [replace(one, body=None) if _path(one).endswith(keys) else one for one in exchanges]


def _path(exchange: Exchange) -> str:
    return exchange.head.split(b" ", 2)[1].partition(b"?")[0].decode()


class _Writer:
    """Puts objects at one worker, from where the last round ended."""

    def __init__(self, cell: Cell, target: Target, read_keys: list[str]) -> None:
        self._target = target
        new = [plans.written_key(cell, number) for number in range(len(read_keys) * WRITES_BETWEEN_READ_KEYS)]
        mixed = [
            read_keys[number // WRITES_BETWEEN_READ_KEYS] if number % WRITES_BETWEEN_READ_KEYS == 0 else key
            for number, key in enumerate(new)
        ]
        fields = {"content-length": str(SMALL_BYTES)}
        heads = [
            target.signer.head("PUT", f"/{target.writes}/{key}", headers=fields, variant=number)
            for number, key in enumerate(mixed)
        ]
        template = random.Random(target.worker).randbytes(SMALL_BYTES)
        self.exchanges = [Exchange(head) for head in heads]
        self._script = Script(self.exchanges, Payload(template, (0,)))
        self._position = 0

    def run(self, ended: threading.Event) -> list[Tally]:
        """Write at a steady pace until told to end; returns what was found."""
        found: list[Tally] = []
        serial, began, sockets = next_serial(), time.monotonic(), self._target.connect(CONNECTIONS_PER_WRITER)
        try:
            while not ended.wait(max(0.0, began + len(found) * TICK_SECONDS - time.monotonic())):
                found.append(
                    self._script.drive(
                        [one.fileno() for one in sockets],
                        Rhythm(60.0, WRITES_PER_TICK, 60.0, False),
                        first_position=self._position,
                        first_serial=serial,
                    )
                )
                written = found[-1].examples
                written[:] = [(self._position + position, answer) for position, answer in written]
                self._position += WRITES_PER_TICK
                serial += WRITES_PER_TICK
        except OSError as error:
            raise_exhausted(error, self._target.endpoint.url)
            raise Unavailable(f"worker {self._target.worker} does not answer: {error}") from error
        finally:
            close_all(sockets)
        return found


class _Witness:
    """Writes at one worker after another and reads at the measured one what it has just written."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.wrong: list[str] = []
        self.looks = 0

    def look(self, ended: Callable[[], bool]) -> None:
        """Look until told to end, at least once; what is wrong is kept."""
        pause = threading.Event()
        try:
            with self._target.client() as reader:
                writers = [target.client() for target in self._target.writers]
                try:
                    while True:
                        self._look_once(reader, writers[self.looks % len(writers)])
                        if ended():
                            return
                        pause.wait(PAUSE_SECONDS)
                finally:
                    for one in writers:
                        one.close()
        except SidegateError as error:
            self.wrong.append(fault_of(error))

    def _look_once(self, reader: Client, writer: Client) -> None:
        body = random.Random(next_serial()).randbytes(SMALL_BYTES)
        path = f"/{self._target.writes}/{small_object(self.looks % WITNESS_KEYS).key}"
        self.looks += 1
        writer.demand("PUT", path, body=body)
        answer = reader.ask("GET", path)
        if answer.status != 200:
            self.wrong.append(f"GET {path}: {answer.error()}")
        elif answer.body != body:
            self.wrong.append(f"GET {path}: the answer is older than what was acknowledged before it")

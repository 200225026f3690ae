"""A server as a run uses it: how to sign, which buckets, which process.

`load` keeps connections busy and counts; a request that cannot be made at all
is a failure of the server, not of the run, unless the client itself is at its end.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sidegate.bench.client import Client
from sidegate.bench.client_limits import raise_exhausted
from sidegate.bench.endpoints import Endpoint
from sidegate.bench.page_cache import drop_written, write_back
from sidegate.bench.processes import ProcessTree
from sidegate.bench.signing import Signer
from sidegate.bench.warm_pool import WarmPool
from sidegate.bench.workers import CONNECT_SECONDS, close_all, connect_to_worker
from sidegate.errors import Unavailable
from sidegate.http.loopback import connect_unpaced
from sidegate.native import Script
from sidegate.native.exchange import Rhythm, Tally

SETTLE_SECONDS = 3.0
ASKED_SECONDS = 0.001
"""CPU time of a server that was asked something; what it does by itself is less."""


@dataclass(frozen=True, slots=True)
class Target:
    """One server under measurement.

    `reads` holds what is read, `writes` takes what is written: one bucket, or a
    job's input and its `out`.  `many` is a bucket of very many keys, `branch` one
    with open writes, or the commit below.  `stores` is the file or folder that
    the server stores in, `pool` the memory that it is to find.  `only` names the
    cells that it takes part in; copies of gigabytes are asked of ours alone.
    `keeps_history`: deleting frees nothing there.  `pausable`: its process belongs to
    the run and keeps no lease, so that it can be stopped while others are measured.
    `worker` is the one process of several that is asked, `writers` are others of
    the same server that are written to meanwhile.
    """

    endpoint: Endpoint
    signer: Signer
    reads: str = ""
    writes: str = ""
    many: str | None = None
    branch: str | None = None
    process: ProcessTree | None = None
    stores: Path | None = None
    pool: WarmPool | None = None
    is_bare: bool = False
    is_ours: bool = False
    keeps_history: bool = False
    only: frozenset[str] | None = None
    pausable: bool = False
    worker: str | None = None
    writers: tuple[Target, ...] = ()

    @property
    def label(self) -> str:
        """The name in tables."""
        return self.endpoint.label

    def client(self) -> Client:
        """Return a client for what is not measured."""
        return Client(self.endpoint, self.signer, self.connect)

    def connect(self, count: int = 1) -> list[socket.socket]:
        """Return new connections, to the one worker where that is said.

        Raises OSError, ClientExhausted where it is the client's, Unavailable for a worker that is not met.
        """
        address = (self.endpoint.host, self.endpoint.port)
        found: list[socket.socket] = []
        try:
            if self.worker is not None:
                found = connect_to_worker(address, self.worker, count)
            else:
                for _ in range(count):
                    found.append(connect_unpaced(address, CONNECT_SECONDS))
        except OSError as error:
            close_all(found)
            raise_exhausted(error, self.endpoint.url)
            raise
        return found

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let the server run, and be done with what it was asked before another has its turn.

        Some go on with requests whose connection is closed (rclone reads whole objects
        and digests them), on the core where the next one is measured.
        """
        if self.process is None:
            yield
            return
        if self.pausable:
            self.process.resume()
        before = self.process.cpu_seconds()
        try:
            yield
        finally:
            # Most servers take no part in most cells.
            if self.process.cpu_seconds() - before > ASKED_SECONDS:
                self.process.settle(SETTLE_SECONDS)
            if self.pausable:
                self.process.pause()

    def load(
        self,
        script: Script,
        connections: int,
        rhythm: Rhythm,
        *,
        first_position: int = 0,
        first_serial: int = 0,
        keep_answers: bool = False,
    ) -> Tally:
        """Keep `connections` busy with a script; raises Unavailable when there is no server."""
        with self.connected(connections) as descriptors:
            return script.drive(
                descriptors,
                rhythm,
                first_position=first_position,
                first_serial=first_serial,
                keep_answers=keep_answers,
            )

    @contextmanager
    def connected(self, count: int) -> Iterator[list[int]]:
        """Open connections to drive scripts over; what fails on them is Unavailable, or ClientExhausted."""
        sockets: list[socket.socket] = []
        try:
            sockets = self.connect(count)
            yield [one.fileno() for one in sockets]
        except OSError as error:
            raise_exhausted(error, self.endpoint.url)
            raise Unavailable(f"{self.label} ({self.endpoint.url}) does not answer: {error}") from error
        finally:
            close_all(sockets)

    def remove_written(self, folder: str) -> None:
        """Delete what was written below a folder; raises Refused, Unavailable."""
        bucket, _, place = self.writes.partition("/")
        with self.client() as client:
            client.clear(bucket, f"{place}/{folder}/" if place else f"{folder}/")

    def lacks_room(self, size_bytes: int) -> str | None:
        """Say so when the disk that the server stores on has less room than that, where it is known."""
        if self.stores is None:
            return None
        place = self.stores if self.stores.exists() else self.stores.parent
        free = shutil.disk_usage(place).free
        if free >= size_bytes:
            return None
        return (
            f"the disk it stores on is full, {free >> 20} MiB are free in {place}: "
            "what is wrong here may be due to that; name a folder that has more with --folder or TMPDIR"
        )

    def warm_memory(self) -> None:
        """Have warm memory at hand for a round of uploads, as for that of any other server."""
        if self.pool is not None:
            self.pool.refill()

    def give_back_memory(self, since_seconds: float) -> None:
        """Give back the memory of what was written since then, where is known what the server stores in."""
        if self.pool is None:
            return
        write_back()
        if self.stores is not None:
            drop_written(self.stores, since_seconds)

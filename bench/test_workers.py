"""Several workers over one store: what reading costs beside writers, and what a second core brings.

Server CPU per request is what counts here: workers, writers and readers share the cores of a small
machine, so rates say little.  Each worker is asked over connections that lead to it alone.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from corpus import Scale
from figures import Figure, Goal, of_rounds
from sidegate.bench.workers import CONNECT_SECONDS, connect_to_worker, find_workers
from sidegate.http.loopback import connect_unpaced
from sidegate.native import Script
from sidegate.native.exchange import Exchange, Payload, Rhythm, Tally
from sidegate.pfs.store import Store

OBJECT_BYTES = 4096
CONNECTIONS = 8
WRITES_BETWEEN_READ_KEYS = 4
"""Of so many writes of a writer one replaces an object that is being read."""


class Server:
    """`sidegate serve` with as many workers, in process groups of their own."""

    def __init__(self, store: Path, workers: int, *words: str) -> None:
        command = [sys.executable, "-m", "sidegate", "--store", str(store), "serve", "--json"]
        command += ["--address", "127.0.0.1:0", "--finish-after", "never", "--workers", str(workers)]
        self._process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        endpoint = json.loads(self._process.stdout.readline())["endpoint"]
        host, _, port = endpoint.removeprefix("http://").rpartition(":")
        self.address = (host, int(port))
        self.pids = find_workers(self._process.pid) if workers > 1 else {"": self._process.pid}

    def connect(self, worker: str | None = None, count: int = CONNECTIONS) -> list[socket.socket]:
        """Return connections to one worker, or to whichever come."""
        if worker is not None:
            found = connect_to_worker(self.address, worker, count)
        else:
            found = [connect_unpaced(self.address, CONNECT_SECONDS) for _ in range(count)]
        for one in found:
            one.setblocking(False)
        return found

    def cpu_seconds(self, worker: str) -> float:
        """Return the CPU time of a worker so far, all its threads (glibc's clock_getcpuclockid)."""
        return time.clock_gettime((~self.pids[worker] << 3) | 2)

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.wait(30) == 0
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextmanager
def serving(store: Path, workers: int, *words: str) -> Iterator[Server]:
    server = Server(store, workers, *words)
    try:
        yield server
    finally:
        server.stop()


@dataclass(frozen=True, slots=True)
class Corpus:
    """A store whose branch has a commit of small objects."""

    store: Path
    commit: str
    contents: dict[str, bytes]


@pytest.fixture
def corpus(tmp_path: Path, scale: Scale) -> Corpus:
    generator = random.Random(7)
    contents = {f"data/{n:05}": generator.randbytes(OBJECT_BYTES) for n in range(scale.small_objects)}
    Store.create(tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        store.repos.create("labs")
        records = []
        for key, content in contents.items():
            cutter = store.cutter()
            cutter.write(content)
            records.append((key, store.record(cutter.finish())))
        store.branch_view("labs", "master").put_many(records)
        (commit,) = store.finish_open("labs", "master")
    return Corpus(tmp_path / "store", commit.id, contents)


def get(bucket: str, key: str, body: bytes | None) -> Exchange:
    head = f"GET /{bucket}/{key} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n"
    return Exchange(head.encode(), body_bytes=OBJECT_BYTES, body=body)


def put(bucket: str, key: str) -> Exchange:
    head = f"PUT /{bucket}/{key} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {OBJECT_BYTES}\r\n\r\n"
    return Exchange(head.encode())


def drive(script: Script, sockets: list[socket.socket], seconds: float, serial: int = 0) -> Tally:
    rhythm = Rhythm(seconds, 1 << 30, drain_seconds=20, poll=False)
    tally = script.drive([one.fileno() for one in sockets], rhythm, first_serial=serial)
    assert (tally.failed, tally.unanswered, tally.reconnections) == (0, 0, 0), tally.examples
    return tally


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of reading at one worker; `writes` were acknowledged meanwhile."""

    requests: int
    seconds: float
    cpu_seconds: float
    writes: int

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / self.requests * 1e6


class Reading:
    """Reads at one worker, over and over; what is compared depends on whether others overwrite it."""

    def __init__(self, server: Server, worker: str, bucket: str, contents: dict[str, bytes], *, same: bool):
        exchanges = [get(bucket, key, body if same else None) for key, body in contents.items()]
        self._script = Script(exchanges)
        self._server = server
        self._worker = worker
        self._sockets = server.connect(worker)

    def measure(self, seconds: float, writes: Callable[[], int] = lambda: 0) -> Sample:
        before, written = self._server.cpu_seconds(self._worker), writes()
        tally = drive(self._script, self._sockets, seconds)
        spent = self._server.cpu_seconds(self._worker) - before
        return Sample(tally.answered, tally.seconds, spent, writes() - written)


class Writer(threading.Thread):
    """Puts objects at one worker, one after another over two connections, until told to end."""

    def __init__(self, server: Server, worker: str, keys: list[str]) -> None:
        super().__init__()
        names = [f"new/{worker}/{number}" for number in range(len(keys) * (WRITES_BETWEEN_READ_KEYS - 1))]
        mixed = [
            keys[n // WRITES_BETWEEN_READ_KEYS]
            if n % WRITES_BETWEEN_READ_KEYS == 0
            else names[n % len(names)]
            for n in range(len(keys) * WRITES_BETWEEN_READ_KEYS)
        ]
        payload = Payload(random.Random(worker).randbytes(OBJECT_BYTES), (0,))
        self._script = Script([put("labs", key) for key in mixed], payload)
        self._sockets = server.connect(worker, 2)
        self._end = threading.Event()
        self.acknowledged = 0
        self.error: AssertionError | None = None
        self.start()

    def run(self) -> None:
        try:
            while not self._end.is_set():
                self.acknowledged += drive(self._script, self._sockets, 0.1, self.acknowledged).answered
        except AssertionError as error:
            self.error = error

    def finish(self) -> None:
        self._end.set()
        self.join()
        assert self.error is None, self.error


def test_get_of_an_open_branch_beside_two_writers(
    benchmark: Any, corpus: Corpus, scale: Scale, report: Callable[[Figure], None]
) -> None:
    """Three workers: one is read from, two are written to; the reader's CPU per GET against a commit's."""
    committed, quiet, beside = [], [], []
    with serving(corpus.store, 3, "--durability", "process") as server:
        of_commit = Reading(server, "1", f"{corpus.commit}.master.labs", corpus.contents, same=True)
        of_branch = Reading(server, "1", "labs", corpus.contents, same=False)
        for reading in (of_commit, of_branch):
            reading.measure(scale.seconds)

        def one_round() -> None:
            committed.append(of_commit.measure(scale.seconds))
            quiet.append(of_branch.measure(scale.seconds))
            writers = [Writer(server, worker, list(corpus.contents)[:100]) for worker in ("2", "3")]
            total = lambda: sum(writer.acknowledged for writer in writers)  # noqa: E731
            beside.append(of_branch.measure(scale.seconds, total))
            for writer in writers:
                writer.finish()

        benchmark.pedantic(one_round, rounds=scale.rounds)
    ratio = median(base.cpu_us / loaded.cpu_us for base, loaded in zip(committed, beside, strict=True))
    figure = of_rounds(
        "GET 4 KiB, open branch, two writers",
        "us CPU",
        [sample.cpu_us for sample in beside],
        goal=Goal("at least", "ratio", 0.8),
        commit_cpu_us=median(sample.cpu_us for sample in committed),
        quiet_branch_cpu_us=median(sample.cpu_us for sample in quiet),
        writes_per_second=median(sample.writes / sample.seconds for sample in beside),
        reads_per_second=median(sample.requests / sample.seconds for sample in beside),
    )
    figure.bare, figure.ratio = figure.details["commit_cpu_us"], ratio
    print(figure)
    report(figure)


def test_get_with_one_worker_and_with_two(
    benchmark: Any, corpus: Corpus, scale: Scale, report: Callable[[Figure], None]
) -> None:
    """The same load on one worker and on two: rate, CPU per request of each, and how even they are."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    costs: dict[int, list[float]] = {1: [], 2: []}
    shares = []
    with ExitStack() as stack:
        servers = {count: stack.enter_context(serving(corpus.store, count)) for count in rates}
        script = Script([get(f"{corpus.commit}.master.labs", *item) for item in corpus.contents.items()])
        sockets = {count: server.connect(None, 16) for count, server in servers.items()}
        for count in rates:
            drive(script, sockets[count], scale.seconds)

        def one_round() -> None:
            for count, server in servers.items():
                before = {worker: server.cpu_seconds(worker) for worker in server.pids}
                tally = drive(script, sockets[count], scale.seconds)
                spent = [server.cpu_seconds(worker) - was for worker, was in before.items()]
                rates[count].append(tally.answered / tally.seconds)
                costs[count].append(sum(spent) / tally.answered * 1e6)
                if count == 2:
                    shares.append(max(spent) / min(spent))

        benchmark.pedantic(one_round, rounds=scale.rounds)
    figure = of_rounds(
        "GET 4 KiB, two workers",
        "req/s",
        rates[2],
        goal=Goal("at least", "ratio", 1.7),
        cpu_us=median(costs[2]),
        one_worker_cpu_us=median(costs[1]),
        busiest_to_idlest_worker=median(shares),
    )
    figure.bare = median(rates[1])
    figure.ratio = median(two / one for two, one in zip(rates[2], rates[1], strict=True))
    print(figure)
    report(figure)

"""Whether one client delays the others: latencies of GET 4 KiB alone, and beside uploads or slow clients.

Quiet rounds and others alternate.  The server is on one core, then on two; the clients are
on the other one, where those that only make work give way to the one that measures.  What
that core cannot but add is measured too: with uploads that no server sees.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import pytest

from corpus import Scale
from figures import Figure, Goal
from sidegate.bench.cells import CELLS
from sidegate.bench.corpus import plain_object, scale_named
from sidegate.bench.latencies import added, percentile
from sidegate.bench.placing import on_cores
from sidegate.bench.plans import reading_exchanges
from sidegate.bench.servers import Cores, ServerProcess, start_sidecar
from sidegate.bench.signing import Signer
from sidegate.bench.stock import INPUT, make_stock
from sidegate.bench.target import Target
from sidegate.native import Script
from sidegate.native.exchange import Rhythm, Tally
from traffic import Background, Sink, SlowReader, SlowWriter, Upload, first

UPLOADS: Final = 4
SLOW_CLIENTS: Final = 8
"""Of each kind."""

NEEDED = [cell for cell in CELLS if cell.name in ("get-4k", "get-64m")]
SMALL, LARGE = NEEDED

_names = itertools.count()


@dataclass(slots=True)
class Latencies:
    """Of all rounds of one kind."""

    tallies: list[Tally] = field(default_factory=list)

    def at(self, share: float) -> float:
        """Return a percentile in ms, over all rounds."""
        return (percentile(added(tally.latencies for tally in self.tallies), share) or 0.0) * 1e3

    @property
    def rate(self) -> float:
        return median(tally.answered / tally.seconds for tally in self.tallies)


class Arena:
    """A gateway, and what reads small objects from it."""

    def __init__(self, process: ServerProcess, cores: str, small_scale: str) -> None:
        self.cores = cores
        self.address = (process.endpoint.host, process.endpoint.port)
        self.large = f"/{INPUT}/{plain_object(LARGE.moved_bytes(scale_named(small_scale))).key}"
        signer = Signer(process.endpoint.authority, "none", None, time.time)
        self._target = Target(process.endpoint, signer, INPUT, "out")
        self._script = Script(reading_exchanges(SMALL, self._target, scale_named(small_scale)))

    def read(self, seconds: float, connections: int) -> Tally:
        """Read small objects; every answer is compared."""
        # A client that polled would leave nothing of its core to the uploads.
        with first():
            tally = self._target.load(self._script, connections, Rhythm(seconds, 1 << 40, 30.0, False))
        assert (tally.failed, tally.unanswered) == (0, 0), tally.examples
        return tally


@pytest.fixture(scope="module", params=["one core", "two cores"])
def arena(request: pytest.FixtureRequest, scale: Scale) -> Iterator[Arena]:
    cores = Cores.choose()
    name = "smoke" if scale.smoke else "small"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sidegate-bench-")))
        stack.enter_context(on_cores({cores.client}))
        stock = make_stock(folder, NEEDED, scale_named(name))
        # It has as many threads that hash as there are cores when it starts.
        of_server = {cores.server} if request.param == "one core" else {cores.server, cores.client}
        gateway = start_sidecar("sidegate", stock.store, stock.inputs, of_server)
        stack.callback(gateway.stop)
        yield Arena(gateway, request.param, name)


@contextmanager
def at_work(
    steps: Sequence[Callable[[], None]], clients: Sequence[Upload | SlowReader | SlowWriter]
) -> Iterator[list[Background]]:
    """Repeat each step in a thread; at the end these are waited for, then all clients closed."""
    threads = [Background(step) for step in steps]
    try:
        yield threads
    finally:
        for thread in threads:
            thread.finish()
        for client in clients:
            client.close()


@contextmanager
def uploads(arena: Arena, scale: Scale) -> Iterator[list[Background]]:
    """Four uploads at once; each that is done is followed by another."""
    running: list[Upload] = []

    def uploader() -> Callable[[], None]:
        upload: Upload | None = None

        def step() -> None:
            nonlocal upload
            if upload is None:
                upload = Upload(arena.address, f"/out/up/{next(_names)}", scale.upload_bytes)
                running.append(upload)
            if upload.send():
                upload.close()
                upload = None

        return step

    with at_work([uploader() for _ in range(UPLOADS)], running) as threads:
        yield threads


@contextmanager
def slow_clients(arena: Arena, scale: Scale) -> Iterator[list[Background]]:
    """Readers that take little, and writers that send little."""
    clients: list[SlowReader | SlowWriter] = [
        SlowReader(arena.address, arena.large) for _ in range(SLOW_CLIENTS)
    ]
    clients += [SlowWriter(arena.address, f"/out/slow/{next(_names)}") for _ in range(SLOW_CLIENTS)]
    with at_work([client.step for client in clients], clients) as threads:
        yield threads


@contextmanager
def uploads_elsewhere(arena: Arena, scale: Scale) -> Iterator[list[Background]]:
    """As many to a sink: what the client's core alone adds, in whatever the server is asked beside."""
    del arena, scale
    sink = Sink()
    try:
        endless = [Upload(sink.address, "/", 1 << 50) for _ in range(UPLOADS)]
        with at_work([upload.send for upload in endless], endless) as threads:
            yield threads
    finally:
        sink.close()


BESIDE = {
    "four uploads": uploads,
    "four uploads elsewhere": uploads_elsewhere,
    "slow readers and writers": slow_clients,
}


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("connections", [1, 16])
def test_get_beside(
    benchmark: Any,
    arena: Arena,
    scale: Scale,
    report: Callable[[Figure], None],
    beside: str,
    connections: int,
) -> None:
    quiet, loaded, moved = Latencies(), Latencies(), []
    arena.read(scale.seconds, connections)

    def one_round() -> None:
        quiet.tallies.append(arena.read(scale.seconds, connections))
        with BESIDE[beside](arena, scale) as threads:
            time.sleep(scale.seconds / 4)
            before = sum(thread.steps for thread in threads)
            loaded.tallies.append(arena.read(scale.seconds, connections))
            moved.append((sum(thread.steps for thread in threads) - before) / scale.seconds)

    benchmark.pedantic(one_round, rounds=scale.rounds)
    figure = Figure(
        f"GET 4 KiB, {connections} at once, beside {beside}, {arena.cores}: p99",
        "ms",
        loaded.at(0.99),
        bare=quiet.at(0.99),
        ratio=loaded.at(0.99) / quiet.at(0.99),
        goal=Goal("less than", "ratio", 2.0) if BESIDE[beside] is not uploads_elsewhere else None,
        details={
            "p50_ms": loaded.at(0.5),
            "quiet_p50_ms": quiet.at(0.5),
            "rate": loaded.rate,
            "quiet_rate": quiet.rate,
            "steps_per_second": median(moved),
        },
    )
    print(figure)
    report(figure)

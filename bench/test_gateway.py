"""The gateway over loopback beside the yardstick, in alternating rounds.

What is asked is in workloads.toml.  Both servers run on one core, the load
generator on another; each round asks the yardstick, then the gateway.  A wrong
answer fails the case, a goal that is not reached does not.
"""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest

import exchanges
from corpus import Corpus, Scale, make, warm_memory
from exchanges import Workload
from figures import GOALS, Figure, Goal, of_rounds
from generator import Generator
from load import Job, Outcome
from servers import Cores, ServerProcess, start_gateway, start_yardstick

WORKLOADS = [
    Workload(**entry)
    for entry in tomllib.loads((Path(__file__).parent / "workloads.toml").read_text())["workload"]
]

MINIMUM_COUNT = 2
VERIFIED = 16


@dataclass(frozen=True, slots=True)
class Arena:
    """Both servers, the generator, and the data."""

    corpus: Corpus
    gateway: ServerProcess
    yardstick: ServerProcess
    generator: Generator
    cores: Cores


@dataclass(frozen=True, slots=True)
class Sample:
    """One round on one server."""

    outcome: Outcome
    server_cpu_seconds: float
    waited_seconds: float

    @property
    def rate(self) -> float:
        return self.outcome.requests / self.outcome.seconds

    @property
    def cpu_per_request(self) -> float:
        return self.server_cpu_seconds / self.outcome.requests


@pytest.fixture(scope="module")
def corpus(scale: Scale) -> Iterator[Corpus]:
    with tempfile.TemporaryDirectory(prefix="sidegate-bench-") as directory:
        yield make(Path(directory), scale)


@pytest.fixture(scope="module")
def arena(corpus: Corpus) -> Iterator[Arena]:
    cores = Cores.choose()
    gateway = start_gateway(corpus.store, corpus.commit, cores)
    yardstick = start_yardstick(corpus.raw_file, cores)
    generator = Generator(cores)
    yield Arena(corpus, gateway, yardstick, generator, cores)
    generator.close()
    yardstick.stop()
    gateway.stop()


class Side:
    """One server's part in a case: the same workload, round after round."""

    def __init__(self, arena: Arena, workload: Workload, server: ServerProcess, *, bare: bool) -> None:
        self._arena = arena
        self._workload = workload
        self._bare = bare
        self.server = server
        self.samples: list[Sample] = []
        self.last_job: Job | None = None
        self.count = MINIMUM_COUNT

    def calibrate(self, seconds: float) -> None:
        """Choose how many requests a round makes, after warming everything up."""
        self.count = max(MINIMUM_COUNT, self._workload.connections)
        for _ in range(2):
            rate = self._measure().rate
            self.count = max(MINIMUM_COUNT, self._workload.connections, round(rate * seconds))

    def round(self) -> None:
        """Make one round and keep its sample."""
        self.samples.append(self._measure())

    def _measure(self) -> Sample:
        arena, workload = self._arena, self._workload
        if workload.operation == "put" and not self._bare:
            warm_memory(arena.corpus.store.parent, self.count * exchanges.moved_bytes(workload, arena.corpus))
        make_job = exchanges.bare_job if self._bare else exchanges.gateway_job
        job = make_job(workload, arena.corpus, self.server.address, self.count, poll=arena.cores.apart)
        cpu_before, waited_before = self.server.cpu_seconds(), self.server.waited_seconds()
        outcome = arena.generator.run(job)
        cpu_seconds = self.server.cpu_seconds() - cpu_before
        assert outcome.error is None, f"{self.server.name}: {outcome.error}"
        self.last_job = job
        return Sample(outcome, cpu_seconds, self.server.waited_seconds() - waited_before)


@pytest.mark.parametrize("workload", WORKLOADS, ids=[workload.name for workload in WORKLOADS])
def test_gateway(
    benchmark: Any, workload: Workload, arena: Arena, scale: Scale, report: Callable[[Figure], None]
) -> None:
    ours = Side(arena, workload, arena.gateway, bare=False)
    bare = Side(arena, workload, arena.yardstick, bare=True)
    verify(arena, exchanges.verification(workload, arena.corpus, VERIFIED))
    ours.calibrate(scale.seconds)
    bare.calibrate(scale.seconds)
    benchmark.pedantic(ours.round, setup=bare.round, rounds=scale.rounds)
    verify_uploads(arena, workload, ours)
    figure = figure_of(workload, arena.corpus, ours.samples, bare.samples)
    benchmark.extra_info.update(
        figure.details, requests=ours.count, value=figure.value, bare=figure.bare, ratio=figure.ratio
    )
    report(figure)


def verify(arena: Arena, expected: list[exchanges.Exchange]) -> None:
    """Read answers in full and compare their digests."""
    if expected:
        job = Job(arena.gateway.address, "verify", expected, 1, len(expected), poll=False)
        outcome = arena.generator.run(job)
        assert outcome.error is None, outcome.error
        assert outcome.requests == len(expected)


def verify_uploads(arena: Arena, workload: Workload, side: Side) -> None:
    """Read back some of what the last round wrote."""
    if workload.operation == "put" and side.last_job is not None:
        verify(arena, exchanges.readback(side.last_job, side.samples[-1].outcome, VERIFIED))


def figure_of(workload: Workload, corpus: Corpus, ours: list[Sample], bare: list[Sample]) -> Figure:
    """Return the medians of both, and the median of the rounds' ratios."""
    moved_bytes = exchanges.moved_bytes(workload, corpus)
    factor = moved_bytes / 1e6 if workload.unit == "MB/s" else 1.0
    cpu, bare_cpu = (median(sample.cpu_per_request for sample in side) for side in (ours, bare))
    goal = None
    if workload.goal is not None:
        ((of, bound),) = workload.goal.items()
        goal = Goal("at least", of, bound)
    figure = of_rounds(
        workload.name,
        workload.unit,
        [sample.rate * factor for sample in ours],
        goal=goal,
        bare_rounds=[round(sample.rate * factor, 3) for sample in bare],
        server_cpu_us_per_request=cpu * 1e6,
        bare_server_cpu_us_per_request=bare_cpu * 1e6,
        cpu_ratio=bare_cpu / cpu,
        client_busy=median(sample.outcome.busy for sample in ours),
        bare_client_busy=median(sample.outcome.busy for sample in bare),
        contention=median(sample.waited_seconds / sample.outcome.seconds for sample in bare),
    )
    if moved_bytes >= 64 << 10:
        figure.details["server_cpu_seconds_per_gb"] = cpu / moved_bytes * 1e9
        figure.details["bare_server_cpu_seconds_per_gb"] = bare_cpu / moved_bytes * 1e9
    figure.bare = median(sample.rate * factor for sample in bare)
    figure.ratio = median(our.rate / base.rate for our, base in zip(ours, bare, strict=True))
    return figure


def test_peak_memory(benchmark: Any, corpus: Corpus, scale: Scale, report: Callable[[Figure], None]) -> None:
    """A gateway of its own, so that nothing but this traffic counts: in, then out, raw and compressed."""
    cores = Cores.choose()
    gateway = start_gateway(corpus.store, corpus.commit, cores)
    generator = Generator(cores)
    writing = next(w for w in WORKLOADS if w.operation == "put" and w.object == "raw")
    reading = [w for w in WORKLOADS if w.operation == "get" and w.object != "small"]
    count = max(2, scale.traffic_bytes // scale.object_bytes)
    started_bytes = gateway.peak_bytes()
    parts: dict[str, float] = {"started_mib": started_bytes / (1 << 20)}

    def traffic() -> None:
        for workload in (writing, *reading):
            share = count if workload is writing else count // len(reading)
            warm_memory(corpus.store.parent, scale.traffic_bytes if workload is writing else 0)
            gateway.forget_peak()
            job = exchanges.gateway_job(
                workload, corpus, gateway.address, share, poll=cores.apart, connections=4
            )
            outcome = generator.run(job)
            assert outcome.error is None, outcome.error
            parts[f"{workload.name} peak_mib"] = gateway.peak_bytes() / (1 << 20)

    try:
        benchmark.pedantic(traffic, rounds=1)
    finally:
        generator.close()
        gateway.stop()
    peak = max(value for name, value in parts.items() if name.endswith("peak_mib"))
    figure = Figure("peak memory", "MiB", peak, goal=GOALS["peak memory"], details=parts)
    figure.details["traffic"] = f"{scale.traffic_bytes >> 20} MiB in and {scale.traffic_bytes >> 20} MiB out"
    benchmark.extra_info.update(figure.details)
    report(figure)

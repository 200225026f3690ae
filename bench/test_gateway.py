"""The gateway over loopback beside the bare server, in alternating rounds.

What is asked are the cells of `sidegate bench self`; here they are cases of
pytest-benchmark, beside those of single functions.  A wrong answer fails a case,
speed does not.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from corpus import Scale
from figures import GOALS, Figure, of_rounds
from sidegate.bench import goals
from sidegate.bench.cells import CELLS, OURS_ALONE, Cell
from sidegate.bench.corpus import large_object, scale_named
from sidegate.bench.kinds import work_of
from sidegate.bench.results import Result, cpu_ratio, find, ratio
from sidegate.bench.rounds import Settings, measure
from sidegate.bench.servers import Cores, ServerProcess, start_sidecar, start_yardstick
from sidegate.bench.signing import Signer
from sidegate.bench.stock import INPUT, make_stock, write_file
from sidegate.bench.target import Target
from sidegate.native.exchange import Rhythm

MEASURED = [cell for cell in CELLS if not cell.needs & OURS_ALONE and cell.part_of is None]


@dataclass(frozen=True, slots=True)
class Arena:
    """Both servers, and how they are measured."""

    settings: Settings
    targets: list[Target]


def signer(process: ServerProcess) -> Signer:
    return Signer(process.endpoint.authority, "none", None, time.time)


@pytest.fixture(scope="module")
def arena(scale: Scale) -> Iterator[Arena]:
    cores, before = Cores.choose(), os.sched_getaffinity(0)
    settings = Settings(
        scale_named("smoke" if scale.smoke else "small"), scale.seconds, scale.rounds, poll=cores.apart
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sidegate-bench-")))
        os.sched_setaffinity(0, {cores.client})
        stack.callback(os.sched_setaffinity, 0, before)
        stock = make_stock(folder, MEASURED, settings.scale)
        file = folder / "bare.bin"
        write_file(file, large_object(settings.scale))
        gateway = start_sidecar(goals.OURS, stock.store, stock.inputs, cores.server)
        stack.callback(gateway.stop)
        bare = start_yardstick(goals.BARE, file, cores.server, folder)
        stack.callback(bare.stop)
        ours = Target(
            gateway.endpoint, signer(gateway), INPUT, "out", process=gateway.tree, stores=stock.store
        )
        yardstick = Target(bare.endpoint, signer(bare), process=bare.tree, is_bare=True)
        yield Arena(settings, [ours, yardstick])


@pytest.mark.parametrize("cell", MEASURED, ids=[cell.name for cell in MEASURED])
def test_gateway(benchmark: Any, cell: Cell, arena: Arena, report: Callable[[Figure], None]) -> None:
    results = benchmark.pedantic(
        measure, args=([cell], arena.targets, arena.settings, lambda line: None), rounds=1
    )
    assert [(r.label, r.examples, r.wrong, r.refused) for r in results if r.failures] == []
    ours = find(results, cell.name, goals.OURS)
    assert ours is not None
    assert ours.value
    figure = figure_of(ours, find(results, cell.name, goals.BARE))
    benchmark.extra_info.update(figure.details, value=figure.value, bare=figure.bare, ratio=figure.ratio)
    report(figure)


def figure_of(ours: Result, bare: Result | None) -> Figure:
    """Return the line of the report."""
    figure = of_rounds(
        ours.cell.title_at(ours.scale),
        ours.cell.unit,
        [ours.value or 0.0],
        server_cpu_us_per_request=(ours.cpu_seconds or 0.0) * 1e6,
        client_busy=ours.client_busy,
    )
    if ours.cpu_seconds_per_gb is not None:
        figure.details["server_cpu_seconds_per_gb"] = ours.cpu_seconds_per_gb
    if bare is not None:
        figure.bare, figure.ratio = bare.value, ratio(ours, bare)
        figure.details |= {
            "bare_server_cpu_us_per_request": (bare.cpu_seconds or 0.0) * 1e6,
            "bare_server_cpu_seconds_per_gb": bare.cpu_seconds_per_gb,
            "bare_client_busy": bare.client_busy,
            "cpu_ratio": cpu_ratio(ours, bare),
        }
    return figure


def test_peak_memory(benchmark: Any, arena: Arena, scale: Scale, report: Callable[[Figure], None]) -> None:
    """Large bodies in, then out, raw and compressed: what the process grows to."""
    target = replace(arena.targets[0], stores=None)
    process = target.process
    assert process is not None
    parts: dict[str, float] = {}

    def traffic() -> None:
        for name in ("put-64m", "get-64m", "csv-get-64m"):
            (cell,) = (one for one in MEASURED if one.name == name)
            count = max(2, scale.traffic_bytes // cell.moved_bytes(arena.settings.scale) // 3)
            work = work_of(cell, target, replace(arena.settings.scale, round_bytes=scale.traffic_bytes), 4)
            assert work is not None
            process.forget_peak()
            tally = work.run(Rhythm(120.0, count, 60.0, arena.settings.poll))[name]
            assert (tally.answered, tally.failed) == (count, 0), tally.examples
            parts[f"{cell.title} peak_mib"] = process.resident_bytes() / (1 << 20)

    benchmark.pedantic(traffic, rounds=1)
    figure = Figure("peak memory", "MiB", max(parts.values()), goal=GOALS["peak memory"], details={**parts})
    benchmark.extra_info.update(parts)
    report(figure)

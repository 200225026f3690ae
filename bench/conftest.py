"""Options, the shared scale, and the report at the end of a run."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from corpus import Scale
from figures import LATEST, Figure, as_document, keep, lines_of
from sidegate.bench.servers import Cores

_FIGURES = pytest.StashKey[list[Figure]]()
_SCALE = pytest.StashKey[Scale]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sidegate bench")
    group.addoption("--smoke", action="store_true", help="little data, one round: does every case still run?")
    group.addoption("--bench-rounds", type=int, default=5, help="alternating rounds per case")


def pytest_configure(config: pytest.Config) -> None:
    smoke = (
        config.getoption("--smoke")
        or config.getoption("benchmark_disable", default=False)
        or os.environ.get("SIDEGATE_BENCH_SMOKE", "") not in ("", "0")
    )
    config.stash[_SCALE] = Scale.choose(smoke=smoke, rounds=config.getoption("--bench-rounds"))
    config.stash[_FIGURES] = []


@pytest.fixture(scope="session")
def scale(pytestconfig: pytest.Config) -> Scale:
    """How much is measured."""
    return pytestconfig.stash[_SCALE]


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Callable[[Figure], None]:
    """Add a figure to the report."""
    return pytestconfig.stash[_FIGURES].append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures, scale = config.stash[_FIGURES], config.stash[_SCALE]
    if not figures:
        return
    cores = Cores.choose().describe()
    terminalreporter.section("sidegate and the bare server, in the same run")
    for line in lines_of(figures, judged=not scale.smoke):
        terminalreporter.write_line(line)
    for line in (
        "ratio: sidegate's rate to the bare server's; by CPU: the bare server's CPU time to sidegate's",
        f"a / b: with sidegate / with the bare server; client: share of the time it was busy; {cores}",
    ):
        terminalreporter.write_line(line)
    busy = [f.name for f in figures if f.details.get("contention", 0) > 0.05]
    if busy:
        terminalreporter.write_line(f"other work took the server's core during: {', '.join(busy)}")
    if scale.smoke:
        terminalreporter.write_line("smoke: every case ran and answered right; the figures mean nothing")
    else:
        keep(as_document(figures, cores))
        terminalreporter.write_line(f"kept in {LATEST}")

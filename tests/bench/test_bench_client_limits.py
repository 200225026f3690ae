"""What the client may have open: it is allowed, or refused before anything is measured, or ends the run."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from memory_s3 import MemoryS3

from sidegate.bench import target as targets
from sidegate.bench.client_limits import ClientExhausted, fault_of
from sidegate.bench.endpoints import parse_endpoint
from sidegate.bench.signing import Signer
from sidegate.bench.target import Target
from sidegate.cli.main import sidegate
from sidegate.errors import Unavailable
from sidegate.native import describe

pytest.importorskip("resource", reason="no limits of descriptors on this system")

SCRIPT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from sidegate.cli.main import sidegate
sidegate(sys.argv[3:])
"""
SHORT = ("--scale", "smoke", "--duration", "20ms", "--rounds", "1", "--sign", "none", "--cells", "head")


@pytest.fixture
def server() -> Iterator[MemoryS3]:
    started = MemoryS3()
    yield started
    started.close()


def bench_within(soft: int, hard: int, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, str(soft), str(hard), "bench", "s3", *words, *SHORT]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_client_allows_itself_the_connections_it_is_to_keep(server: MemoryS3, tmp_path: Path) -> None:
    done = bench_within(40, 400, server.url, "--concurrency", "60", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "WRONG" not in done.stdout


def test_more_than_the_hard_limit_is_refused_before_the_run(server: MemoryS3, tmp_path: Path) -> None:
    done = bench_within(64, 64, server.url, "--concurrency", "200", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --concurrency 200 needs ")
    assert " open files, and this process may have 64 (RLIMIT_NOFILE); " in done.stderr
    assert "`ulimit -n " in done.stderr
    assert server.requests == []


def test_what_it_says_would_do_does(server: MemoryS3, tmp_path: Path) -> None:
    refused = bench_within(64, 64, server.url, "--concurrency", "200", folder=tmp_path)
    less = refused.stderr.partition("use --concurrency ")[2].split()[0]
    done = bench_within(64, 64, server.url, "--concurrency", less, folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_cell_is_named_that_asks_for_too_many(server: MemoryS3, tmp_path: Path) -> None:
    done = bench_within(40, 40, server.url, folder=tmp_path)
    assert done.returncode == 2
    assert "the cell head, with 16 connections, needs " in done.stderr
    assert server.requests == []


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EMFILE, "this process has all "),
        (errno.ENFILE, "this machine has no files left"),
        (errno.EADDRNOTAVAIL, "this machine has no address and port left"),
    ],
)
@pytest.mark.parametrize("after", [0, 20], ids=["loading", "measuring"])
def test_a_client_at_its_end_is_no_wrong_answer(
    server: MemoryS3, monkeypatch: pytest.MonkeyPatch, number: int, message: str, after: int
) -> None:
    connect: Callable[..., object] = targets.connect_unpaced
    calls = iter(range(1000))

    def connect_some(*where: object) -> object:
        if next(calls) >= after:
            raise OSError(number, os.strerror(number))
        return connect(*where)

    monkeypatch.setattr(targets, "connect_unpaced", connect_some)
    done = CliRunner().invoke(sidegate, ["bench", "s3", server.url, *SHORT])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert f"error: {message}" in done.stderr
    assert "WRONG" not in done.stderr
    assert ("HEAD 4 KiB" in done.stderr) == bool(after)
    assert server.buckets == {}


@pytest.mark.parametrize(
    ("number", "is_clients"), [(errno.EADDRNOTAVAIL, True), (errno.EMFILE, True), (errno.ECONNREFUSED, False)]
)
def test_so_it_is_while_connections_are_made_again(server: MemoryS3, number: int, is_clients: bool) -> None:
    endpoint = parse_endpoint(server.url)
    target = Target(endpoint, Signer(endpoint.authority, "none", None, lambda: 0.0))
    with pytest.raises(Unavailable) as raised, target.connected(1):
        raise OSError(number, os.strerror(number))
    assert isinstance(raised.value, ClientExhausted) == is_clients
    if is_clients:
        with pytest.raises(ClientExhausted):
            fault_of(raised.value)
    else:
        assert fault_of(raised.value).endswith("does not answer: [Errno 111] Connection refused")


def test_the_plain_loop_needs_two_for_each(server: MemoryS3, tmp_path: Path) -> None:
    counts = []
    for connections in ("300", "301"):
        done = bench_within(64, 64, server.url, "--concurrency", connections, folder=tmp_path)
        counts.append(int(done.stderr.partition("needs ")[2].split()[0]))
    assert counts[1] - counts[0] == (1 if describe().implementation == "native" else 2)

"""A gateway with few file descriptors goes on serving those who are connected."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sidegate.descriptors import ENOUGH
from sidegate.pfs.store import Store

SERVER = """
import pathlib, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[3])))
from sidegate import app
from sidegate.pfs.store import Store
store = Store.open(pathlib.Path(sys.argv[1]))
app.serve(store, app.ServeSettings(finish_after_seconds=None), lambda url: print(url, flush=True))
"""
BODY = bytes(range(256)) * 1024
"""Large enough to be sent from its file."""

Start = Callable[[int, int], tuple[str, int]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(soft: int, hard: int) -> tuple[str, int]:
            directory = tmp_path / ".sidegate"
            Store.create(directory)
            with Store.open(directory) as store:
                store.repos.create("data")
            command = [sys.executable, "-c", SERVER, str(directory), str(soft), str(hard)]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            assert process.stdout is not None
            url = urlsplit(process.stdout.readline().strip())
            assert url.hostname
            return url.hostname, url.port or 0

        yield begin


@pytest.fixture
def many_descriptors() -> Iterator[int]:
    """Have enough of them here."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(ENOUGH, before[1]) if before[1] != resource.RLIM_INFINITY else ENOUGH
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(count, before[0]), before[1]))
    yield count
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def ask(connection: socket.socket, request: bytes) -> int:
    """Return the status of an answer, after all of it; 0 where the server closed the connection."""
    try:
        connection.sendall(request)
        with connection.makefile("rb") as answer:
            status = answer.readline()
            length = 0
            while (line := answer.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            body = answer.read(length)
    except OSError:
        return 0
    if status.startswith(b"HTTP/1.1 200") and length:
        assert body == BODY
    return int(status.split()[1]) if status else 0


def asked_at_once(address: tuple[str, int], count: int) -> list[int]:
    """Return what each of many open connections is answered to a GET."""
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_connection(address, 60))
        put = b"PUT /data/k HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        assert ask(first, put + BODY) == 200
        connections = [stack.enter_context(socket.create_connection(address, 60)) for _ in range(count)]
        return [ask(one, b"GET /data/k HTTP/1.1\r\nHost: h\r\n\r\n") for one in connections]


def test_the_soft_limit_is_no_limit(start: Start, many_descriptors: int) -> None:
    """1 024 is what login shells and services are given; more may be had."""
    if many_descriptors < 4500:
        pytest.skip(f"only {many_descriptors} files may be open here")
    assert set(asked_at_once(start(256, many_descriptors), 1500)) == {200}


@pytest.mark.usefixtures("many_descriptors")
def test_who_is_connected_is_served_and_others_are_told_so(start: Start) -> None:
    answers = asked_at_once(start(300, 300), 400)
    counts = Counter(answers)
    assert answers[0] == 200
    assert counts.keys() <= {200, 503, 0}, counts
    assert counts[200] >= 50, counts
    assert counts[503] > 0, counts

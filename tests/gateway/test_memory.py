"""A gateway's memory stays bounded while far more than that goes through it."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sidegate.native import describe
from sidegate.pfs.store import Store

SERVER = """
import pathlib, sys
from sidegate import app
from sidegate.pfs.store import Store
store = Store.open(pathlib.Path(sys.argv[1]))
app.serve(store, app.ServeSettings(finish_after_seconds=None), lambda url: print(url, flush=True))
"""
LIMIT_BYTES = 200 << 20
OBJECT_BYTES = 128 << 20
OBJECTS = 8
AT_ONCE = 4
BLOCK = os.urandom(16 << 20)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="needs /proc to see a process's memory"
    ),
    pytest.mark.skipif(describe().implementation == "pure", reason="a GiB takes minutes in plain Python"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    directory = tmp_path / ".sidegate"
    Store.create(directory)
    command = [sys.executable, "-c", SERVER, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = urlsplit(process.stdout.readline().strip())
        yield process, (url.hostname or "", url.port or 0)
        process.kill()


def peak_bytes(process: subprocess.Popen[str]) -> int:
    """The most memory the process ever had resident."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10


def pieces(number: int) -> Iterator[bytes]:
    """An object that shares no chunk with another: its number is in every MiB."""
    for start in range(0, OBJECT_BYTES, 1 << 20):
        offset = start % len(BLOCK)
        stamp = f"{number} {start}".encode().ljust(32) * 64
        yield stamp + BLOCK[offset + len(stamp) : offset + (1 << 20)]


def put(address: tuple[str, int], number: int) -> None:
    with socket.create_connection(address, 60) as connection:
        head = f"PUT /labs/{number} HTTP/1.1\r\nhost: x\r\ncontent-length: {OBJECT_BYTES}\r\n\r\n"
        connection.sendall(head.encode())
        for piece in pieces(number):
            connection.sendall(piece)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def get(address: tuple[str, int], number: int) -> None:
    """Read an object to its end and compare it."""
    with socket.create_connection(address, 60) as connection:
        connection.sendall(f"GET /labs/{number} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        reader = connection.makefile("rb", 1 << 20)
        while reader.readline() != b"\r\n":
            pass
        for piece in pieces(number):
            assert reader.read(len(piece)) == piece


def in_threads(action: object, address: tuple[str, int]) -> None:
    failures: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for number in range(first, OBJECTS, AT_ONCE):
                action(address, number)  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - raised below, where pytest sees it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_a_gib_in_and_out_stays_below_200_mib(
    server: tuple[subprocess.Popen[str], tuple[str, int]],
) -> None:
    process, address = server
    with socket.create_connection(address, 60) as connection:
        connection.sendall(b"PUT /labs HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    in_threads(put, address)
    after_puts = peak_bytes(process)
    in_threads(get, address)
    after_gets = peak_bytes(process)
    assert after_puts < LIMIT_BYTES, f"{after_puts >> 20} MiB"
    assert after_gets < LIMIT_BYTES, f"{after_gets >> 20} MiB"


def test_a_client_that_does_not_read_holds_little(
    server: tuple[subprocess.Popen[str], tuple[str, int]],
) -> None:
    """Back-pressure: 20 readers that stopped reading must not fill the memory."""
    process, address = server
    with socket.create_connection(address, 60) as connection:
        connection.sendall(b"PUT /labs HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    line = b"compressible,1,2,3\n" * 50_000
    with socket.create_connection(address, 60) as connection:
        head = f"PUT /labs/csv HTTP/1.1\r\nhost: x\r\ncontent-length: {len(line) * 60}\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(60):
            connection.sendall(line)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    idle = []
    for _ in range(20):
        reader = socket.create_connection(address, 60)
        reader.sendall(b"GET /labs/csv HTTP/1.1\r\nhost: x\r\n\r\n")
        assert reader.recv(1000).startswith(b"HTTP/1.1 200")
        idle.append(reader)
    get_health(address)
    for reader in idle:
        reader.close()
    assert peak_bytes(process) < LIMIT_BYTES


def make_bucket(address: tuple[str, int]) -> None:
    with socket.create_connection(address, 60) as connection:
        connection.sendall(b"PUT /labs HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def upload(connection: socket.socket, number: int, size_bytes: int, *, sent_bytes: int) -> None:
    """Send the head and a part of an object that shares no chunk with another."""
    stamp = f"object {number} ".encode() * 4096
    head = f"PUT /labs/at-once/{number} HTTP/1.1\r\nhost: x\r\ncontent-length: {size_bytes}\r\n\r\n"
    connection.sendall(head.encode() + (stamp + BLOCK)[:sent_bytes])


def test_200_uploads_at_once_among_1000_idle_connections_stay_below_200_mib(
    server: tuple[subprocess.Popen[str], tuple[str, int]],
) -> None:
    """Half of them stop in the middle, each with more than its share of the budget; the others get done."""
    process, address = server
    make_bucket(address)
    size_bytes = 4 << 20
    files_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, files_limit[1]), files_limit[1]))
    connections = [socket.create_connection(address, 60) for _ in range(1200)]
    try:
        stopped, active = connections[:100], connections[100:200]

        def stop(number: int) -> None:
            upload(stopped[number], number, size_bytes, sent_bytes=size_bytes - 1000)

        def finish(number: int) -> None:
            upload(active[number], 100 + number, size_bytes, sent_bytes=size_bytes)
            assert active[number].recv(1000).startswith(b"HTTP/1.1 200")

        at_once(stop, 100)
        at_once(finish, 100)
        get_health(address, "at-once/100")
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, files_limit)
    assert peak_bytes(process) < LIMIT_BYTES, f"{peak_bytes(process) >> 20} MiB"


def at_once(action: Callable[[int], None], count: int) -> None:
    """Do it for each number in a thread of its own."""
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(action, range(count)))


def get_health(address: tuple[str, int], key: str = "csv") -> None:
    """A round trip behind all that was asked before."""
    with socket.create_connection(address, 60) as connection:
        connection.sendall(f"GET /labs/{key} HTTP/1.1\r\nhost: x\r\nrange: bytes=-10\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 206")

"""Memory while 5 GiB go up in parts and come down in ranges, among 1000 idle and 200 active connections.

The active connections read and write small objects, ranges of MiB, and bodies of MiB, all at once.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import resource
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from corpus import Scale
from figures import GOALS, Figure
from sidegate.bench.cells import CELLS
from sidegate.bench.corpus import scale_named, small_object
from sidegate.bench.plans import completion
from sidegate.bench.servers import Cores, ServerProcess, start_sidecar
from sidegate.bench.stock import INPUT, make_stock
from traffic import MIB, Address, Background, Bodies, connect, read_head

PART_BYTES: Final = 8 * MIB
RANGE_BYTES: Final = 8 * MIB
STREAMS: Final = 4
"""Parts and ranges under way at once."""

READ_BYTES: Final = 256 << 10
PAUSE_SECONDS: Final = 0.2
"""Between two requests of an active connection: the streams need the client's core too."""

BEGIN_SECONDS: Final = 60.0
"""How long the first answer to each active connection is waited for."""

NEEDED = [cell for cell in CELLS if cell.name == "get-4k"]

_names = itertools.count()


@pytest.fixture(scope="module")
def gateway(scale: Scale) -> Iterator[ServerProcess]:
    with tempfile.TemporaryDirectory(prefix="sidegate-bench-") as folder:
        name = "smoke" if scale.smoke else "small"
        stock = make_stock(Path(folder), NEEDED, scale_named(name))
        server = start_sidecar("sidegate", stock.store, stock.inputs, Cores.choose().server)
        try:
            yield server
        finally:
            server.stop()


class Client:
    """One connection, one request after another."""

    def __init__(self, address: Address) -> None:
        self._socket = connect(address)

    def ask(self, head: str, pieces: Iterator[memoryview] | tuple[bytes, ...] = ()) -> str:
        """Send a request; returns the head of the answer, whose body is still to be taken."""
        self._socket.sendall(f"{head}\r\nhost: x\r\n\r\n".encode())
        for piece in pieces:
            self._socket.sendall(piece)
        answer = read_head(self._socket).decode()
        assert answer.startswith(("HTTP/1.1 200", "HTTP/1.1 206")), answer
        return answer

    def take(self, answer: str, use: Callable[[bytes], object] = lambda piece: None) -> int:
        """Take the body of an answer piece by piece; returns how long it was."""
        left = length = int(_header(answer, "content-length"))
        while left:
            piece = self._socket.recv(min(left, READ_BYTES))
            assert piece
            use(piece)
            left -= len(piece)
        return length

    def close(self) -> None:
        self._socket.close()


def _header(answer: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*?)\r$", answer, re.IGNORECASE | re.MULTILINE)
    assert found is not None, answer
    return found[1]


def send_in_parts(address: Address, size_bytes: int) -> tuple[str, list[str]]:
    """Upload an object, some parts at once; returns its path, and the digest of each part."""
    path = f"/out/large/{next(_names)}"
    client = Client(address)
    document = bytearray()
    client.take(client.ask(f"POST {path}?uploads HTTP/1.1\r\ncontent-length: 0"), document.extend)
    upload = re.search(rb"<UploadId>(.*?)</UploadId>", document)
    assert upload is not None

    def send(number: int) -> tuple[str, str]:
        bodies, digest = Bodies(), hashlib.blake2b()

        def pieces() -> Iterator[memoryview]:
            for _ in range(PART_BYTES // MIB):
                piece = bodies.next()
                digest.update(piece)
                yield piece

        one = Client(address)
        target = f"{path}?partNumber={number}&uploadId={upload[1].decode()}"
        answer = one.ask(f"PUT {target} HTTP/1.1\r\ncontent-length: {PART_BYTES}", pieces())
        one.close()
        return _header(answer, "etag"), digest.hexdigest()

    with ThreadPoolExecutor(STREAMS) as threads:
        parts = list(threads.map(send, range(1, size_bytes // PART_BYTES + 1)))
    body = completion([etag for etag, _ in parts])
    target = f"{path}?uploadId={upload[1].decode()}"
    document.clear()
    client.take(
        client.ask(f"POST {target} HTTP/1.1\r\ncontent-length: {len(body)}", (body,)), document.extend
    )
    assert b"<ETag>" in document, bytes(document)
    client.close()
    return path, [digest for _, digest in parts]


def read_in_ranges(address: Address, path: str, digests: list[str]) -> None:
    """Read all of it, some ranges at once, and compare them."""

    def read(number: int) -> None:
        digest, client = hashlib.blake2b(), Client(address)
        first = number * RANGE_BYTES
        head = f"GET {path} HTTP/1.1\r\nrange: bytes={first}-{first + RANGE_BYTES - 1}"
        assert client.take(client.ask(head), digest.update) == RANGE_BYTES
        client.close()
        assert digest.hexdigest() == digests[number]

    with ThreadPoolExecutor(STREAMS) as threads:
        list(threads.map(read, range(len(digests))))


def activity(address: Address, number: int) -> tuple[Client, Callable[[], object]]:
    """Return a connection, and what it asks for over and over."""
    # The same bytes each time: they are received, verified and hashed, and fill no disk.
    client, body = Client(address), bytes(Bodies().next())
    key = f"/{INPUT}/{small_object(number % 16).key}"
    path = f"/out/active/{number}"
    steps: list[Callable[[], object]] = [
        lambda: client.take(client.ask(f"GET {key} HTTP/1.1")),
        lambda: client.ask(f"PUT {path}/small HTTP/1.1\r\ncontent-length: 4096", (body[:4096],)),
        lambda: client.ask(f"PUT {path}/mib HTTP/1.1\r\ncontent-length: {MIB}", (body,)),
        lambda: client.take(client.ask(f"GET {path}/mib HTTP/1.1")),
    ]
    if number % 4 == 3:
        return client, lambda: [steps[2](), steps[3]()]
    return client, steps[number % 4]


@contextmanager
def others(address: Address, idle: int, active: int) -> Iterator[list[Background]]:
    """Keep connections open that say nothing, and others that go on asking."""
    with ExitStack() as stack:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        for _ in range(idle):
            stack.enter_context(connect(address))
        steps = []
        for number in range(active):
            client, step = activity(address, number)
            stack.callback(client.close)
            steps.append(step)
        threads = [Background(step, PAUSE_SECONDS) for step in steps]
        stack.callback(lambda: [thread.finish() for thread in threads])
        yield threads


def test_memory_beside_1200_connections(
    benchmark: Any, gateway: ServerProcess, scale: Scale, report: Callable[[Figure], None]
) -> None:
    address = (gateway.endpoint.host, gateway.endpoint.port)
    parts: dict[str, float] = {}

    def peak(name: str) -> None:
        parts[f"{name} peak_mib"] = gateway.tree.resident_bytes() / MIB

    def traffic() -> None:
        with others(address, scale.idle_connections, scale.active_connections) as threads:
            for thread in threads:
                thread.wait_until_begun(BEGIN_SECONDS)
            path, digests = send_in_parts(address, scale.streamed_bytes)
            peak("up in parts")
            read_in_ranges(address, path, digests)
            peak("and down in ranges")
            parts["requests beside"] = sum(thread.steps for thread in threads)
        peak("and when all have ended")

    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {Cores.choose().client})
    try:
        gateway.tree.forget_peak()
        benchmark.pedantic(traffic, rounds=1)
    finally:
        os.sched_setaffinity(0, before)
    peaks = [value for name, value in parts.items() if name.endswith("peak_mib")]
    figure = Figure(
        f"peak memory, {scale.streamed_bytes >> 20} MiB up and down beside "
        f"{scale.idle_connections} idle and {scale.active_connections} active",
        "MiB",
        max(peaks),
        goal=GOALS["peak memory"],
        details={**parts},
    )
    benchmark.extra_info.update(parts)
    print(figure)
    report(figure)

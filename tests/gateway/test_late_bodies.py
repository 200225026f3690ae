"""Bodies of requests that nobody reads, sent while the answer is still leaving, take no memory."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from functools import partial
from itertools import product

import pytest
from gateway_harness import PAIRS, PATIENCE_SECONDS, Client, csv, http_chunked, noise

from sidegate.gateway.general import GeneralNamespace
from sidegate.gateway.serving import Options, running_gateway
from sidegate.http import loops
from sidegate.http.server import Server
from sidegate.pfs.store import Store

# More than the sockets of both sides take before anybody reads.
RAW = noise(16 << 20)
ROWS = csv(700_000)
LATE = bytes(1_900_000)

PATHS = {
    "a file": ("GET", "/labs/raw", {}),
    "a part of one": ("GET", "/labs/raw", {"range": "bytes=1-14000000"}),
    "rows": ("GET", "/labs/rows", {}),
    "no bucket": ("PUT", "/nobody/x", {}),
    "no bucket, unplainly": ("PUT", "/nobody/x", {"x-amz-meta-a": "b"}),
    "no bucket, expecting": ("PUT", "/nobody/x", {"expect": "100-continue"}),
    "not a key": ("HEAD", "/labs/none", {}),
}


def exchange_late(address: tuple[str, int], path: str, *, chunked: bool, keep: bool) -> None:
    """Send a head, wait for the first of the answer, then send the body."""
    method, target, headers = PATHS[path]
    client = Client(address)
    connection = client.connect()
    framing = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(len(LATE))}
    connection.sendall(client.render_head(method, target, {**headers, **framing}))
    connection.recv(1, socket.MSG_PEEK)
    with contextlib.suppress(ConnectionError):  # who expected to be asked was not, and may be cut
        connection.sendall(http_chunked(LATE, 50_000) if chunked else LATE)
    if keep:
        assert client.read(method).status in (200, 206, 404)
        assert client.get("/labs/small").body == b"small"
    client.close()


async def use(address: tuple[str, int], work: Callable[[], None]) -> None:
    await asyncio.wait_for(asyncio.to_thread(work), 3 * PATIENCE_SECONDS)


def prepare(address: tuple[str, int]) -> None:
    client = Client(address)
    client.put("/labs")
    for key, content in (("raw", RAW), ("rows", ROWS), ("small", b"small")):
        client.put(f"/labs/{key}", content)
    client.close()


def upload(address: tuple[str, int]) -> None:
    client = Client(address)
    for number in range(3):
        client.put(f"/labs/new{number}", RAW[number : 3_000_000 + number])
    client.close()


async def end_of_all(server: Server) -> int:
    """Wait until no connection and no handler is left; return what is held of the budget for good."""
    budget = server._service.budget
    async with asyncio.timeout(PATIENCE_SECONDS):
        await server._service.empty.wait()
    for _ in range(int(PATIENCE_SECONDS * 100)):
        if not budget.used_bytes:
            break
        await asyncio.sleep(0.01)  # a thread still works on what is not wanted any more
    return budget.used_bytes


@pytest.mark.parametrize("pair", PAIRS, ids="-".join, indirect=True)
@pytest.mark.parametrize("chunked", [False, True])
def test_late_bodies_keep_nothing_from_uploads(store: Store, pair: tuple[str, str], chunked: bool) -> None:
    async def main() -> None:
        options = Options(loop=pair[0], parser=pair[1], grace_seconds=2.0)
        async with running_gateway(store, GeneralNamespace(store), options) as server:
            address = server.address
            await use(address, partial(prepare, address))
            for path, keep in product(PATHS, (True, False)):
                await use(address, partial(exchange_late, address, path, chunked=chunked, keep=keep))
                assert await end_of_all(server) == 0, path
            await use(address, partial(upload, address))
            assert await end_of_all(server) == 0

    loops.run(main(), pair[0])

"""A server on a thread of its own, and peers that speak raw bytes to it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest

from sidegate.http import loops
from sidegate.http.limits import Limits
from sidegate.http.message import Handler
from sidegate.http.raw_socket import RawSocket
from sidegate.http.rejection import Reject, plain_rejection
from sidegate.http.server import Server
from sidegate.http.shortcut import Shortcut

PATIENCE_SECONDS = 20.0


def address_of(view: memoryview) -> int:
    """Return where in memory a view begins."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Peer:
    """One client connection; every wait is bounded by PATIENCE_SECONDS."""

    def __init__(self, address: tuple[str, int], receive_buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_bytewise(self, data: bytes) -> None:
        for index in range(len(data)):
            self.socket.sendall(data[index : index + 1])

    def _more(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            raise EOFError(f"closed after {bytes(self.buffer[:200])!r}")
        self.buffer += data

    def read_exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._more()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def discard(self, count: int) -> None:
        """Read as many bytes and drop them."""
        here = min(count, len(self.buffer))
        del self.buffer[:here]
        count -= here
        room = bytearray(1 << 18)
        while count:
            received = self.socket.recv_into(room, min(count, len(room)))
            assert received, f"closed {count} bytes early"
            count -= received

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            self._more()
        data = self.read_exactly(self.buffer.index(mark) + len(mark))
        return data[: -len(mark)]

    def read_head(self) -> tuple[int, dict[str, str]]:
        first, *lines = self._read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), "a header twice"
        return int(status), headers

    def read(self, *, head_only: bool = False) -> Answer:
        status, headers = self.read_head()
        if head_only or status in (204, 304) or status < 200:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, self._read_chunks())
        if "content-length" in headers:
            return Answer(status, headers, self.read_exactly(int(headers["content-length"])))
        return Answer(status, headers, self.read_to_end())

    def _read_chunks(self) -> bytes:
        body = b""
        while True:
            piece = self.read_exactly(int(self._read_until(b"\r\n"), 16))
            assert self.read_exactly(2) == b"\r\n"
            if not piece:
                return body
            body += piece

    def read_to_end(self) -> bytes:
        """Read until a clean end; a reset raises ConnectionResetError."""
        with contextlib.suppress(EOFError):
            while True:
                self._more()
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    def ask(self, data: bytes, *, head_only: bool = False) -> Answer:
        self.send(data)
        return self.read(head_only=head_only)

    def reset(self) -> None:
        """Vanish with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        self.socket.close()


class Running:
    """A server on its own thread and loop."""

    def __init__(
        self,
        pair: tuple[str, str],
        handler: Handler,
        limits: Limits | None = None,
        reject: Reject = plain_rejection,
        shortcut: Shortcut | None = None,
    ) -> None:
        self._pair = pair
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._arguments = (handler, limits, reject, shortcut)
        self.peers: list[Peer] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(PATIENCE_SECONDS)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            loops.run(self._main(), self._pair[0])
        except BaseException as error:
            self._failure = error
            self._started.set()
            raise

    async def _main(self) -> None:
        handler, limits, reject, shortcut = self._arguments
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.server = await Server.start(
            handler, limits=limits, reject=reject, backend=self._pair[1], shortcut=shortcut
        )
        self._started.set()
        await self._stop.wait()
        await self.server.drain(0.0)

    def connect(self, receive_buffer_bytes: int | None = None) -> Peer:
        peer = Peer(self.server.address, receive_buffer_bytes)
        self.peers.append(peer)
        return peer

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE_SECONDS)

    def begin_drain(self) -> Future[None]:
        """Let the server drain for ten seconds; returns once it has begun to."""
        draining = asyncio.run_coroutine_threadsafe(self.server.drain(10.0), self.loop)
        self.call(asyncio.sleep(0))  # tasks take their first step in the order in which they were made
        return draining

    @property
    def used_bytes(self) -> int:
        """Memory that bodies hold."""
        return self.server._service.budget.used_bytes

    def wait_for_ends(self) -> None:
        """Return when the handlers of all vanished peers have ended."""

        async def ended() -> None:
            while tasks := list(self.server._service.tasks):
                await asyncio.wait(tasks)

        self.call(ended())

    def close(self) -> None:
        for peer in self.peers:
            peer.close()
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the server did not end"


@dataclass
class Outcomes:
    """Collects what on_sent reports, across threads."""

    values: list[bool] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, complete: bool) -> None:
        with self.changed:
            self.values.append(complete)
            self.changed.notify_all()

    def wait(self, count: int = 1) -> list[bool]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.values) >= count, PATIENCE_SECONDS)
            return list(self.values)


Launch = Callable[..., Running]


def launcher(pair: tuple[str, str]) -> Iterator[Launch]:
    """Yield a function that starts servers, and end them all afterwards."""
    servers: list[Running] = []

    def launch(
        handler: Handler,
        limits: Limits | None = None,
        reject: Reject = plain_rejection,
        shortcut: Shortcut | None = None,
    ) -> Running:
        servers.append(Running(pair, handler, limits, reject, shortcut))
        return servers[-1]

    yield launch
    for server in servers:
        server.close()
    assert [server.used_bytes for server in servers] == [0] * len(servers), "memory of bodies that are gone"


def recorded_files(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return a list that will say where each part of a file that is sent begins, and how long it is."""
    asked: list[tuple[int, int]] = []
    send_file = RawSocket.send_file

    def recorded(self: RawSocket, fd: int, offset: int, count: int) -> int | None:
        asked.append((offset, count))
        return send_file(self, fd, offset, count)

    monkeypatch.setattr(RawSocket, "send_file", recorded)
    return asked

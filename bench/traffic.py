"""Clients that are no load generators: uploads of any size, readers and writers that are slow on purpose.

They share the client's core with what measures, so that goes `first`.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from sidegate.http.loopback import connect_unpaced

MIB: Final = 1 << 20
STAMP_EVERY_BYTES: Final = 64 << 10
CALL_BYTES: Final = 32 << 10
SINK_BYTES: Final = 256 << 10
TIMEOUT_SECONDS: Final = 120.0
SLOW_BYTES: Final = 32 << 10
SLOW_SECONDS: Final = 0.05

Address = tuple[str, int]

_TEMPLATE: Final = random.Random(5).randbytes(MIB)


class Bodies:
    """Random bytes of which no chunk is stored yet; one for each thread."""

    def __init__(self) -> None:
        self._piece = bytearray(_TEMPLATE)
        self._serial = random.SystemRandom().getrandbits(63)

    def next(self) -> memoryview:
        """Return a MiB that no other is equal to, valid until the next call."""
        for offset in range(0, MIB, STAMP_EVERY_BYTES):
            self._serial += 1
            self._piece[offset : offset + 8] = self._serial.to_bytes(8, "little")
        return memoryview(self._piece)


@contextmanager
def first() -> Iterator[None]:
    """Let this thread pass all others of its core where that is permitted: its waiting is not measured."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


class Background(threading.Thread):
    """Does something again and again until told to end; what it raised is raised by `finish`."""

    def __init__(self, step: Callable[[], object], pause_seconds: float = 0.0) -> None:
        super().__init__()
        self._step = step
        self._pause_seconds = pause_seconds
        self._end = threading.Event()
        self._error: BaseException | None = None
        self._first_step = threading.Event()
        self.steps = 0
        self.start()

    def run(self) -> None:
        try:
            while not self._end.wait(self._pause_seconds):
                self._step()
                self.steps += 1
                self._first_step.set()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self._error = error
            self._first_step.set()

    def wait_until_begun(self, patience_seconds: float) -> None:
        """Wait for the end of the first step; raises TimeoutError."""
        if not self._first_step.wait(patience_seconds):
            raise TimeoutError(f"nothing was done within {patience_seconds:g} s")

    def finish(self) -> None:
        """Let it end."""
        self._end.set()
        self.join()
        if self._error is not None:
            raise self._error


class Upload:
    """One upload, sent a MiB at a time; the answer is looked at when all of it was sent."""

    def __init__(self, address: Address, target: str, size_bytes: int) -> None:
        self._bodies = Bodies()
        self._connection = connect(address)
        self._left_bytes = size_bytes
        head = f"PUT {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {size_bytes}\r\n\r\n"
        self._connection.sendall(head.encode())

    def send(self, most_bytes: int = MIB) -> bool:
        """Send some; whether that was the last."""
        piece = self._bodies.next()[: min(most_bytes, self._left_bytes)]
        # What measures on this core waits as long as a call copies: a MiB takes up to 2 ms where the kernel
        # is not preempted meanwhile.
        for start in range(0, len(piece), CALL_BYTES):
            self._connection.sendall(piece[start : start + CALL_BYTES])
        self._left_bytes -= len(piece)
        if self._left_bytes:
            return False
        head = read_head(self._connection)
        assert head.startswith(b"HTTP/1.1 200"), head
        return True

    def close(self) -> None:
        self._connection.close()


class Sink:
    """Takes what uploads send, in threads of this process, and never answers: a load that no server sees."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: Address = self._listener.getsockname()[:2]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        self._taking: list[threading.Thread] = []

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                taken = self._listener.accept()[0]
                thread = threading.Thread(target=self._take, args=(taken,), daemon=True)
                self._taking.append(thread)
                thread.start()

    def _take(self, taken: socket.socket) -> None:
        room = bytearray(SINK_BYTES)
        with taken, suppress(ConnectionError):
            while taken.recv_into(room):
                pass

    def close(self) -> None:
        """End; whoever sends has closed before."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for thread in self._taking:
            thread.join()


def connect(address: Address) -> socket.socket:
    return connect_unpaced(address, TIMEOUT_SECONDS)


def read_head(connection: socket.socket) -> bytes:
    """Return the head of an answer; what follows it stays where it is."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, head
        head += byte
    return head


class SlowWriter:
    """Sends a few bytes of an upload that it never ends, and waits."""

    def __init__(self, address: Address, target: str) -> None:
        self._upload = Upload(address, target, 1 << 30)

    def step(self) -> None:
        self._upload.send(SLOW_BYTES)
        time.sleep(SLOW_SECONDS)

    def close(self) -> None:
        self._upload.close()


class SlowReader:
    """Asks for a large object, and takes a few bytes of it now and then."""

    def __init__(self, address: Address, target: str) -> None:
        self._connection = connect(address)
        self._connection.sendall(f"GET {target} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert read_head(self._connection).startswith(b"HTTP/1.1 200")

    def step(self) -> None:
        assert self._connection.recv(SLOW_BYTES)
        time.sleep(SLOW_SECONDS)

    def close(self) -> None:
        self._connection.close()

"""Receiving a body in the thread that stores it: block by block, past the loop.

What a loop receives while a thread is at work has left the nearest caches when the thread comes to
it, and each part of a block is a turn of the loop.  A thread that has done with one block takes the
next from the socket itself, and finds what it works on where it has just put it.  The
connection receives nothing meanwhile; where the peer has sent no more, it goes on as ever.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType

from sidegate.http.blocks import whole_again
from sidegate.scheduling import give_way, quick_answers

LEAST_BYTES = 2 << 20
"""Of a body of one block the trip to a thread and back is most of what it costs, either way."""

MOST_BYTES = 16 << 20
"""About what the kernel takes for a connection before somebody reads (tcp_rmem, tcp(7)).  The sender of
a longer body waits for room, and each time there is some the kernel sends for it on the reader's core:
64 MiB cost 2 to 6 % more pulled than not, 4 MiB 8 % less, 8 MiB 4 % less (Linux 6.18, loopback, 2026-11).
While quick answers are given longer ones are pulled as well: what the loop receives delays them most."""

SHORT_RECEIVE_BYTES = 128 << 10
"""Received at a time while quick answers are given, some 20 us."""

SPARE_COUNT = 3
"""Blocks that a pull begins with, besides what its reader has done with."""


class Pull:
    """The rest of a body, to be received by one thread at a time, `with` this; see `message.Body`."""

    __slots__ = (
        "_at_work",
        "_descriptor",
        "_lock",
        "_unwanted",
        "begun",
        "filled_bytes",
        "goes_on",
        "is_dry",
        "others",
        "received_bytes",
        "remaining_bytes",
        "spare",
    )

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is this object's own, of a socket that does not block."""
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._at_work = self._unwanted = False
        # The part of a block that is to be filled, and how much of it is.
        self.begun: memoryview | None = None
        self.filled_bytes = 0
        # Blocks to be filled, and what was given back that cannot be.
        self.spare: list[memoryview] = []
        self.others: list[bytes | bytearray | memoryview] = []
        self.received_bytes = 0
        self.remaining_bytes = 0
        # Whether the peer has sent no more yet.
        self.is_dry = False
        # Whether another pull is to follow at once.
        self.goes_on = False

    def __enter__(self) -> Pull:
        with self._lock:
            self._at_work = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._at_work = False
            if self._unwanted:
                self.close()

    def abandon(self) -> None:
        """Let go of the socket, in any thread, as soon as nobody is at work: no `Body.end_pull` follows."""
        with self._lock:
            self._unwanted = True
            if not self._at_work:
                self.close()

    def next_block(self) -> memoryview | None:
        """Receive a whole block, or the last of the body; None where that takes waiting, or memory."""
        if self.begun is None:
            if not self.spare or not self.remaining_bytes:
                return None
            self.begun, self.filled_bytes = self.spare.pop()[: self.remaining_bytes], 0
        block, filled = self.begun, self.filled_bytes
        others_wait = quick_answers.are_expected()
        most = SHORT_RECEIVE_BYTES if others_wait else len(block)
        while filled < len(block) and (count := self._receive(block[filled : filled + most])):
            filled += count
            if others_wait:
                give_way()
        received = filled - self.filled_bytes
        self.received_bytes += received
        self.remaining_bytes -= received
        if filled < len(block):
            self.filled_bytes, self.is_dry = filled, True
            return None
        self.begun = None
        return block

    def _receive(self, room: memoryview) -> int:
        """Return how many bytes came; 0 where the connection is to find out why none did."""
        try:
            return os.readv(self._descriptor, (room,))
        except OSError:
            return 0

    def reuse(self, blocks: Iterable[bytes | bytearray | memoryview]) -> None:
        """Take blocks that their reader has done with: the last one is filled first."""
        for block in blocks:
            whole = whole_again(block)
            if whole is not None:
                self.spare.append(whole)
            else:
                self.others.append(block)

    def close(self) -> None:
        """Let go of the socket, which nobody may be at work on; safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)


def pays_for(length: int) -> bool:
    """Whether a body of so many bytes had better be received by a thread, at this moment."""
    return length >= LEAST_BYTES and (length <= MOST_BYTES or quick_answers.are_expected())


def pull_from(transport: asyncio.BaseTransport) -> Pull | None:
    """Return a pull from a transport's socket; None where there is none to be had: TLS, or no descriptor."""
    socket = transport.get_extra_info("socket")
    if socket is None or transport.get_extra_info("sslcontext") is not None or not hasattr(os, "readv"):
        return None
    try:
        return Pull(os.dup(socket.fileno()))
    except OSError:
        return None

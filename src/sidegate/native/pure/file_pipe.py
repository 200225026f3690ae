"""Parts of files to sockets, through a pipe or behind a head: the definition.

`ext/file_pipe.pyx` must agree.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket as sockets
from collections.abc import Iterable

CLOSED = -1

COPIED_BYTES = 4096
"""Sent with a head at most: up to the next page of a file."""


def open_pipe(room_bytes: int) -> tuple[int, int, int]:
    """Return both ends of a pipe with that room, and a descriptor that takes anything; raises OSError."""
    if not hasattr(os, "splice") or not hasattr(fcntl, "F_SETPIPE_SZ"):
        raise OSError(errno.ENOSYS, "this system has no splice")
    reader, writer = os.pipe()
    try:
        if fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, room_bytes) < room_bytes:
            raise OSError(errno.EINVAL, f"there is no pipe with room for {room_bytes} bytes")
        return reader, writer, os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        close_pipe((reader, writer))
        raise


def close_pipe(descriptors: Iterable[int]) -> None:
    """Close those that are open."""
    for descriptor in descriptors:
        if descriptor != CLOSED:
            os.close(descriptor)


class FilePipe:
    """See `sidegate.native._file_pipe`."""

    __slots__ = ("_reader", "_sink", "_writer", "room_bytes")

    def __init__(self, room_bytes: int) -> None:
        self._reader = self._writer = self._sink = CLOSED
        self.room_bytes = room_bytes
        self._reader, self._writer, self._sink = open_pipe(room_bytes)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Give back the descriptors; again, it does nothing."""
        descriptors = self._reader, self._writer, self._sink
        self._reader = self._writer = self._sink = CLOSED
        close_pipe(descriptors)

    @property
    def closed(self) -> bool:
        """Whether it can send no more."""
        return self._reader == CLOSED

    def send(self, socket: int, file: int, offset: int, count: int) -> int | None:
        """Send what fits of a part of a file."""
        if self.closed:
            raise ValueError("the pipe is closed")
        sent = 0
        fault: OSError | None = None
        while sent < count and fault is None:
            step = min(count - sent, self.room_bytes)
            try:
                held = os.splice(file, self._writer, step, offset_src=offset + sent, flags=os.SPLICE_F_MOVE)
            except OSError as error:
                fault = error
                break
            if not held:
                break
            moved, fault = self._pass_on(socket, held, is_last=sent + held == count)
            sent += moved
        if sent or fault is None:
            return sent
        if isinstance(fault, BlockingIOError):
            return None
        raise fault

    def _pass_on(self, socket: int, held: int, *, is_last: bool) -> tuple[int, OSError | None]:
        """Return how much of what the pipe holds the socket took, and why not all; the pipe is empty."""
        flags = os.SPLICE_F_NONBLOCK | (0 if is_last else os.SPLICE_F_MORE)
        left, fault = held, None
        while left and fault is None:
            try:
                moved = os.splice(self._reader, socket, left, flags=flags)
                fault = None if moved else OSError(errno.EPIPE, os.strerror(errno.EPIPE))
                left -= moved
            except OSError as error:
                fault = error
        try:
            discarded = left
            while discarded:
                discarded -= os.splice(self._reader, self._sink, discarded)
        except OSError:
            self.close()  # what is in it must not reach another socket
        return held - left, fault


def send_behind_head(socket: int, head: bytes, file: int, offset: int, copied: int, count: int) -> int:
    """Send a head, then a part of a file."""
    if not 0 <= copied <= COPIED_BYTES or count < 0:
        raise ValueError(f"{copied} bytes of a file cannot be copied, nor {count} sent")
    sent = 0
    try:
        first = os.pread(file, copied, offset) if copied else b""
        if len(first) == copied:
            sent = _send_more(socket, head + first)
        if count and sent == len(head) + copied and hasattr(os, "sendfile"):
            sent += os.sendfile(socket, file, offset + copied, count)
    except OSError:
        return sent  # whoever goes on meets it again
    return sent


def _send_more(descriptor: int, data: bytes) -> int:
    socket = sockets.socket(fileno=descriptor)
    try:
        return socket.send(data, getattr(sockets, "MSG_MORE", 0))
    finally:
        socket.detach()

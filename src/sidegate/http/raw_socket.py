"""Writing to a connection's socket past its transport.

uvloop has no sendfile, and asyncio's takes the connection away from its
protocol.  A duplicate of the descriptor, with a readiness callback of its
own, works on both.  The caller sees to it that the transport's own buffer is
empty, or bytes would change places.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable

from sidegate.http.file_pipe import SharedPipe

# Linux holds the bytes back until the file's follow, so that head and file share packets.
MSG_MORE: int = getattr(socket, "MSG_MORE", 0)
# Some file systems (and sandboxes) offer no sendfile.
SENDFILE_UNSUPPORTED = frozenset(
    {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTSOCK}
)

# Smaller parts fit in the pipe that sendfile has for itself, or nearly.
PIPE_MIN_BYTES = 128 << 10


class RawSocket:
    """A non-blocking duplicate of a transport's socket; close it."""

    __slots__ = ("_is_full", "_loop", "_pipe", "_socket", "fd", "waiting")

    def __init__(
        self, transport: asyncio.BaseTransport, loop: asyncio.AbstractEventLoop, pipe: SharedPipe
    ) -> None:
        original = transport.get_extra_info("socket")
        self._socket = socket.socket(
            original.family, original.type, original.proto, os.dup(original.fileno())
        )
        self._socket.setblocking(False)
        self.fd = self._socket.fileno()
        self._loop = loop
        self._pipe = pipe
        # Whether it took less than it was given last: what is in a pipe then was put there for nothing.
        self._is_full = False
        # Whether the readiness callback is set.
        self.waiting = False

    def send_more(self, data: bytes | memoryview) -> int:
        """Send what fits of `data`, to be followed by a file; 0 if none fits."""
        try:
            return self._socket.send(data, MSG_MORE)
        except BlockingIOError:
            return 0

    def send_file(self, fd: int, offset: int, count: int) -> int | None:
        """Send what fits of a file; None if none fits, 0 at its end."""
        pipe = self._pipe.get() if count >= PIPE_MIN_BYTES and not self._is_full else None
        try:
            sent = (
                os.sendfile(self.fd, fd, offset, count)
                if pipe is None
                else pipe.send(self.fd, fd, offset, count)
            )
        except BlockingIOError:
            sent = None
        except OSError as error:
            if pipe is None or error.errno not in SENDFILE_UNSUPPORTED:
                raise
            self._pipe.give_up()
            return self.send_file(fd, offset, count)
        self._is_full = sent != count
        return sent

    def wait(self, ready: Callable[[], None]) -> None:
        """Call `ready` whenever there is room, until `stop_waiting`."""
        if not self.waiting:
            self.waiting = True
            self._loop.add_writer(self.fd, ready)

    def stop_waiting(self) -> None:
        """Take back the callback, if there is one."""
        if self.waiting:
            self.waiting = False
            self._loop.remove_writer(self.fd)

    def close(self) -> None:
        """Close the duplicate; the transport keeps its own."""
        self.stop_waiting()
        self._socket.close()

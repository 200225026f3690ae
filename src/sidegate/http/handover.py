"""Handing an accepted connection to another process (unix(7), SCM_RIGHTS).

Who accepts decides who serves: the kernel's own ways (SO_REUSEPORT, a shared
listening socket) know nothing of how many connections a process has already.
The same channel says that a worker is ready, and its end says that it shall stop,
also when whoever accepts was killed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress

from sidegate.http.server import Server

_CONNECTION = b"c"
_READY = b"r"
_CLOSE_ON_EXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

_log = logging.getLogger("sidegate.http")


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Return the accepting and the serving end of a channel, neither of which blocks."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in ends:
        end.setblocking(False)
    return ends


def hand_over(channel: socket.socket, connection: socket.socket) -> bool:
    """Give a connection away; False when the channel is full, its end gone or the system out of room."""
    try:
        socket.send_fds(channel, [_CONNECTION], [connection.fileno()])
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        return False
    except OSError as error:
        # Too many descriptors on their way, or no memory (unix(7), ETOOMANYREFS; sendmsg(2), ENOBUFS).
        _log.warning("cannot hand over a connection: %s", error.strerror or error)
        return False
    return True


def hear_ready(channel: socket.socket) -> bool:
    """Whether the serving end has said that it is ready since last asked."""
    with suppress(BlockingIOError, ConnectionResetError):
        return channel.recv(64) != b""
    return False


class Adoption:
    """The serving end: takes what comes over a channel until it ends.

    Belongs to the running event loop.
    """

    def __init__(
        self,
        channel: socket.socket,
        server: Server,
        *,
        on_taken: Callable[[], None],
        on_failure: Callable[[], None],
    ) -> None:
        """`on_taken` is told of each connection, `on_failure` of one that was lost before it was served."""
        self._channel = channel
        self._server = server
        self._on_taken = on_taken
        self._on_failure = on_failure
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Say that the server is ready, then adopt connections until the channel ends."""
        self._channel.send(_READY)
        self._loop.add_reader(self._channel.fileno(), self._take)
        try:
            await self._ended.wait()
        finally:
            self.stop()

    def stop(self) -> None:
        """Take no more connections; safe to call twice."""
        self._loop.remove_reader(self._channel.fileno())
        self._ended.set()

    def _take(self) -> None:
        while not self._ended.is_set():
            try:
                data, fds, _, _ = socket.recv_fds(self._channel, 1, 1, _CLOSE_ON_EXEC)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data, fds = b"", []
            if not data:
                self.stop()
                return
            self._on_taken()
            if fds:
                self._adopt(fds[0])
            else:
                # The system has closed it (unix(7), MSG_CTRUNC), and who handed it over counts it as ours.
                _log.warning("a connection was lost: this process has no file descriptor left")
                self._on_failure()

    def _adopt(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        task = self._loop.create_task(self._serve(socket.socket(fileno=fd)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._server.adopt(connection)
        except OSError as error:
            _log.info("a connection was gone before it was served: %s", error)
            connection.close()
            self._on_failure()

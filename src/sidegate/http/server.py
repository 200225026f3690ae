"""A listening HTTP server on the running event loop.

Accepts connections, answers for their number, and ends them gracefully.
It installs no signal handlers and may run in any thread.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence

from sidegate.http.budget import Budget
from sidegate.http.limits import Limits, fitting
from sidegate.http.loopback import prefer_unpaced
from sidegate.http.loops import select_parser
from sidegate.http.message import Handler
from sidegate.http.plain_connection import PlainConnection
from sidegate.http.rejection import Reject, plain_rejection
from sidegate.http.service import Service
from sidegate.http.shortcut import Shortcut

BACKLOG = 1024

PATIENCE_SECONDS = 5.0
"""What was cut may take so long to end before the log says what is waited for."""

_log = logging.getLogger("sidegate.http")


class Server:
    """An HTTP/1.1 server; made by `start` or `unbound`, ended by `drain`.

    Belongs to the event loop it was started on.
    """

    def __init__(self, service: Service, listener: asyncio.Server | None) -> None:
        self._service = service
        self._listener = listener
        host, port = listener.sockets[0].getsockname()[:2] if listener is not None else ("", 0)
        self.address: tuple[str, int] = (host, port)
        """Where it listens; ("", 0) when others accept for it."""

    @classmethod
    async def start(
        cls,
        handler: Handler,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        limits: Limits | None = None,
        reject: Reject = plain_rejection,
        backend: str = "auto",
        sockets: Sequence[socket.socket] = (),
        reuse_port: bool = False,
        clock: Callable[[], float] = time.time,
        shortcut: Shortcut | None = None,
        budget: Budget | None = None,
    ) -> Server:
        """Listen on host and port (0: any free one), or on one given socket.

        `backend` names the parser (see `loops.select_parser`); `clock`
        returns Unix seconds; `shortcut` answers plain reads before the handler
        is asked; `budget` bounds the bytes in flight.  Raises OSError when the
        address is taken.
        """
        loop = asyncio.get_running_loop()
        parsers = select_parser(backend)
        bounds = fitting(limits or Limits())
        service = Service(handler, bounds, reject, parsers, clock, loop, shortcut=shortcut, budget=budget)
        if sockets:
            (given,) = sockets
            listener = await loop.create_server(lambda: PlainConnection(service), sock=given, backlog=BACKLOG)
        else:
            listener = await loop.create_server(
                lambda: PlainConnection(service), host, port, backlog=BACKLOG, reuse_port=reuse_port or None
            )
        for one in listener.sockets:
            prefer_unpaced(one)
        return cls(service, listener)

    @classmethod
    def unbound(
        cls,
        handler: Handler,
        *,
        limits: Limits | None = None,
        reject: Reject = plain_rejection,
        backend: str = "auto",
        clock: Callable[[], float] = time.time,
        on_close: Callable[[], None] | None = None,
        shortcut: Shortcut | None = None,
        budget: Budget | None = None,
    ) -> Server:
        """Return a server of the connections given to `adopt`; it listens nowhere.

        `on_close` is called when one of them has ended.
        """
        loop = asyncio.get_running_loop()
        parsers = select_parser(backend)
        service = Service(
            handler,
            fitting(limits or Limits()),
            reject,
            parsers,
            clock,
            loop,
            on_close=on_close,
            shortcut=shortcut,
            budget=budget,
        )
        return cls(service, None)

    async def adopt(self, connection: socket.socket) -> None:
        """Serve a connection that was accepted elsewhere; raises OSError if it is gone."""
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: PlainConnection(self._service), connection
        )

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        return len(self._service.connections)

    async def drain(self, grace_seconds: float) -> None:
        """Stop accepting, let requests in hand finish, then close.

        Idle connections get a FIN at once, busy ones `Connection: close`
        with their response; whatever is left after the grace is cut, and the
        handlers' tasks are cancelled.  A write that has begun is waited for, however
        long it takes: what it writes to is closed behind this.  The log then says so.
        """
        service = self._service
        service.draining = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(service.connections):
            connection.begin_drain()
        try:
            await asyncio.wait_for(service.empty.wait(), grace_seconds)
        except TimeoutError:
            for task in list(service.tasks):
                task.cancel()
            for connection in list(service.connections):
                connection.abort()
            await self._await_the_rest()
        service.close()

    async def _await_the_rest(self) -> None:
        service = self._service
        try:
            await asyncio.wait_for(service.empty.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            writes = service.puts.under_way if service.puts is not None else 0
            _log.warning(
                "waits for what cannot be cut short: %d handlers, %d small writes", len(service.tasks), writes
            )
            await service.empty.wait()

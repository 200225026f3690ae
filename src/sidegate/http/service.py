"""What the connections of one server share, on one event loop.

Limits, the hooks, the receive buffer, the block pool, the count of
connections, and two timers: one gives memory back that was not wanted, and
one looks for silent peers.  A sweep over all connections costs less than a
timer for each, and requests pay nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from sidegate.http.blocks import BlockPool
from sidegate.http.budget import Budget
from sidegate.http.errors import STATUS, Reason
from sidegate.http.file_pipe import SharedPipe
from sidegate.http.head import HeadRenderer
from sidegate.http.limits import Limits
from sidegate.http.message import Handler, Request, Response
from sidegate.http.parser import ParserFactory
from sidegate.http.patience import wait_seconds
from sidegate.http.plain_puts import PlainPuts
from sidegate.http.rejection import Reject, plain_rejection
from sidegate.http.shortcut import ScanHead, Shortcut, no_scanner, scanner_for

if TYPE_CHECKING:
    from sidegate.http.connection import Connection

_log = logging.getLogger("sidegate.http")

# Bigger is worse on a core with 1 MiB of L2: 0.106 CPU-s/GB here, 0.119 at 256 KiB (measured 2026-11).
RECEIVE_BYTES = 64 * 1024
# A sweep is late by one interval at most.
_SWEEPS_PER_TIMEOUT = 4
_LONGEST_INTERVAL_SECONDS = 1.0
# Connections past the limit that are told so; the next ones are cut, or telling them would be the load.
_REFUSED_SHARE = 1.0


class Service:
    """The state shared by the connections of one server."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        reject: Reject,
        parsers: ParserFactory,
        clock: Callable[[], float],
        loop: asyncio.AbstractEventLoop,
        *,
        on_close: Callable[[], None] | None = None,
        shortcut: Shortcut | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.handler = handler
        self._on_close = on_close
        self.limits = limits
        self._reject = reject
        self.parsers = parsers
        self.loop = loop
        self.renderer = HeadRenderer(clock)
        self.pool = BlockPool(limits.block_bytes, limits.in_flight_bytes)
        self.pipe = SharedPipe()
        self.budget = budget or Budget(limits.in_flight_bytes)
        # One for all: a transport fills it and hands it over within one callback.
        self.receive_view = memoryview(bytearray(RECEIVE_BYTES))
        self.shortcut = shortcut
        self.scan_head: ScanHead = no_scanner
        self.puts: PlainPuts | None = None
        if shortcut is not None:
            self.scan_head = scanner_for(shortcut, self.receive_view, limits).scan
            if shortcut.puts is not None:
                self.puts = PlainPuts(shortcut.puts, self.receive_view, limits, self._note_end)
        self.connections: set[Connection] = set()
        # Handlers at work, also those whose peer is gone.
        self.tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self.empty = asyncio.Event()
        self.empty.set()
        self.tick = 0
        self._interval_seconds = min(
            limits.shortest_seconds() / _SWEEPS_PER_TIMEOUT, _LONGEST_INTERVAL_SECONDS
        )
        # How many sweeps each wait may last.
        self.patience = {
            wait: math.ceil(seconds / self._interval_seconds)
            for wait, seconds in wait_seconds(limits).items()
        }
        self._timer: asyncio.TimerHandle | None = None
        self._memory_timer: asyncio.TimerHandle | None = None

    def admit(self, connection: Connection) -> Handler | None:
        """Count a new connection; return who answers it, or None to cut it.

        Past the limit a connection is accepted, read and answered 503: a
        client that is left in the backlog learns nothing and does not back
        off.
        """
        count = len(self.connections)
        limit = self.limits.connections
        if self.draining or count >= limit * (1 + _REFUSED_SHARE):
            return None
        self.connections.add(connection)
        self.empty.clear()
        if self._timer is None:
            self._timer = self.loop.call_later(self._interval_seconds, self._sweep)
        if self._memory_timer is None:
            self._time_memory()
        return self.handler if count < limit else self._refuse

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if self._on_close is not None:
            self._on_close()
        self._note_end()

    def create_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a handler's work, and know of it until it ends."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        self.empty.clear()
        task.add_done_callback(self._forget_task)
        return task

    def _forget_task(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        self._note_end()

    def _note_end(self) -> None:
        storing = self.puts is not None and self.puts.under_way
        if not (self.connections or self.tasks or storing):
            self.empty.set()

    def rejection(self, reason: Reason) -> Response:
        """Return what the reject hook makes of a reason; never raises."""
        status = STATUS[reason]
        try:
            return self._reject(status, reason)
        except Exception:  # noqa: BLE001 - a hook's bug must not silence the server
            _log.exception("the reject hook failed for %s", reason)
            return plain_rejection(status, reason)

    def _refuse(self, request: Request) -> Response:
        request.keep_alive = False
        return self.rejection(Reason.TOO_MANY_CONNECTIONS)

    def _sweep(self) -> None:
        self._timer = None
        if not self.connections:
            return
        self._timer = self.loop.call_later(self._interval_seconds, self._sweep)
        self.tick += 1
        self.budget.sweep()
        for connection in list(self.connections):
            connection.check()

    def _time_memory(self) -> None:
        self._memory_timer = self.loop.call_later(self.limits.block_keep_seconds, self._give_memory_back)

    def _give_memory_back(self) -> None:
        """Keep the blocks that were wanted of late; without any, wait for the next connection."""
        self._memory_timer = None
        self.pool.sweep()
        if self.connections or self.pool.free_count:
            self._time_memory()

    def close(self) -> None:
        """Stop the timers, and send nothing more."""
        self.pipe.give_up()
        for timer in (self._timer, self._memory_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._memory_timer = None

"""From an event loop to the catalog's writer: many writes with one wake-up.

Writes that are asked for in one turn of the loop are queued together, and all
that a transaction carried come back together.  Nothing waits for a timer: a
lone write is queued at the end of the turn that brought it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from sidegate.pfs.catalog.database import Database
from sidegate.pfs.catalog.groups import Ticket

T = TypeVar("T")

_log = logging.getLogger(__name__)


class WriteQueue:
    """The writes of one event loop; used on its thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gathered: list[Ticket[Any]] = []
        # One bound method for all, by which the catalog's writer knows whom to tell.
        self._tell = self._come_back

    async def submit(self, ticket: Ticket[T]) -> T:
        """Return what a write made once it is committed; raises why it was not.

        It goes on when the caller is cancelled.
        """
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._gather(ticket, partial(_settle, future), loop)
        return await future

    def begin(self, ticket: Ticket[T], done: Callable[[Ticket[T]], None]) -> None:
        """Queue a write; `done` is called on the loop when it is committed or has failed."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        self._gather(ticket, done, loop)

    def _gather(
        self, ticket: Ticket[T], done: Callable[[Ticket[T]], None], loop: asyncio.AbstractEventLoop
    ) -> None:
        ticket.waiter = done
        ticket.tell = self._tell
        if not self._gathered:
            loop.call_soon(self._hand_over)
        self._gathered.append(ticket)

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._database.enqueue(gathered)

    def _come_back(self, tickets: list[Ticket[Any]]) -> None:
        """Called in the writer's thread."""
        # A loop that is closed has nobody left who waits.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(_tell_all, tickets)


def _tell_all(tickets: list[Ticket[Any]]) -> None:
    for ticket in tickets:
        try:
            ticket.waiter(ticket)
        except Exception:  # noqa: BLE001 - one that cannot be told must not silence the others
            _log.exception("nobody could be told of a write")


def _settle(future: asyncio.Future[Any], ticket: Ticket[Any]) -> None:
    if future.done():
        return
    if ticket.error is None:
        future.set_result(ticket.value)
    else:
        future.set_exception(ticket.error)

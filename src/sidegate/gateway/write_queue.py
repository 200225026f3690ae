"""From an event loop to the catalog's writer: many writes with one wake-up.

Writes that are asked for in one turn of the loop are queued together, and all
that a transaction carried come back together.  Nothing waits for a timer: a
lone write is queued at the end of the turn that brought it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, TypeVar

from sidegate.pfs.catalog.database import Database
from sidegate.pfs.catalog.groups import Ticket

T = TypeVar("T")


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
        ticket.waiter = future
        ticket.tell = self._tell
        if not self._gathered:
            loop.call_soon(self._hand_over)
        self._gathered.append(ticket)
        return await future

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._database.enqueue(gathered)

    def _come_back(self, tickets: list[Ticket[Any]]) -> None:
        """Called in the writer's thread."""
        # A loop that is closed has nobody left who waits.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(_settle, tickets)


def _settle(tickets: list[Ticket[Any]]) -> None:
    for ticket in tickets:
        future: asyncio.Future[Any] = ticket.waiter
        if future.done():
            continue
        if ticket.error is None:
            future.set_result(ticket.value)
        else:
            future.set_exception(ticket.error)

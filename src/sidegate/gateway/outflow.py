"""Bodies of which a part is compressed: decompressed in threads, within the budget.

A chunk is decompressed when its first byte is due and leaves in pieces; one is
ahead of the network at most.  When others wait for memory, a reader that does
not come keeps no more than the piece in hand, and its chunk is decompressed once
more when it goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from sidegate.gateway.context import Context
from sidegate.http.budget import SMALLEST_BYTES
from sidegate.http.message import FileSegment, Segment
from sidegate.pfs.layout import CompressedSlice, RawSlice, Slice

PIECE_BYTES = 256 << 10
"""What a reader that stopped reading can hold; smaller pieces cost more turns of the loop."""

LIGHT_BYTES = 64 << 10
"""A chunk up to this is decompressed in the time of a trip to a thread: it does not queue with uploads."""


class Outflow:
    """The segments of one response, and what they hold of the budget."""

    def __init__(self, context: Context, slices: Iterator[Slice], *, blocking: bool) -> None:
        """`blocking`: the slices are looked up on the way, which belongs into a thread."""
        self._context = context
        self._slices = slices
        self._blocking = blocking
        self._lease = context.budget.lease(self)
        self._wake: asyncio.Future[None] | None = None
        # The chunk that is being sent, unless it had to go.
        self._plain: memoryview | None = None

    # What the budget calls.

    def budget_granted(self) -> None:
        """There is room for a chunk."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def give_way(self) -> None:
        """Drop what is decompressed and not being sent."""
        if self._plain is not None:
            self._plain = None
            # Less than nothing to give back is nothing.
            self._lease.give(self._lease.held_bytes - PIECE_BYTES)

    # What the sender reads.

    async def segments(self) -> AsyncIterator[Segment]:
        """Yield all segments in order."""
        try:
            while (piece := await self._next()) is not None:
                if isinstance(piece, RawSlice):
                    # `piece` keeps the pack file open until the segment was sent.
                    yield FileSegment(piece.pack.fd, piece.offset, piece.length)
                else:
                    for start in range(0, piece.length, PIECE_BYTES):
                        yield (await self._decompressed(piece))[start : start + PIECE_BYTES]
                    self._plain = None
        finally:
            self._lease.close()

    async def _next(self) -> Slice | None:
        if self._blocking:
            return await self._context.run(lambda: next(self._slices, None))
        return next(self._slices, None)

    async def _decompressed(self, piece: CompressedSlice) -> memoryview:
        plain = self._plain
        if plain is None:
            await self._take_room(piece.location.plain_bytes)
            context, size_bytes = self._context, piece.location.plain_bytes
            run = context.run if size_bytes <= LIGHT_BYTES else context.run_heavy
            plain = self._plain = await run(piece.read)
        return plain

    async def _take_room(self, size_bytes: int) -> None:
        """Wait for a turn, then hold a whole chunk instead of the one before."""
        self._lease.give(self._lease.held_bytes)
        while not (granted := self._lease.ask(min(size_bytes, SMALLEST_BYTES))):
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        # A chunk cannot be had in parts: who has a turn may pass the limit by one.
        self._lease.charge(size_bytes - granted)

"""A request body on its way in: blocks filled by one side, read by the other.

Decides when a reader has enough to be woken (a whole block, or the end) and
when the sender is to be held back.  Where the bytes come from is the
business of `intake`.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Protocol

from sidegate.http.errors import BodyTruncated, Reason


class BodyState(Enum):
    """What may still happen to a body."""

    OPEN = "open"
    FINISHED = "finished"
    FAILED = "failed"


class BodyOwner(Protocol):
    """The connection, as a body sees it."""

    def body_wanted(self) -> None:
        """A reader waits: let bytes come, and say 100 Continue if that is awaited."""
        ...

    def body_taken(self) -> None:
        """A reader took a block: there is room for another."""
        ...


class BlockPool:
    """Buffers of one size, used again when their reader gives them back."""

    __slots__ = ("_free", "_keep_count", "block_bytes")

    def __init__(self, block_bytes: int, keep_count: int = 16) -> None:
        self.block_bytes = block_bytes
        self._keep_count = keep_count
        self._free: list[bytearray] = []

    def take(self, size_bytes: int) -> bytearray:
        """Return a buffer of exactly this size; its content is unspecified."""
        if size_bytes == self.block_bytes and self._free:
            return self._free.pop()
        return bytearray(size_bytes)

    def give(self, block: object) -> None:
        """Keep a whole buffer for later, if it is one of ours."""
        if (
            isinstance(block, bytearray)
            and len(block) == self.block_bytes
            and len(self._free) < self._keep_count
        ):
            self._free.append(block)


class IncomingBody:
    """The Body of a request whose bytes arrive over a socket; see message.Body."""

    __slots__ = (
        "_begun",
        "_blocks",
        "_owner",
        "_piece_bytes",
        "_pieces",
        "_pool",
        "_waiter",
        "expects_continue",
        "failure",
        "length",
        "state",
    )

    def __init__(
        self, owner: BodyOwner, pool: BlockPool, length: int | None, *, expects_continue: bool
    ) -> None:
        self.length = length
        self.expects_continue = expects_continue
        self.state = BodyState.OPEN
        self.failure = Reason.PEER_GONE
        self._owner = owner
        self._pool = pool
        self._blocks: list[bytes | memoryview] = []
        self._pieces: list[bytes] = []
        self._piece_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._begun = False

    # What a handler uses.

    async def read(self) -> bytes | memoryview:
        """Wait for the next block; see message.Body.read."""
        self._begun = True
        while not self._blocks:
            if self.state is BodyState.FINISHED:
                return b""
            if self.state is BodyState.FAILED:
                raise BodyTruncated(self.failure)
            if self._waiter is not None:
                raise RuntimeError("two readers of one request body")
            self._owner.body_wanted()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        block = self._blocks.pop(0)
        self._owner.body_taken()
        return block

    async def read_here(self) -> tuple[list[bytes | memoryview], bool]:
        """Wait for blocks and take all that are here; see message.Body."""
        first = await self.read()
        if not len(first):
            return [], True
        blocks = [first, *self._blocks]
        if len(blocks) > 1:
            self._blocks.clear()
            self._owner.body_taken()
        return blocks, self.state is BodyState.FINISHED

    def take_whole(self) -> bytes | None:
        """Take the whole body if all of it is here; see message.Body."""
        if self.state is not BodyState.FINISHED or self._begun:
            return None
        self._begun = True
        blocks, self._blocks = self._blocks, []
        if len(blocks) == 1:
            block = blocks[0]
            return block if isinstance(block, bytes) else bytes(block)
        return b"".join(blocks)

    def recycle(self, block: bytes | bytearray | memoryview) -> None:
        """Take back a block from `read`; see message.Body."""
        if isinstance(block, memoryview):
            buffer = block.obj
            block.release()
            self._pool.give(buffer)

    # What the intake uses.

    @property
    def unread_blocks(self) -> int:
        """How many blocks wait for a reader."""
        return len(self._blocks)

    def add_piece(self, data: bytes) -> None:
        """Add bytes that are to be joined into a block."""
        self.expects_continue = False
        if self.state is not BodyState.OPEN:
            return
        self._pieces.append(data)
        self._piece_bytes += len(data)
        if self._piece_bytes >= self._pool.block_bytes:
            self.add_block(self.take_pieces())

    def take_pieces(self) -> bytes:
        """Return the bytes that do not make a block yet."""
        pieces, self._pieces, self._piece_bytes = self._pieces, [], 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def add_block(self, block: bytes | memoryview) -> None:
        """Add a block; it now belongs to the reader."""
        self.expects_continue = False
        if self.state is BodyState.OPEN:
            self._blocks.append(block)
            self._wake()

    def finish(self) -> None:
        """Note that every byte has arrived."""
        if self.state is BodyState.OPEN:
            if self._pieces:
                self._blocks.append(self.take_pieces())
            self.state = BodyState.FINISHED
            self._wake()

    def fail(self, reason: Reason) -> None:
        """Note that no more will come; whole blocks are still read first."""
        if self.state is BodyState.OPEN:
            self.state = BodyState.FAILED
            self.failure = reason
            self._pieces.clear()
            self._wake()

    def abandon(self) -> None:
        """Drop what is unread: the response has been sent."""
        self.fail(Reason.ABANDONED)
        self._blocks.clear()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

"""A request body on its way in: blocks filled by one side, read by the other.

Decides when a reader has enough to be woken (a whole block, or the end) and
when the sender is to be held back.  Where the bytes come from is the
business of `intake`.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Protocol

from sidegate.http.blocks import BlockPool
from sidegate.http.budget import Budget
from sidegate.http.errors import BodyTruncated, Reason
from sidegate.http.pulling import SPARE_COUNT, Pull, pays_for


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

    def body_lent(self) -> Pull | None:
        """A reader wants to receive by itself; None when it is not the time."""
        ...

    def body_returned(self, pull: Pull) -> None:
        """A reader has received what it could."""
        ...

    def body_granted(self) -> None:
        """The budget has room for what was asked."""
        ...

    def body_gives_way(self) -> None:
        """Others wait for memory: hand over a block that is not full, or give it back."""
        ...


class IncomingBody:
    """The Body of a request whose bytes arrive over a socket; see message.Body.

    What it holds of the budget: the blocks being filled, unread, or with the
    reader until it gives them back.
    """

    __slots__ = (
        "_blocks",
        "_credit_bytes",
        "_lease",
        "_owner",
        "_piece_bytes",
        "_pieces",
        "_pool",
        "_waiter",
        "crowded",
        "expects_continue",
        "failure",
        "is_wanted",
        "length",
        "state",
    )

    def __init__(
        self,
        owner: BodyOwner,
        pool: BlockPool,
        budget: Budget,
        length: int | None,
        *,
        expects_continue: bool,
    ) -> None:
        self.length = length
        self.expects_continue = expects_continue
        self.state = BodyState.OPEN
        self.failure = Reason.PEER_GONE
        self.crowded = False
        self._owner = owner
        self._pool = pool
        self._lease = budget.lease(self)
        # Granted to a body without a length, for pieces that may come.
        self._credit_bytes = 0
        self._blocks: list[bytes | memoryview] = []
        self._pieces: list[bytes] = []
        self._piece_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        # Whether a reader has asked.
        self.is_wanted = False

    # What a handler uses.

    async def read(self) -> bytes | memoryview:
        """Wait for the next block; see message.Body.read."""
        while not await self._something():
            continue
        if not self._blocks:
            return b""
        block = self._blocks.pop(0)
        self._owner.body_taken()
        return block

    async def read_here(self) -> tuple[list[bytes | memoryview], bool]:
        """Wait for blocks and take all that are here; see message.Body."""
        if not self.crowded:
            await self._something()
        blocks, self._blocks = self._blocks, []
        if blocks:
            self._owner.body_taken()
        return blocks, self.state is BodyState.FINISHED

    async def _something(self) -> bool:
        """Wait for a block or the end; False when woken for another reason."""
        self.is_wanted = True
        if self._blocks or self.state is BodyState.FINISHED:
            return True
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
        return False

    def take_whole(self) -> bytes | None:
        """Take the whole body if all of it is here; see message.Body."""
        if self.state is not BodyState.FINISHED or self.is_wanted:
            return None
        self.is_wanted = True
        blocks, self._blocks = self._blocks, []
        if len(blocks) == 1:
            block = blocks[0]
            return block if isinstance(block, bytes) else bytes(block)
        return b"".join(blocks)

    def begin_pull(self) -> Pull | None:
        """Let a thread receive what follows; see message.Body."""
        if self._blocks or self.crowded or self.state is not BodyState.OPEN:
            return None
        self.is_wanted = True
        pull = self._owner.body_lent()
        if pull is not None:
            size_bytes = self._pool.block_bytes
            wanted = min(SPARE_COUNT, -(-pull.remaining_bytes // size_bytes))
            while len(pull.spare) < wanted and self._lease.take_spare(size_bytes):
                pull.spare.append(self._pool.take(size_bytes))
            if pull.begun is None and not pull.spare:
                # Memory is short: `read` asks for it in turn, and others give way to who asks.
                self.end_pull(pull)
                return None
        return pull

    def end_pull(self, pull: Pull) -> None:
        """Take back what `begin_pull` gave; see message.Body."""
        self._owner.body_returned(pull)
        while pull.others:
            self.recycle(pull.others.pop())
        # Also when it goes on: its reader may rather read, and nobody could ask for what a pull keeps.
        while pull.spare:
            self.recycle(pull.spare.pop())

    def recycle(self, block: bytes | bytearray | memoryview) -> None:
        """Take back a block from `read`; see message.Body."""
        if isinstance(block, memoryview):
            self._lease.give(self._pool.give(block))
        else:
            self._lease.give(len(block))

    # What the budget calls.

    def budget_granted(self) -> None:
        """There is room for what comes."""
        self._owner.body_granted()

    def give_way(self) -> None:
        """Others wait for memory."""
        self._pool.clear()
        self.crowded = True
        self._owner.body_gives_way()
        self._wake()

    # What the intake uses.

    @property
    def is_pullable(self) -> bool:
        """Whether a thread had better receive it, at this moment."""
        return self.length is not None and pays_for(self.length)

    @property
    def unread_blocks(self) -> int:
        """How many blocks wait for a reader."""
        return len(self._blocks)

    def ask(self, size_bytes: int) -> int:
        """Return how much memory there is for a block of that size; 0: wait for it."""
        return self._lease.ask(size_bytes)

    def charge(self, size_bytes: int) -> None:
        """Hold bytes that are here already."""
        self._lease.charge(size_bytes)

    def give_back(self, size_bytes: int) -> None:
        """Need some of that memory no more."""
        self._lease.give(size_bytes)

    def has_credit(self, size_bytes: int) -> bool:
        """Whether so many more bytes may come in pieces; asks for them if not."""
        if self.state is not BodyState.OPEN:
            return True  # nothing of them is kept
        if self._credit_bytes < size_bytes:
            granted = self._lease.ask(size_bytes)
            # Read after: asking may make us give way, or grant what an earlier call waited for.
            self._credit_bytes += granted
        return self._credit_bytes >= size_bytes

    def add_piece(self, data: bytes) -> None:
        """Add bytes that are to be joined into a block."""
        self.expects_continue = False
        if self.state is not BodyState.OPEN:
            return
        if self.length is None:
            credit = min(self._credit_bytes, len(data))
            self._credit_bytes -= credit
            self._lease.charge(len(data) - credit)
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

    def hand_over_pieces(self) -> None:
        """Let the reader have what does not make a block yet; keep no credit."""
        if self._pieces:
            self.add_block(self.take_pieces())
        credit, self._credit_bytes = self._credit_bytes, 0
        self._lease.give(credit + self._lease.take_granted())

    def finish(self) -> None:
        """Note that every byte has arrived."""
        if self.state is BodyState.OPEN:
            self.hand_over_pieces()
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
        """Give back all memory and ask for none again: nobody reads any more."""
        self.fail(Reason.ABANDONED)
        self._lease.close()
        while self._blocks:
            self.recycle(self._blocks.pop())

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

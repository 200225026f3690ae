"""The receiving half of a connection: bytes in, requests and bodies out.

Heads, chunked bodies and whatever comes in one piece with its head go
through the parser.  The rest of a body with a length goes from the socket
straight into the block that its reader gets.  Nothing here sends, and
nothing here knows time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum

from sidegate.http.body import BodyOwner, IncomingBody
from sidegate.http.errors import Reason, Rejected
from sidegate.http.framing import Framing
from sidegate.http.means import Means
from sidegate.http.message import AWAITED_NO_BODY, NO_BODY, Body, Header, Request
from sidegate.http.placement import begin_in
from sidegate.http.pulling import Pull, pull_from

# What a body may receive once more when the budget is spent: the transport was reading already.
STARVED_BYTES = 4096


class Mode(Enum):
    """Where the next bytes go."""

    PARSE = "parser"
    BLOCK = "block of a body"
    DISCARD = "rest of a body nobody wants"
    IGNORE = "no more requests on this connection"


class Intake:
    """Turns received bytes into requests, in order."""

    __slots__ = (
        "_block_bytes",
        "_block_view",
        "_budget",
        "_filled",
        "_last_head",
        "_limits",
        "_mode",
        "_owner",
        "_parser",
        "_parser_stale",
        "_peer",
        "_pool",
        "_pull",
        "_receive_view",
        "_remaining",
        "arrived",
        "body",
        "broken",
        "fresh",
        "head_count",
        "lent",
        "rejection",
        "starved",
        "window",
    )

    def __init__(self, owner: BodyOwner, means: Means, peer: str) -> None:
        self._owner = owner
        self._limits = means.limits
        self._pool = means.pool
        self._budget = means.budget
        self._peer = peer
        self._receive_view = means.receive_view
        self._parser = means.parsers(self, means.limits)
        # Whether the parser has seen a head whose body goes past it.
        self._parser_stale = False
        self._mode = Mode.PARSE
        self._last_head = False
        # The size of the block being filled, 0 without one, the part of it that is to be filled, and is.
        self._block_bytes = 0
        self._block_view = means.receive_view
        self._filled = 0
        self._remaining = 0
        # Requests whose head is complete, the oldest first; at most one receive buffer full of them.
        self.arrived: deque[Request] = deque()
        self.head_count = 0
        # Whether the next byte is the first of a head.
        self.fresh = True
        # The body that is being received.
        self.body: IncomingBody | None = None
        # Whether bytes may come that belong to no request.
        self.broken = False
        # Why nothing after `arrived` can be understood.
        self.rejection: Rejected | None = None
        # Whether the body must wait for its share of the budget.
        self.starved = False
        # What receives the body in a thread now and then, and whether it does at this moment.
        self._pull: Pull | None = None
        self.lent = False
        # Where the next bytes go; None: ask `open_window`.
        self.window: memoryview | None = means.receive_view

    def open_window(self) -> memoryview:
        """Return room for the next bytes of a body, allocating its block.

        Without memory for one there is room for a few bytes: they are here
        already, and the transport is held back after them.
        """
        if self.window is None and self.body is not None:
            size = self.body.ask(self._pool.size_for(self._remaining))
            self.starved = not size
            if size:
                self._begin_block(size)
            else:
                self.window = self._receive_view[: min(self._remaining, STARVED_BYTES)]
        return self.window or self._receive_view

    def _begin_block(self, size_bytes: int, begun: bytes | memoryview = b"") -> None:
        self._block_bytes = size_bytes
        start = begin_in(size_bytes, begun) if size_bytes == self._pool.block_bytes else 0
        self._block_view = self._pool.take(size_bytes)[start : start + len(begun) + self._remaining]
        self._filled = len(begun)
        self._block_view[: self._filled] = begun
        self.window = self._block_view[self._filled :]

    def _end_block(self) -> memoryview:
        """Return the part of the block that is filled; there is no block then."""
        filled = self._block_view[: self._filled]
        self._block_bytes, self._block_view, self._filled, self.window = 0, self._receive_view, 0, None
        return filled

    def _drop_block(self) -> None:
        """Have no block: nobody wants what is in it, and another body may have it."""
        if self._block_bytes:
            self._pool.give(self._end_block())

    def granted(self) -> None:
        """The budget has room: more may be received."""
        self.starved = False
        if self.body is None:
            return
        if self.body.length is None:
            self.starved = not self.body.has_credit(len(self._receive_view))
        elif self._mode is Mode.BLOCK and not self._block_bytes:
            self.window = None

    def give_way(self) -> None:
        """Hand over the block that is not full yet, or give it back if it is empty."""
        body = self.body
        if body is None:
            return
        if self._mode is not Mode.BLOCK or not self._block_bytes:
            body.hand_over_pieces()
            return
        filled = self._end_block()
        if len(filled):
            body.add_block(filled)
        else:
            body.give_back(self._pool.give(filled))

    def received(self, count: int, start: int = 0) -> None:
        """Take `count` bytes that were written to the window, from `start` on.

        What precedes `start` are heads that were taken elsewhere.
        """
        mode = self._mode
        if mode is Mode.PARSE:
            self._parse(self._receive_view[start:count])
            self.fresh = self._mode is Mode.PARSE and self.body is None and not self._parser.head_begun
        elif mode is Mode.BLOCK:
            self._fill(count)
        elif mode is Mode.DISCARD:
            self._discard(count)

    @property
    def head_begun(self) -> bool:
        """Whether a part of a next head is here."""
        return self._mode is Mode.PARSE and self._parser.head_begun

    @property
    def owed_bytes(self) -> int:
        """How many bytes are sure to come before anything must be done.

        0 while somebody waits for memory: then each byte that came is a step.
        """
        if self._budget.is_waited_for:
            return 0
        return self._remaining if self._mode is Mode.BLOCK or self._mode is Mode.DISCARD else 0

    @property
    def full(self) -> bool:
        """Whether as much is here as may wait for a handler."""
        if self.arrived or self.starved or self.lent:
            return True
        body = self.body
        if body is None:
            return False
        if not body.is_wanted and body.is_pullable and self._mode is Mode.BLOCK:
            return True
        return body.unread_blocks >= self._limits.unread_blocks

    def lend(self, transport: asyncio.BaseTransport) -> Pull | None:
        """Let a thread receive what follows of the body; None where that does not pay, or all must wait.

        Nothing may be received over the transport until `take_back`.
        """
        body = self.body
        if body is None or not body.is_pullable or body.expects_continue or self._mode is not Mode.BLOCK:
            return None
        if self.starved or self._budget.is_waited_for:
            return None
        pull = self._pull or pull_from(transport)
        if pull is not None:
            if self._block_bytes:
                pull.begun, pull.filled_bytes = self._block_view, self._filled
                self._end_block()
            pull.remaining_bytes = self._remaining
            pull.is_dry = pull.goes_on = False
            self._pull, self.lent = pull, True
        return pull

    def take_back(self, pull: Pull) -> int:
        """Go on where a thread has ceased to receive; return how many bytes it has."""
        self.lent = False
        received, pull.received_bytes = pull.received_bytes, 0
        body = self.body
        begun, pull.begun = pull.begun, None
        if body is None or pull is not self._pull:
            # The body has ended meanwhile, and not well.
            pull.others += [begun] if begun is not None else []
            pull.close()
            return received
        self._remaining = pull.remaining_bytes
        if begun is not None:
            self._block_bytes, self._block_view, self._filled = len(begun), begun, pull.filled_bytes
            self.window = begun[self._filled :]
        if not self._remaining:
            self._finish_blocks(body)
        waits = pull.is_dry or body.crowded or self._budget.is_waited_for or not pull.spare
        pull.goes_on = self._remaining > 0 and not waits
        return received

    def _end_pull(self) -> None:
        """Have no thread receive the body any more."""
        pull, self._pull = self._pull, None
        self.lent = False
        if pull is not None:
            pull.abandon()  # a thread may be at work

    def owes(self, body: Body) -> int | None:
        """How many bytes of `body` are still to come; None if unknown."""
        if self.body is not body or self.body is None:
            return 0
        return None if self.body.length is None else self._remaining

    def end(self, reason: Reason) -> None:
        """Note that no more bytes will be received."""
        body, self.body = self.body, None
        self.starved = False
        self._drop_block()
        self._end_pull()
        self.ignore()
        if body is not None:
            self.broken = True
            body.fail(reason)

    def discard(self) -> None:
        """Drop the rest of the body being received, then go on with heads."""
        if self.body is None:
            return
        self.body.abandon()
        self.starved = False
        if self.lent:
            # What the thread has received is not told: nobody knows where the next head begins.
            self.end(Reason.ABANDONED)
        elif self._mode is Mode.BLOCK:
            self._drop_block()
            self._end_pull()
            self._mode = Mode.DISCARD
            self.window = self._receive_view[: self._remaining]

    def ignore(self) -> None:
        """Drop all bytes from now on."""
        self._mode = Mode.IGNORE
        self.fresh = False
        self.window = self._receive_view

    def close(self) -> None:
        """Let go of the parser, of the buffers, and of what nobody will be asked to answer."""
        self.end(Reason.PEER_GONE)
        while self.arrived:
            body = self.arrived.popleft().body
            if isinstance(body, IncomingBody):
                body.abandon()
        self._parser.close()

    # Heads and bodies that come through the parser.

    def _parse(self, data: memoryview) -> None:
        while True:
            try:
                consumed = self._parser.feed(data)
            except Rejected as rejected:
                self.refuse(rejected)
                return
            body = self.body
            if body is not None:
                if body.length is not None:
                    self._parser_stale = True
                    begun = bytes(data[consumed:][: self._remaining])
                    consumed += len(begun)
                    if begun:
                        self.body_received(begun)
                    self._begin_blocks(body, body.take_pieces())
                else:
                    self.starved = not body.has_credit(len(self._receive_view))
            elif self._last_head:
                self.ignore()
            # More than that is here only behind an offer to upgrade.
            if consumed == len(data) or self._mode is not Mode.PARSE:
                return
            data = data[consumed:]

    def refuse(self, rejected: Rejected) -> None:
        """Take no more bytes, for the reason given."""
        body = self.body
        # Whatever follows the last request of a connection means nothing.
        if body is not None or not self._last_head:
            self.rejection = rejected
            self.broken = True
        self.end(rejected.reason)

    def head_received(
        self, method: str, target: bytes, version: str, headers: list[Header], framing: Framing
    ) -> None:
        """Called by the parser with each head."""
        self.head_count += 1
        body: Body = AWAITED_NO_BODY if framing.expects_continue else NO_BODY
        if framing.length != 0:
            body = self.body = IncomingBody(
                self._owner,
                self._pool,
                self._budget,
                framing.length,
                expects_continue=framing.expects_continue,
            )
            self._remaining = framing.length or 0
        if not framing.keep_alive:
            self._last_head = True
        self.arrived.append(Request(method, target, version, headers, body, self._peer, framing.keep_alive))

    def body_received(self, data: bytes) -> None:
        """Called by the parser with each piece of a body."""
        if self.body is not None:
            self._remaining -= len(data)
            self.body.add_piece(data)

    def body_finished(self) -> None:
        """Called by the parser at the end of a body."""
        body, self.body = self.body, None
        self.starved = False
        if body is not None:
            body.finish()

    # Bodies that do not.

    def begin_body(self, length: int, start: int, end: int, *, expects_continue: bool) -> IncomingBody:
        """Begin the body of a request whose head was taken elsewhere.

        Of its `length` bytes, more than none, those from `start` to `end` of the receive
        buffer are here; the others are to come, when the peer was told so if it `expects_continue`.
        """
        self.head_count += 1
        self.fresh = False
        # Who sends some of it does not wait (RFC 9110 section 10.1.1).
        awaits = expects_continue and start == end
        body = IncomingBody(self._owner, self._pool, self._budget, length, expects_continue=awaits)
        self.body = body
        self._remaining = length - (end - start)
        self._begin_blocks(body, self._receive_view[start:end])
        return body

    def _begin_blocks(self, body: IncomingBody, begun: bytes | memoryview) -> None:
        """Let the rest of a body go to blocks, of which `begun` is here already."""
        self._mode = Mode.BLOCK
        self.window = None
        if not self._remaining:
            body.add_block(bytes(begun))
            self._finish_blocks(body)
        elif len(begun):
            # One block for the whole of a body that fits into one.
            size = body.ask(self._pool.size_for(len(begun) + self._remaining))
            if size > len(begun):
                self._begin_block(size, begun)
            else:
                self.starved = not size
                body.charge(len(begun) - size)
                body.add_block(bytes(begun))

    def _fill(self, count: int) -> None:
        body = self.body
        if body is None:
            return
        body.expects_continue = False
        self._remaining -= count
        if not self._block_bytes:
            body.charge(count)
            body.add_block(bytes(self._receive_view[:count]))
            self.window = None
        else:
            self._filled += count
            if self._filled < len(self._block_view):
                self.window = self._block_view[self._filled :]
                return
            body.add_block(self._end_block())
        if not self._remaining:
            self._finish_blocks(body)

    def _discard(self, count: int) -> None:
        self._remaining -= count
        if not self._remaining and self.body is not None:
            self._finish_blocks(self.body)
        else:
            self.window = self._receive_view[: self._remaining]

    def _finish_blocks(self, body: IncomingBody) -> None:
        self.body = None
        self.starved = False
        self._end_pull()
        if self._parser_stale:
            self._parser_stale = False
            self._parser.renew()
        if self._last_head:
            self.ignore()
        else:
            self._mode = Mode.PARSE
            self.fresh = True
            self.window = self._receive_view
        body.finish()

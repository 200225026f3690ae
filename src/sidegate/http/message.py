"""What a handler is given and what it gives back.

Plain values: no socket, parser or event loop is needed to make a `Request`
or a `Response`, so that handlers are tested without a server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sidegate.http.pulling import Pull

Header = tuple[bytes, bytes]


class Body(Protocol):
    """The bytes that follow a request head.

    `length` is the Content-Length, 0 without a body, None when the peer
    sends chunked transfer-encoding.  `crowded` says that others wait for
    memory: the reader sets it back to False and gives back what it keeps.
    What is unread when the handler has answered is dropped, with all that
    is still to come: segments cannot read it.
    """

    length: int | None
    crowded: bool

    async def read(self) -> bytes | memoryview:
        """Wait for the next block; b"" at the end and ever after.

        Blocks of a large body have `Limits.block_bytes`, the last one is
        shorter.  The block belongs to the caller.  The first call sends
        "100 Continue" when the peer waits for it.  Raises BodyTruncated.
        """
        ...

    async def read_here(self) -> tuple[list[bytes | memoryview], bool]:
        """Wait for the next block; return all that are here, and whether they are the last.

        Returns without one as soon as `crowded` is set.  As `read` otherwise.
        """
        ...

    def take_whole(self) -> bytes | None:
        """Take the whole body if all of it is here, without waiting."""
        ...

    def begin_pull(self) -> Pull | None:
        """Let a thread receive what follows from the socket; None: only `read` does now.

        All that was read before comes first.  Nothing else of the body may be
        called until `end_pull`, which follows unless the pull is abandoned.
        """
        ...

    def end_pull(self, pull: Pull) -> None:
        """Give back what `begin_pull` gave, in the thread that called it.

        With `goes_on` there is more at once: `begin_pull` again in the place of reading.
        """
        ...

    def recycle(self, block: bytes | bytearray | memoryview) -> None:
        """Give back a block from `read` that nobody will look at again."""
        ...


class WholeBody:
    """A body that is all in memory; empty by default."""

    __slots__ = ("_rest", "crowded", "length")

    def __init__(self, data: bytes = b"") -> None:
        self.length: int | None = len(data)
        self.crowded = False
        self._rest = data

    async def read(self) -> bytes | memoryview:
        """Return everything once, then b""."""
        data, self._rest = self._rest, b""
        return data

    async def read_here(self) -> tuple[list[bytes | memoryview], bool]:
        """Return everything once, as the last."""
        data = await self.read()
        return ([data] if len(data) else []), True

    def take_whole(self) -> bytes | None:
        """Return everything once, then b""."""
        data, self._rest = self._rest, b""
        return data

    def begin_pull(self) -> Pull | None:
        """Return None: all is here."""
        return None

    def end_pull(self, pull: Pull) -> None:
        """Do nothing: there was none."""

    def recycle(self, block: bytes | bytearray | memoryview) -> None:
        """Do nothing: there is no buffer to use again."""


# Shared by every request without a body: it holds nothing that could change.
NO_BODY = WholeBody()

# The same where the peer sent "Expect: 100-continue" nevertheless.  botocore does, and
# misreads the next response on the connection unless this one has its interim response.
AWAITED_NO_BODY = WholeBody()


@dataclass(slots=True)
class Request:
    """One request head, with names lower-cased, and its body.

    `target` is raw: neither decoded nor normalised.  `headers` keep order
    and repeats.  `peer` is host:port.
    """

    method: str
    target: bytes
    version: str
    headers: list[Header]
    body: Body
    peer: str
    keep_alive: bool = True

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header given in lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class FileSegment(NamedTuple):
    """Bytes of an open file, sent without passing through us.

    The descriptor stays the sender's own: it must be open until `on_sent`.
    """

    fd: int
    offset: int
    length: int


Segment = bytes | bytearray | memoryview | FileSegment
Segments = Iterator[Segment] | AsyncIterator[Segment]


@dataclass(slots=True)
class Response:
    """An answer: a small body at once, or segments one after the other.

    `raw_headers` (lines rendered beforehand, each ending in CRLF, which leave
    first) and `headers` must not hold Date, Server, Connection, Content-Length or
    Transfer-Encoding: those follow from the rest.  `length` is the exact
    total of the segments, and the Content-Length of a HEAD or 304 answer;
    segments without it leave with chunked transfer-encoding.

    `on_sent(complete)` is called exactly once, whatever happens; complete
    means that every byte was handed to the kernel or the transport.
    """

    status: int
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""
    segments: Segments | None = None
    length: int | None = None
    on_sent: Callable[[bool], None] | None = None
    raw_headers: bytes = b""


Answer = Response | Awaitable[Response]
Handler = Callable[[Request], Answer]

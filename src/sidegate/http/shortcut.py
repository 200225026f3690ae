"""Plain requests that need no parser: from the receive buffer to whoever knows the answer.

A handler may come with a shortcut, which is asked first whenever a plain GET
or HEAD (`native.HeadScanner` says what that is) begins exactly where the last
request ended.  It answers from memory or not at all; whatever it leaves goes
to the parser and to the handler, from its first byte.  So a shortcut changes
what a request costs and nothing else: its answers are those of the handler.
The same holds for a plain PUT, but that its answer comes later.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple, Protocol

from sidegate.http.framing import FRAMING_NAMES
from sidegate.http.limits import Limits
from sidegate.http.message import Body, FileSegment, Response, Segment
from sidegate.native import HeadScanner
from sidegate.native.plain_heads import OWN_NAMES

Opening = Callable[[int], bytes]
"""Status → the first lines of a head, as they are this second."""

Found = tuple[Any, ...]
"""What `HeadScanner.scan` returns of a plain head."""

ScanHead = Callable[[int, int], Found | None]
"""Start and end in the receive buffer → what is found there."""


class FileAnswer(NamedTuple):
    """A whole head, rendered, and the part of a file that follows it.

    `keeper` is what keeps the file open; it is held until the answer has left.
    """

    head: bytes
    file: FileSegment
    keeper: object


class StreamedAnswer(NamedTuple):
    """A whole head, rendered, and the segments of `length` bytes that follow it."""

    head: bytes
    segments: Iterator[Segment]
    length: int


Answer = bytes | FileAnswer | StreamedAnswer
"""All that is to be sent, if it is bytes, head and body."""


Outcome = bytes | Response | BaseException
"""What became of a PUT: the header lines of a 200 without a body, each ending in CRLF,
another response, or what a handler would have raised."""

ReceivePut = Callable[[Body], Coroutine[Any, Any, Response]]
"""Reads a body, stores it and returns the answer, or raises, as a handler does."""


class PutShortcut(Protocol):
    """Stores plain PUTs for a handler; the tuples are as those of `Shortcut`."""

    wanted_headers: tuple[bytes, ...]
    declined_headers: tuple[bytes, ...]
    parameters: tuple[bytes, ...]

    family: bytes
    """How the names of headers begin of which none may be there that is not named here."""

    ignored_headers: tuple[bytes, ...]
    """Those of the family that change nothing."""

    longest_bytes: int
    """Of a body that `begin` takes."""

    def begin(self, found: Found, head: bytes, body: bytes, answer: Callable[[Outcome], None]) -> bool:
        """Begin to store what the scanner found and is here whole, or return False to leave it.

        Called on the event loop: no waiting.  `answer` is called on it, once and
        later.  What it raises leaves the request to the handler.
        """
        ...

    def receiver(self, found: Found, head: bytes) -> ReceivePut | None:
        """Return what stores the PUT that the scanner found, whose body is still to come.

        None leaves it.  Called on the event loop, as is what it returns, once: no waiting.
        """
        ...


class Shortcut(Protocol):
    """Answers plain reads for a handler; the tuples say what makes a read plain."""

    puts: PutShortcut | None
    """The same for plain PUTs."""

    wanted_headers: tuple[bytes, ...]
    """Headers whose values it takes into account."""

    declined_headers: tuple[bytes, ...]
    """Headers with which a read is left to the handler."""

    parameters: tuple[bytes, ...]
    """The only query parameters a read may have; they change nothing."""

    def answer(self, found: Found, opening: Opening) -> Answer | None:
        """Answer what the scanner found, or None to leave it.

        Called on the event loop: no waiting.  What it raises leaves the request
        to the handler.
        """
        ...


def no_scanner(start: int, end: int) -> None:
    """Recognise nothing: for a server without a shortcut."""


def scanner_for(
    shortcut: Shortcut | PutShortcut,
    receive_view: memoryview,
    limits: Limits,
    *,
    framing: tuple[bytes, ...] = (),
    **more: Any,
) -> HeadScanner:
    """Return a scanner of `receive_view` that recognises what the shortcut takes.

    The values of `framing`, headers that decide framing, follow those that the shortcut
    wants; `more` is what a HeadScanner is told besides.
    """
    return HeadScanner(
        receive_view,
        head_bytes=limits.head_bytes,
        header_count=limits.header_count,
        wanted=(*shortcut.wanted_headers, *framing),
        # Whatever else decides framing needs the whole of `framing`.
        declined=(*shortcut.declined_headers, *sorted(FRAMING_NAMES - OWN_NAMES - {*framing})),
        parameters=shortcut.parameters,
        **more,
    )

"""What a request parser is to the rest of this package.

The two parsers (httptools, h11) turn bytes into the calls of `RequestSink`;
neither knows connections, limits on time or responses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sidegate.http.framing import Framing
from sidegate.http.limits import Limits
from sidegate.http.message import Header


class RequestSink(Protocol):
    """Who is told of each request, in the order of the bytes."""

    def head_received(
        self, method: str, target: bytes, version: str, headers: list[Header], framing: Framing
    ) -> None:
        """A head is complete; `headers` now belong to the sink."""
        ...

    def body_received(self, data: bytes) -> None:
        """Some bytes of the body, never none."""
        ...

    def body_finished(self) -> None:
        """The body is complete; not called when the framing says it has no bytes."""
        ...


class RequestParser(Protocol):
    """A parser of one connection's bytes."""

    def feed(self, data: memoryview) -> int:
        """Parse as much as there is; return how many bytes were consumed.

        Nothing of `data` is referred to afterwards.  Fewer bytes than given
        are consumed only after a head with `framing.upgrades`.  Raises
        Rejected; the parser is of no use after that.
        """
        ...

    def renew(self) -> None:
        """Expect a new head: the rest of a body was received elsewhere."""
        ...

    def close(self) -> None:
        """Let go of everything; no call may follow."""
        ...

    @property
    def head_begun(self) -> bool:
        """Whether a part of a head has been seen."""
        ...


ParserFactory = Callable[[RequestSink, Limits], RequestParser]

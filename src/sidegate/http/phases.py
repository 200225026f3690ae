"""The phases of a connection, and what it waits for in each but the first."""

from __future__ import annotations

from enum import Enum

from sidegate.http.patience import Wait


class Phase(Enum):
    """Where a connection stands, apart from the request in hand."""

    OPEN = "requests are taken"
    DRAINING = "the rest of an unread body is dropped before the next request"
    LINGERING = "our side is shut; the peer may finish sending and read our answer"
    CLOSING = "what is buffered still leaves"
    CLOSED = "gone"


PHASE_WAITS = {
    Phase.DRAINING: Wait.DRAIN,
    Phase.LINGERING: Wait.LINGER,
    Phase.CLOSING: Wait.READING,
    Phase.CLOSED: Wait.NOTHING,
}

"""Why a request or its body could not be taken, as data.

A `Reason` names each rule of the wire that a peer can break and each limit
it can hit; whoever turns it into a response (the `reject` hook) chooses the
words.  Nothing here knows sockets or parsers.
"""

from __future__ import annotations

from enum import StrEnum

from sidegate.errors import Invalid, Unavailable


class Reason(StrEnum):
    """What went wrong between the peer and us."""

    MALFORMED_HEAD = "malformed-head"
    FRAMING = "framing"
    HEAD_TOO_LARGE = "head-too-large"
    METHOD = "method-unknown"
    VERSION = "version-unsupported"
    EXPECTATION = "expectation-unsupported"
    HEAD_TIMEOUT = "head-timeout"
    BODY_TIMEOUT = "body-timeout"
    PEER_GONE = "peer-gone"
    ABANDONED = "body-abandoned"
    HANDLER_FAILED = "handler-failed"
    TOO_MANY_CONNECTIONS = "too-many-connections"


# RFC 9110 section 15 and RFC 6585 section 5; a reject hook may choose another.
STATUS: dict[Reason, int] = {
    Reason.MALFORMED_HEAD: 400,
    Reason.FRAMING: 400,
    Reason.HEAD_TOO_LARGE: 431,
    Reason.METHOD: 501,
    Reason.VERSION: 505,
    Reason.EXPECTATION: 417,
    Reason.HEAD_TIMEOUT: 408,
    Reason.BODY_TIMEOUT: 408,
    Reason.PEER_GONE: 400,
    Reason.ABANDONED: 500,
    Reason.HANDLER_FAILED: 500,
    Reason.TOO_MANY_CONNECTIONS: 503,
}


class Rejected(Invalid):
    """The bytes received cannot be a request; the connection must end."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message, reason=reason.value)
        self.reason = reason


class BodyTruncated(Unavailable):
    """The rest of a request body will not come; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"the request body ended early: {reason.value}", reason=reason.value)
        self.reason = reason


class SegmentTruncated(Unavailable):
    """A response source ended before, or went past, what its head promised."""

"""What the load loop is asked to do and what it tells: terms of both twins.

An exchange is one HTTP/1.1 request as sent and what must come back.  The loop
knows framing just well enough to tell a right answer from a wrong one; what is
asked, and what it means, is the caller's business.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

KEPT_BYTES: Final = 16 << 10
"""How much of an answer can be compared, searched or kept: head and first bytes of the body."""

EXAMPLE_BYTES: Final = 1 << 10
MAX_EXAMPLES: Final = 3
MAX_FAILURES: Final = 100
"""So many wrong answers end a run: the rest would be no different."""

BUCKETS: Final = 1184
"""Of the histogram of latencies: 40 bits of nanoseconds, 32 buckets for each doubling."""

_STAMP: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, and what must come back.

    What is sent is `head`, the payload of the script, then `tail`.  `body_bytes`
    is the size of the answer's body, None: any.  `body` is compared when given,
    `holds` must be in the body; both see only the first KEPT_BYTES of an answer.
    """

    head: bytes
    status: int = 200
    body_bytes: int | None = None
    body: bytes | None = None
    holds: bytes = b""
    tail: bytes = b""


@dataclass(frozen=True, slots=True)
class Payload:
    """The body of all requests of a script, made different for each by stamps.

    The serial number of a request, 8 bytes little-endian, is written at each
    offset of `stamps`; a store that keeps equal chunks once keeps none of these.
    """

    template: bytes
    stamps: tuple[int, ...] = ()

    def of(self, serial: int) -> bytes:
        """Return the body of one request."""
        body = bytearray(self.template)
        for offset in self.stamps:
            _STAMP.pack_into(body, offset, serial)
        return bytes(body)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How long a run lasts.

    Requests begin for `seconds`, at most `count` of them; then those under way
    have `drain_seconds`.  A run in which nothing happens for as long as that ends.
    `poll` asks the kernel again and again instead of sleeping: for a client with
    a core to itself.
    """

    seconds: float
    count: int
    drain_seconds: float
    poll: bool

    def at_most(self, count: int) -> Rhythm:
        """Return the same with no more requests than `count`."""
        return replace(self, count=min(self.count, count))


@dataclass(slots=True)
class Tally:
    """What a run found.

    `idle_seconds` is how long the client had nothing to do.  `examples` are wrong
    answers, by the position of their request; an empty one means that the server
    closed the connection.  `answers` has, when they are to be kept, the beginning
    of each answer by position.
    """

    seconds: float = 0.0
    begun: int = 0
    answered: int = 0
    failed: int = 0
    unanswered: int = 0
    idle_seconds: float = 0.0
    received_bytes: int = 0
    reconnections: int = 0
    latencies: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    examples: list[tuple[int, bytes]] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)


def bodies_for(count: int, template: bytes, given: Sequence[bytearray] | None) -> list[bytearray]:
    """Return a copy of the payload for each connection: those given, or new ones.  Raises ValueError."""
    if not count:
        raise ValueError("there is no connection to drive")
    if given is None:
        return [bytearray(template) for _ in range(count)]
    if len(given) != count:
        raise ValueError(f"{count} connections need as many bodies, not {len(given)}")
    if any(type(body) is not bytearray or len(body) != len(template) for body in given):
        raise ValueError(f"a body must be a bytearray of {len(template)} bytes, as the payload is")
    return list(given)


def bucket_of(nanoseconds: int) -> int:
    """Return the bucket of a latency; each is at most 1/32 wide."""
    shift = max(0, nanoseconds.bit_length() - 6)
    return min(BUCKETS - 1, shift * 32 + (nanoseconds >> shift))


def floor_of(bucket: int) -> int:
    """Return the smallest latency in nanoseconds that falls into a bucket."""
    if bucket < 64:
        return bucket
    shift = bucket // 32 - 1
    return (bucket - shift * 32) << shift

"""How much a connection may ask for, and how long it may be silent.

Every time-out is an idle one: it runs from the last progress, never over a
whole transfer, except `head_seconds`, which bounds one request head.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sidegate.descriptors import connections_that_fit

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one server and each of its connections.

    `in_flight_bytes` is for all connections together, the rest for each.
    `head_bytes` counts the request line and the header lines.  A time-out is
    noticed by a periodic sweep, so it can be late by a quarter of the
    shortest one, and by a second at most; it is never early.  Free blocks
    are kept for one to two times `block_keep_seconds`.
    """

    head_bytes: int = 64 * KIB
    header_count: int = 200
    head_seconds: float = 30.0
    # Clients keep connections for 60 s to 5 min and lose a PUT when a close races with it.
    idle_seconds: float = 75.0
    body_idle_seconds: float = 60.0
    send_idle_seconds: float = 60.0
    drain_bytes: int = 64 * MIB
    drain_seconds: float = 10.0
    linger_seconds: float = 2.0
    connections: int = 4096
    in_flight_bytes: int = 64 * MIB
    # A MiB in aws-chunked framing is one block: up to 92 bytes a chunk, and chunks have 8 KiB or more.
    # In two it cost 80 us more of 1 350, for all that is done once a block (Zen 4, 2026-11).
    block_bytes: int = MIB + 16 * KIB
    # Then what nobody wanted goes back to the system.  The host of a virtual machine takes that within
    # seconds, and the next upload pays 60 to 300 ms to have it again (2026-11).
    block_keep_seconds: float = 30.0
    # Bodies of 64 MiB over two connections cost with one, three, four and six 1.09, 0.95, 0.96 and 0.96 times
    # what they do with two: fewer trips to a thread, until blocks leave the caches (Zen 4, 2026-11).
    unread_blocks: int = 3

    def shortest_seconds(self) -> float:
        """The time-out that the sweep must be able to tell apart."""
        return min(
            self.head_seconds,
            self.idle_seconds,
            self.body_idle_seconds,
            self.send_idle_seconds,
            self.drain_seconds,
            self.linger_seconds,
        )


def fitting(limits: Limits) -> Limits:
    """Return limits with no more connections than this process has descriptors for."""
    fit = connections_that_fit()
    return limits if limits.connections <= fit else replace(limits, connections=fit)

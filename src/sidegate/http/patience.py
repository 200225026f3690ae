"""How long a connection waits for its peer, and when that is too long.

Knows neither sockets nor requests: it is told, at each sweep, what is
waited for and how far things have come.
"""

from __future__ import annotations

from enum import Enum

from sidegate.http.limits import Limits


class Wait(Enum):
    """What only the peer can bring about; each has its time-out."""

    NOTHING = "nothing"
    REQUEST = "a next request"
    HEAD = "the rest of a head"
    BODY = "more of a body"
    READING = "the peer's reading"
    DRAIN = "the end of an unread body"
    LINGER = "the peer's close"


def wait_seconds(limits: Limits) -> dict[Wait, float]:
    """The time-out of each wait; none for NOTHING."""
    return {
        Wait.REQUEST: limits.idle_seconds,
        Wait.HEAD: limits.head_seconds,
        Wait.BODY: limits.body_idle_seconds,
        Wait.READING: limits.send_idle_seconds,
        Wait.DRAIN: limits.drain_seconds,
        Wait.LINGER: limits.linger_seconds,
    }


class Patience:
    """Measures one connection's current wait in sweeps."""

    __slots__ = ("_progress", "_since", "_wait")

    def __init__(self) -> None:
        self._wait = Wait.NOTHING
        self._since = 0
        self._progress = 0

    def waited(self, tick: int, wait: Wait, progress: int) -> int:
        """Return for how many sweeps `wait` has lasted without progress.

        The time before the first sweep that sees a wait does not count, so
        a time-out is never early.
        """
        if wait is not self._wait or progress != self._progress or wait is Wait.NOTHING:
            self._wait = wait
            self._progress = progress
            self._since = tick
        return tick - self._since

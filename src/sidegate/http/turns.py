"""How much one connection may send before others have a turn: it depends on who else is there.

A turn costs some 10 us, and whoever wants a small answer waits until those of
large ones are over.  So turns are long, but while small answers are given.
"""

from __future__ import annotations

from collections.abc import Callable

LONG_BYTES = 4 << 20
"""About 0.5 ms of loopback.  A GET of 8 MiB costs 3 % more in turns of 1 MiB, 7 % in such of 512 KiB
(Zen 4, Linux 6.18, 2026-11)."""

SHORT_BYTES = 512 << 10
"""With these, four who take large objects delay one who takes small ones as by a bare server."""

SHORT_SECONDS = 0.1
"""How long after a small answer another one is expected."""


class Turns:
    """What the connections of a server agree on."""

    __slots__ = ("_now", "_short_until", "small_answer_given")

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` returns seconds of any clock that goes on."""
        self._now = now
        self._short_until = now()
        self.small_answer_given = False
        """To be set with each: all that this costs there."""

    def size_bytes(self) -> int:
        """Return what may be sent in a turn that begins now."""
        now = self._now()
        if self.small_answer_given:
            self.small_answer_given = False
            self._short_until = now + SHORT_SECONDS
        return SHORT_BYTES if now < self._short_until else LONG_BYTES

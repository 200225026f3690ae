"""Plain PUTs: those that are in the receive buffer with all of their body, and the others.

Decides what is such a PUT, and counts those of the former that a shortcut is
storing: a server that stops waits for them.
"""

from __future__ import annotations

from collections.abc import Callable

from sidegate.http.head import HeadRenderer
from sidegate.http.limits import Limits
from sidegate.http.message import NO_BODY, Request
from sidegate.http.shortcut import Found, Outcome, PutShortcut, ReceivePut, ScanHead, scanner_for

STORING = Request("PUT", b"", "1.1", [], NO_BODY, "")
"""Stands for each PUT that came whole and that a shortcut is storing."""


class PlainPuts:
    """The plain PUTs of one server."""

    def __init__(
        self, shortcut: PutShortcut, receive_view: memoryview, limits: Limits, on_idle: Callable[[], None]
    ) -> None:
        """`on_idle` is called when nothing is being stored any more."""
        self._shortcut = shortcut
        self._view = receive_view
        self._on_idle = on_idle
        self.under_way = 0
        """How many are being stored, also those whose peer is gone."""
        more = {"writes": True, "family": shortcut.family, "ignored": shortcut.ignored_headers}
        self._scan: ScanHead = scanner_for(shortcut, receive_view, limits, framing=(b"expect",), **more).scan

    def scan(self, start: int, end: int) -> Found | None:
        """Return what a plain PUT says, and last its Expect; None if there is none."""
        found = self._scan(start, end)
        if found is None or found[-1] is None:
            return found
        # Without a body it needs an interim response all the same: see `AWAITED_NO_BODY`.
        return found if found[5] and found[-1].lower() == b"100-continue" else None

    def take(self, found: Found, start: int, answer: Callable[[Outcome], None]) -> bool:
        """Begin to store what was scanned from `start` on and is here whole; whether that was done.

        `answer` gets what became of it, later; whoever is called says `ended`.
        """
        head_end: int = found[0]
        body_bytes: int = found[5]
        if body_bytes > self._shortcut.longest_bytes:
            return False
        head, body = bytes(self._view[start:head_end]), bytes(self._view[head_end : head_end + body_bytes])
        if not self._shortcut.begin(found[:-1], head, body, answer):
            return False
        self.under_way += 1
        return True

    def receiver(self, found: Found, start: int) -> ReceivePut | None:
        """Return what stores the PUT scanned from `start` on, whose body is still to come, or None."""
        return self._shortcut.receiver(found[:-1], bytes(self._view[start : found[0]]))

    def ended(self) -> None:
        """It is known what became of one."""
        self.under_way -= 1
        if not self.under_way:
            self._on_idle()


def render_stored(renderer: HeadRenderer, lines: bytes) -> bytes:
    """Return the answer to a PUT that was stored; `lines` are what the shortcut says."""
    return b"%b%bContent-Length: 0\r\n\r\n" % (renderer.opening(200), lines)

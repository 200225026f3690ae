"""Response heads as one buffer of bytes.

Decides the lines that follow from the server and the framing (status,
Server, Date, Connection, Content-Length, Transfer-Encoding) and refuses
header values that would split the response.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus

from sidegate.errors import Invalid
from sidegate.http.message import Header, Response

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# RFC 9110 section 15: these never have a body; 204 also has no Content-Length (section 8.6).
BODILESS_STATUS = frozenset({204, 304})

_BREAKS = (b"\r", b"\n", b"\0")

_join_line = b": ".join
_join_lines = b"\r\n".join


class HeadRenderer:
    """Renders heads; keeps the lines that change once a second.

    `clock` returns Unix seconds.
    """

    __slots__ = ("_clock", "_openings", "_second")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = -1
        self._openings: dict[int, bytes] = {}

    def render(self, response: Response, length: int | None, connection: bytes, body: bytes = b"") -> bytes:
        """Render a head, and a body behind it, as one buffer.

        `length` None stands for a body without a length; `connection` holds
        whole lines of the caller's choice, or b"".  Raises Invalid when a
        header could end its line.
        """
        status = response.status
        opening = self.opening(status)
        lines = response.raw_headers
        headers = response.headers
        if headers:
            rendered = _join_lines(map(_join_line, headers)) + b"\r\n"
            # Counting finds a line break in any name or value without looking at each one.
            breaks = len(headers)
            if rendered.count(b"\n") != breaks or rendered.count(b"\r") != breaks or b"\0" in rendered:
                raise _broken_header(headers)
            lines = lines + rendered if lines else rendered
        # A 304 stands for the response to a GET, whose length we may not know (RFC 9110 section 8.6).
        if length is None or status == 204 or (status == 304 and not length):
            return b"%b%b%b\r\n" % (opening, lines, connection)
        return b"%b%b%bContent-Length: %d\r\n\r\n%b" % (opening, lines, connection, length, body)

    def opening(self, status: int) -> bytes:
        """Return the lines that every head with this status begins with, now."""
        now = self._clock()
        if not self._second <= now < self._second + 1:
            self._second = int(now)
            self._openings.clear()
        opening = self._openings.get(status)
        if opening is None:
            opening = self._openings[status] = _opening(status, self._second)
        return opening


def _opening(status: int, second: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    date = formatdate(second, usegmt=True)
    return f"HTTP/1.1 {status} {phrase}\r\nServer: sidegate\r\nDate: {date}\r\n".encode("ascii")


def _broken_header(headers: list[Header]) -> Invalid:
    name, value = next(item for item in headers if any(mark in part for part in item for mark in _BREAKS))
    return Invalid(f"header {name!r} holds a line break or NUL: {value!r}", name=name, value=value)

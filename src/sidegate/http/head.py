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

_join_line = b": ".join
_join_lines = b"\r\n".join


class HeadRenderer:
    """Renders heads; keeps the lines that change once a second.

    `clock` returns Unix seconds.
    """

    __slots__ = ("_clock", "_prefixes", "_second")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = -1
        self._prefixes: dict[int, bytes] = {}

    def render(self, response: Response, length: int | None, connection: bytes) -> bytes:
        """Render a head; `length` None stands for a body without a length.

        `connection` holds whole lines of the caller's choice, or b"".
        Raises Invalid when a header could end its line.
        """
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._prefixes.clear()
        status = response.status
        prefix = self._prefixes.get(status)
        if prefix is None:
            prefix = self._prefixes[status] = _prefix(status, second)
        lines = _join_lines(map(_join_line, response.headers))
        if lines:
            _check_lines(lines, response.headers)
            lines += b"\r\n"
        if length is None or status == 204:
            return b"%b%b%b%b\r\n" % (prefix, lines, response.raw_headers, connection)
        return b"%b%b%b%bContent-Length: %d\r\n\r\n" % (
            prefix,
            lines,
            response.raw_headers,
            connection,
            length,
        )


def _prefix(status: int, second: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    date = formatdate(second, usegmt=True)
    return f"HTTP/1.1 {status} {phrase}\r\nServer: sidegate\r\nDate: {date}\r\n".encode("ascii")


def _check_lines(lines: bytes, headers: list[Header]) -> None:
    # Counting finds a line break in any name or value without looking at each one.
    breaks = len(headers) - 1
    if lines.count(b"\n") == breaks and lines.count(b"\r") == breaks and b"\0" not in lines:
        return
    for name, value in headers:
        if any(mark in part for part in (name, value) for mark in (b"\r", b"\n", b"\0")):
            raise Invalid(f"header {name!r} holds a line break or NUL: {value!r}", name=name, value=value)

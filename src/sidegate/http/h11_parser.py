"""Requests parsed by h11: the portable twin of `httptools_parser`.

h11 is kinder than llhttp in a few places (bare line feeds, folded lines,
repeated equal lengths); what it would forgive is refused here first, so that
both parsers take and refuse the same bytes.
"""

from __future__ import annotations

import re

import h11

from sidegate.http.errors import Reason, Rejected
from sidegate.http.framing import FRAMING_NAMES, METHODS, read_framing
from sidegate.http.limits import Limits
from sidegate.http.parser import RequestSink

_HEAD_END = b"\r\n\r\n"
_FOLDED_LINE = re.compile(rb"\r\n[ \t]")
_LENGTH_LINE = re.compile(rb"\r\ncontent-length:([^\r]*)", re.IGNORECASE)
# h11 counts what is waiting, not the head: leave room for one receive buffer behind it.
_SLACK_BYTES = 256 * 1024


class H11Parser:
    """A request parser on h11; see RequestParser."""

    __slots__ = ("_connection", "_head", "_limits", "_quiet_bytes", "_rest_bytes", "_sink")

    def __init__(self, sink: RequestSink, limits: Limits) -> None:
        self._sink = sink
        self._limits = limits
        self.renew()

    def renew(self) -> None:
        """Expect a new head: the rest of a body was received elsewhere."""
        self._head = bytearray()
        self._connection: h11.Connection | None = None
        self._rest_bytes = 0
        # Bytes of chunk framing since the last byte of a body.
        self._quiet_bytes = 0

    def close(self) -> None:
        """Let go of everything; no call may follow."""
        self._connection = None

    @property
    def head_begun(self) -> bool:
        """Whether a part of a head has been seen."""
        return len(self._head) > 0

    def feed(self, data: memoryview) -> int:
        """Parse `data`; see RequestParser.feed."""
        rest = bytes(data)
        while rest:
            if self._connection is not None:
                rest = self._feed_chunks(self._connection, rest)
            elif self._rest_bytes:
                rest = self._feed_length(rest)
            else:
                rest = self._feed_head(rest)
        return len(data)

    def _feed_head(self, data: bytes) -> bytes:
        head = self._head
        head += data
        # RFC 9112 section 2.2: empty lines before a request line are ignored.
        while head.startswith(b"\r\n"):
            del head[:2]
        end = head.find(_HEAD_END)
        size = len(head) if end < 0 else end + len(_HEAD_END)
        rest = bytes(head[size:])
        del head[size:]
        if head.count(b"\n") != head.count(b"\r\n"):
            raise Rejected(Reason.MALFORMED_HEAD, "a line that ends without CR")
        if size > self._limits.head_bytes:
            raise Rejected(Reason.HEAD_TOO_LARGE, f"a head of more than {self._limits.head_bytes} bytes")
        if end < 0:
            return b""
        text = bytes(head)
        head.clear()
        self._parse_head(text)
        return rest

    def _parse_head(self, text: bytes) -> None:
        if _FOLDED_LINE.search(text) or text.count(b"\r") != text.count(b"\r\n"):
            raise Rejected(Reason.MALFORMED_HEAD, "a folded header line, or a CR alone")
        lengths = _LENGTH_LINE.findall(text)
        if len(lengths) > 1 or any(b"," in length for length in lengths):
            raise Rejected(Reason.FRAMING, "more than one Content-Length")
        connection = h11.Connection(h11.SERVER, self._limits.head_bytes + _SLACK_BYTES)
        connection.receive_data(text)
        event = _next_event(connection, body=False)
        if not isinstance(event, h11.Request):
            raise Rejected(Reason.MALFORMED_HEAD, "not a request")
        headers = list(event.headers)
        if len(headers) > self._limits.header_count:
            raise Rejected(Reason.HEAD_TOO_LARGE, f"more than {self._limits.header_count} headers")
        method = METHODS.get(event.method)
        if method is None:
            raise Rejected(Reason.METHOD, f"unknown method {event.method!r}")
        version = event.http_version.decode("ascii")
        framing = read_framing(version, [item for item in headers if item[0] in FRAMING_NAMES])
        self._sink.head_received(method, event.target, version, headers, framing)
        if framing.length is None:
            self._connection = connection
        else:
            self._rest_bytes = framing.length

    def _feed_length(self, data: bytes) -> bytes:
        piece = data[: self._rest_bytes]
        self._rest_bytes -= len(piece)
        self._sink.body_received(piece)
        if not self._rest_bytes:
            self._sink.body_finished()
        return data[len(piece) :]

    def _feed_chunks(self, connection: h11.Connection, data: bytes) -> bytes:
        connection.receive_data(data)
        self._quiet_bytes += len(data)
        while True:
            event = _next_event(connection, body=True)
            if isinstance(event, h11.Data):
                self._quiet_bytes = 0
                self._sink.body_received(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._connection = None
                self._sink.body_finished()
                return bytes(connection.trailing_data[0])
            elif self._quiet_bytes > self._limits.head_bytes:
                raise Rejected(Reason.FRAMING, "too many bytes of chunk framing")
            else:
                return b""


def _next_event(connection: h11.Connection, *, body: bool) -> object:
    try:
        return connection.next_event()
    except h11.RemoteProtocolError as error:
        text = str(error)
        if body or "Content-Length" in text or "Transfer-Encoding" in text:
            raise Rejected(Reason.FRAMING, text) from None
        raise Rejected(Reason.MALFORMED_HEAD, text) from None

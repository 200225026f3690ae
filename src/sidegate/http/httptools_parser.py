"""Requests parsed by httptools (llhttp, in its strict mode).

The callbacks run once per header of every request: they do as little as
they can, and leave the rare cases to methods of their own.
"""

from __future__ import annotations

import httptools

from sidegate.http.errors import Reason, Rejected
from sidegate.http.framing import BODILESS, FRAMING_NAMES, METHODS, Framing, read_framing
from sidegate.http.limits import Limits
from sidegate.http.message import Header
from sidegate.http.parser import RequestSink

# Names that need no thought, as clients spell them: one lookup instead of lower() and a test.
_COMMON_NAMES = (
    *("accept", "accept-encoding", "accept-language", "authorization", "cache-control", "content-encoding"),
    *("content-md5", "content-type", "date", "if-match", "if-modified-since", "if-none-match"),
    *("if-unmodified-since", "pragma", "range", "referer", "user-agent"),
    *("amz-sdk-invocation-id", "amz-sdk-request", "amz-sdk-retry", "x-amz-acl", "x-amz-api-version"),
    *("x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha256"),
    *("x-amz-checksum-mode", "x-amz-content-sha256", "x-amz-copy-source", "x-amz-date"),
    *("x-amz-decoded-content-length", "x-amz-sdk-checksum-algorithm", "x-amz-security-token"),
    *("x-amz-trailer", "x-amz-user-agent"),
)
_LOWERED: dict[bytes, bytes] = {
    spelling.encode(): name.encode() for name in _COMMON_NAMES for spelling in (name, name.title())
}


class HttptoolsParser:
    """A request parser on httptools; see RequestParser."""

    __slots__ = (
        "_add_header",
        "_begun",
        "_body_open",
        "_failure",
        "_framing_headers",
        "_headers",
        "_inner",
        "_limits",
        "_quiet_bytes",
        "_sink",
        "_skips_body",
        "_target",
    )

    def __init__(self, sink: RequestSink, limits: Limits) -> None:
        self._sink = sink
        self._limits = limits
        self._headers: list[Header] = []
        self._add_header = self._headers.append
        self._framing_headers: list[Header] = []
        self._failure: Rejected | None = None
        self.renew()

    def renew(self) -> None:
        """Expect a new head: the rest of a body was received elsewhere."""
        self._inner = httptools.HttpRequestParser(self)
        self._target = b""
        self._begun = False
        self._body_open = False
        self._skips_body = False
        self._quiet_bytes = 0

    def close(self) -> None:
        """Break the cycle between the C parser and its callbacks."""
        del self._inner

    @property
    def head_begun(self) -> bool:
        """Whether a part of a head has been seen."""
        return self._begun

    def feed(self, data: memoryview) -> int:
        """Parse `data`; see RequestParser.feed."""
        size = len(data)
        self._quiet_bytes += size
        try:
            self._inner.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            consumed: int = upgrade.args[0]
            if not self._body_open:
                self.renew()
            return consumed
        except httptools.HttpParserError as error:
            raise (self._failure or self._rejection(error)) from None
        # A head, or the framing of a chunked body (extensions, trailers), that never ends.
        if self._quiet_bytes > self._limits.head_bytes:
            if self._body_open:
                raise Rejected(Reason.FRAMING, "too many bytes of chunk framing")
            raise Rejected(Reason.HEAD_TOO_LARGE, f"a head of more than {self._limits.head_bytes} bytes")
        return size

    def on_message_begin(self) -> None:
        """Called by httptools at the first byte of a head."""
        self._begun = True

    def on_url(self, url: bytes) -> None:
        """Called by httptools, in pieces when the target came in pieces."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by httptools for each header, and each trailer."""
        lowered = _LOWERED.get(name)
        if lowered is None:
            lowered = self._classify(name, value)
        self._add_header((lowered, value.rstrip()))

    def _classify(self, name: bytes, value: bytes) -> bytes:
        lowered = name.lower()
        if lowered in FRAMING_NAMES:
            self._framing_headers.append((lowered, value.rstrip()))
        return lowered

    def on_headers_complete(self) -> None:
        """Called by httptools when the empty line was seen."""
        headers = self._headers
        framing_headers = self._framing_headers
        inner = self._inner
        method = METHODS.get(inner.get_method())
        if (
            method is None
            or len(headers) > self._limits.header_count
            or self._quiet_bytes > self._limits.head_bytes
        ):
            self._check_size(method)
        # With a Host and nothing else llhttp keeps alive only what is HTTP/1.1.
        if len(framing_headers) == 1 and framing_headers[0][0] == b"host" and inner.should_keep_alive():
            version = "1.1"
            framing = BODILESS
        else:
            version, framing = self._read_framing()
        self._headers = []
        self._add_header = self._headers.append
        framing_headers.clear()
        target, self._target = self._target, b""
        self._begun = False
        self._quiet_bytes = 0
        assert method is not None
        self._sink.head_received(method, target, version, headers, framing)

    def _check_size(self, method: str | None) -> None:
        limits = self._limits
        head_bytes = len(self._target) + sum(len(name) + len(value) + 4 for name, value in self._headers)
        if method is None:
            self._fail(Reason.METHOD, "an unknown method")
        if len(self._headers) > limits.header_count:
            self._fail(Reason.HEAD_TOO_LARGE, f"more than {limits.header_count} headers")
        if head_bytes > limits.head_bytes:
            self._fail(Reason.HEAD_TOO_LARGE, f"a head of more than {limits.head_bytes} bytes")

    def _read_framing(self) -> tuple[str, Framing]:
        version = self._inner.get_http_version()
        try:
            framing = read_framing(version, self._framing_headers)
        except Rejected as rejected:
            self._failure = rejected
            raise
        upgrades = framing.upgrades and self._inner.should_upgrade()
        if upgrades and framing.length is None:
            self._fail(Reason.FRAMING, "an upgrade with a chunked body")
        self._body_open = framing.length != 0
        # llhttp takes what follows an upgrade as another protocol; we ignore the offer, so it is the body.
        self._skips_body = upgrades
        return version, framing

    def _fail(self, reason: Reason, message: str) -> None:
        self._failure = Rejected(reason, message)
        raise self._failure

    def on_body(self, data: bytes) -> None:
        """Called by httptools with a piece of the body."""
        self._quiet_bytes = 0
        self._sink.body_received(data)

    def on_message_complete(self) -> None:
        """Called by httptools at the end of a request."""
        if self._body_open and not self._skips_body:
            self._body_open = False
            # Trailers: nobody asked for them (RFC 9112 section 7.1.2).
            self._headers.clear()
            self._framing_headers.clear()
            self._quiet_bytes = 0
            self._sink.body_finished()

    def _rejection(self, error: httptools.HttpParserError) -> Rejected:
        text = str(error)
        if self._body_open:
            return Rejected(Reason.FRAMING, text)
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            return Rejected(Reason.METHOD, text)
        if "Content-Length" in text or "Transfer-Encoding" in text:
            return Rejected(Reason.FRAMING, text)
        return Rejected(Reason.MALFORMED_HEAD, text)

"""Plain PUTs stored without parser and handler.

For what clients upload by the thousand: a PUT with nothing to decide but its
content type and the digests it may carry.  One whose small body came with its
head needs neither a task nor a thread of its own; any other body is received as
the handler does.  Everything else is left to `Gateway.handle`, which gives the
same answers, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from sidegate.errors import SidegateError
from sidegate.gateway.context import Context
from sidegate.gateway.objects import attributes_of
from sidegate.gateway.receiving import Upload
from sidegate.gateway.shortcut import PARAMETERS, REQUEST_ID_NAME, split_path
from sidegate.gateway.small_bodies import SMALL_BYTES
from sidegate.gateway.traffic import BucketTraffic
from sidegate.gateway.writes import PutTarget, receive_object
from sidegate.http.errors import BodyTruncated
from sidegate.http.message import Body, Response
from sidegate.http.shortcut import Found, Outcome, ReceivePut
from sidegate.pfs.catalog.groups import Ticket
from sidegate.pfs.files import Attributes
from sidegate.pfs.ids import Buffer
from sidegate.pfs.staged_writes import SmallFile
from sidegate.pfs.views import WritableView
from sidegate.s3.checksums import ALGORITHMS
from sidegate.s3.headers import Headers
from sidegate.s3.names import check_key
from sidegate.s3.objects import STORED_HEADERS, ObjectMetadata
from sidegate.s3.payload import PayloadDecoder, PayloadDigests

Refuse = Callable[[SidegateError, bytes], Response]
"""What went wrong and the head of the request → its answer."""

_CHECKSUMS = tuple(f"x-amz-checksum-{name}".encode() for name in ALGORITHMS)
_NO_DIGEST = (None, b"UNSIGNED-PAYLOAD")
# What says how a body is framed and what it must hold to, after the mode of its payload.
_PAYLOAD_HEADERS = (b"content-md5", *_CHECKSUMS, b"x-amz-decoded-content-length", b"x-amz-trailer")
# A digest that is sent empty is malformed, and none at all is not.
_NOTHING_SENT = (None,) * len(_PAYLOAD_HEADERS)
# RFC 6838, section 4.2: 127 letters on each side of the slash; parameters are few.
_LONGEST_CONTENT_TYPE = 256
# The one encoding that is not stored: it says nothing of the content.
_FRAMING = b"aws-chunked"


class _PlainPut(NamedTuple):
    """Where a plain PUT goes and where it is counted."""

    view: WritableView
    key: str
    counts: BucketTraffic | None


class PutShortcut:
    """Stores plain PUTs of one gateway; see `http.shortcut.PutShortcut`."""

    wanted_headers: tuple[bytes, ...] = (
        *(b"content-type", b"content-encoding", b"x-amz-content-sha256"),
        *_PAYLOAD_HEADERS,
    )
    declined_headers: tuple[bytes, ...] = (
        *(b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"),
        *(name.encode() for name in STORED_HEADERS if name != "content-encoding"),
    )
    # Any other of this family may ask for something: metadata, conditions, encryption, a copy.
    family = b"x-amz-"
    ignored_headers: tuple[bytes, ...] = (
        *(b"x-amz-date", b"x-amz-security-token", b"x-amz-user-agent", b"x-amz-sdk-checksum-algorithm"),
    )
    parameters: tuple[bytes, ...] = PARAMETERS
    longest_bytes = SMALL_BYTES

    def __init__(
        self,
        context: Context,
        base_domains: tuple[str, ...],
        request_prefix: bytes,
        next_number: Callable[[], int],
        refuse: Refuse,
    ) -> None:
        """Request ids are made as those of `ReadShortcut`."""
        self._context = context
        self._base_domains = base_domains
        self._peek = context.namespace.peek
        traffic = context.namespace.traffic
        self._counts_by_name = traffic.by_name if traffic is not None else {}
        self._lines = b'%b: %b%%010x\r\netag: "%%b"\r\n%%b' % (REQUEST_ID_NAME, request_prefix)
        self._next_number = next_number
        self._refuse = refuse

    def begin(self, found: Found, head: bytes, body: bytes, answer: Callable[[Outcome], None]) -> bool:
        """Begin to store what the scanner found, or return False to leave it."""
        put = self._understand(found)
        if put is None:
            return False
        try:
            plain, digests = self._verify(found, body)
        except SidegateError:
            return False  # the handler says what is wrong
        if put.counts is not None:
            put.counts.received_bytes += len(plain)
        store = self._context.store
        write = SmallFile(
            put.view,
            put.key,
            plain,
            chunks=store.chunks,
            attributes=_attributes(found[6], digests.checksums if digests is not None else ()),
            tag=digests.md5_hex if digests is not None and self._context.md5_tags else None,
        )

        def committed(ticket: Ticket[str]) -> None:
            try:
                outcome = self._outcome(ticket, head, put, digests)
            except Exception as error:  # noqa: BLE001 - without an answer the connection would wait for ever
                outcome = error
            answer(outcome)

        self._context.writes.begin(write, committed)
        return True

    def receiver(self, found: Found, head: bytes) -> ReceivePut | None:
        """Return what stores the PUT that the scanner found, whose body is still to come."""
        put = self._understand(found)
        if put is None:
            return None
        try:
            decoder = self._decoder(found)
        except SidegateError:
            return None  # the handler says what is wrong
        return partial(self._receive, put, decoder, _metadata(found[6]), head)

    async def _receive(
        self, put: _PlainPut, decoder: PayloadDecoder, metadata: ObjectMetadata, head: bytes, body: Body
    ) -> Response:
        """Read the body, store it and return the answer; raises BodyTruncated."""
        upload, target = Upload(body, decoder, put.counts), PutTarget(put.view, put.key, metadata)
        try:
            tag, digests = await receive_object(self._context, upload, target)
        except BodyTruncated:
            raise
        except SidegateError as error:
            return self._refuse(error, head)
        return Response(200, raw_headers=self._stored_lines(put, tag, digests))

    def _understand(self, found: Found) -> _PlainPut | None:
        """Return where a PUT goes, None to leave it."""
        bucket_name, key = split_path(found[2], found[3], self._base_domains)
        bucket = self._peek(bucket_name)
        content_type, encoding = found[6:8]
        if bucket is None or not key or (encoding is not None and encoding.lower() != _FRAMING):
            return None
        if content_type is not None and len(content_type) > _LONGEST_CONTENT_TYPE:
            return None  # it would be remembered
        try:
            check_key(key)
            return _PlainPut(bucket.writable(), key, self._counts_by_name.get(bucket_name))
        except SidegateError:
            return None  # the handler says what is wrong

    def _verify(self, found: Found, body: bytes) -> tuple[Buffer, PayloadDigests | None]:
        """Return what a body carries and what is known of it.  Raises S3Error."""
        if found[8] in _NO_DIGEST and found[9:] == _NOTHING_SENT and not self._context.md5_tags:
            return body, None
        decoder = self._decoder(found)
        return decoder.feed(body), decoder.finish()

    def _decoder(self, found: Found) -> PayloadDecoder:
        """Return what verifies a body.  Raises S3Error for what its head says."""
        named = zip(self.wanted_headers[2:], found[8:], strict=True)
        headers = Headers([(name, value) for name, value in named if value is not None])
        return PayloadDecoder.from_headers(headers, found[5], md5=self._context.md5_tags)

    def _outcome(
        self, ticket: Ticket[str], head: bytes, put: _PlainPut, digests: PayloadDigests | None
    ) -> Outcome:
        """Return what became of a write: lines of the answer, a refusal, or what went wrong."""
        if isinstance(ticket.error, SidegateError):
            return self._refuse(ticket.error, head)
        if ticket.error is not None:
            return ticket.error
        return self._stored_lines(put, ticket.result(), digests)

    def _stored_lines(self, put: _PlainPut, tag: str, digests: PayloadDigests | None) -> bytes:
        """Count what was stored; return the lines of its answer."""
        if put.counts is not None:
            put.counts.count_put(put.key)
        echo = _lines(digests.echo_headers()) if digests is not None else b""
        return self._lines % (self._next_number(), tag.encode(), echo)


@lru_cache(maxsize=256)
def _metadata(content_type: bytes | None) -> ObjectMetadata:
    return ObjectMetadata(content_type.decode() if content_type else None)


@lru_cache(maxsize=256)
def _attributes(content_type: bytes | None, checksums: tuple[tuple[str, str], ...]) -> Attributes:
    return attributes_of(_metadata(content_type), checksums)


def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join([b"%b: %b\r\n" % item for item in headers])

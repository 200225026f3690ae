"""Small PUTs stored without parser, task or thread of their own.

For what clients upload by the thousand: a PUT whose body came with its head,
with nothing to decide but its content type and the digests it may carry.
Everything else is left to `Gateway.handle`, which gives the same answers, byte
for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sidegate.errors import SidegateError
from sidegate.gateway.context import Context
from sidegate.gateway.objects import attributes_of
from sidegate.gateway.shortcut import PARAMETERS, REQUEST_ID_NAME, split_path
from sidegate.gateway.small_bodies import SMALL_BYTES
from sidegate.gateway.traffic import BucketTraffic
from sidegate.http.message import Response
from sidegate.http.shortcut import Outcome
from sidegate.pfs.catalog.groups import Ticket
from sidegate.pfs.files import Attributes
from sidegate.pfs.ids import Buffer
from sidegate.pfs.staged_writes import SmallFile
from sidegate.s3.checksums import ALGORITHMS
from sidegate.s3.headers import Headers
from sidegate.s3.names import check_key
from sidegate.s3.objects import STORED_HEADERS, ObjectMetadata
from sidegate.s3.payload import PayloadDecoder, PayloadDigests

Refuse = Callable[[SidegateError, bytes], Response]
"""What went wrong and the head of the request → its answer."""

_CHECKSUMS = tuple(f"x-amz-checksum-{name}".encode() for name in ALGORITHMS)
_NO_DIGEST = (None, b"UNSIGNED-PAYLOAD")
# A digest that is sent empty is malformed, and none at all is not.
_NOTHING_SENT = (None,) * (1 + len(_CHECKSUMS))


class PutShortcut:
    """Stores plain PUTs of one gateway; see `http.shortcut.PutShortcut`."""

    wanted_headers: tuple[bytes, ...] = (
        *(b"content-type", b"x-amz-content-sha256", b"content-md5"),
        *_CHECKSUMS,
    )
    declined_headers: tuple[bytes, ...] = (
        *(b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since"),
        *(name.encode() for name in STORED_HEADERS),
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

    def begin(
        self, found: tuple[Any, ...], head: bytes, body: bytes, answer: Callable[[Outcome], None]
    ) -> bool:
        """Begin to store what the scanner found, or return False to leave it."""
        bucket_name, key = split_path(found[2], found[3], self._base_domains)
        bucket = self._peek(bucket_name)
        if bucket is None or not key:
            return False
        try:
            check_key(key)
            view = bucket.writable()
            verified = self._verify(found, body)
        except SidegateError:
            return False  # the handler says what is wrong
        if verified is None:
            return False
        plain, digests = verified
        counts = self._counts_by_name.get(bucket_name)
        if counts is not None:
            counts.received_bytes += len(body)
        store = self._context.store
        write = SmallFile(
            view,
            key,
            plain,
            chunks=store.chunks,
            attributes=_attributes(found[6], digests.checksums if digests is not None else ()),
            tag=digests.md5_hex if digests is not None and self._context.md5_tags else None,
        )

        def committed(ticket: Ticket[str]) -> None:
            try:
                outcome = self._outcome(ticket, head, key, counts, digests)
            except Exception as error:  # noqa: BLE001 - without an answer the connection would wait for ever
                outcome = error
            answer(outcome)

        self._context.writes.begin(write, committed)
        return True

    def _verify(self, found: tuple[Any, ...], body: bytes) -> tuple[Buffer, PayloadDigests | None] | None:
        """Return what a body carries and what is known of it; None to leave it.  Raises S3Error."""
        mode = found[7]
        values = found[7:]
        if mode in _NO_DIGEST and values[1:] == _NOTHING_SENT and not self._context.md5_tags:
            return body, None
        if mode is not None and mode.startswith(b"STREAMING-"):
            return None
        named = zip(self.wanted_headers[1:], values, strict=True)
        headers = Headers([(name, value) for name, value in named if value is not None])
        decoder = PayloadDecoder.from_headers(headers, len(body), md5=self._context.md5_tags)
        return decoder.feed(body), decoder.finish()

    def _outcome(
        self,
        ticket: Ticket[str],
        head: bytes,
        key: str,
        counts: BucketTraffic | None,
        digests: PayloadDigests | None,
    ) -> Outcome:
        """Return what became of a write: lines of the answer, a refusal, or what went wrong."""
        if isinstance(ticket.error, SidegateError):
            return self._refuse(ticket.error, head)
        if ticket.error is not None:
            return ticket.error
        if counts is not None:
            counts.count_put(key)
        echo = b"" if digests is None else _lines(digests.echo_headers())
        return self._lines % (self._next_number(), ticket.result().encode(), echo)


@lru_cache(maxsize=256)
def _attributes(content_type: bytes | None, checksums: tuple[tuple[str, str], ...]) -> Attributes:
    metadata = ObjectMetadata(content_type.decode() if content_type else None)
    return attributes_of(metadata, checksums)


def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join([b"%b: %b\r\n" % item for item in headers])

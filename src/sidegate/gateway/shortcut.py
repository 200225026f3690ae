"""Reads of objects that memory knows, answered without parser, headers or threads.

For the reads that clients make thousands of times a second: GET and HEAD of an
object, whole or one range of it, with or without If-Match.  Whatever else is
asked, or is not in memory, is left to `Gateway.handle`, and so is every request
where keys are to be verified.  Both give the same answers, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable

from sidegate.gateway.context import Context
from sidegate.gateway.reads import SMALL_BYTES, raw_segments
from sidegate.gateway.resolved import ResolvedObject
from sidegate.gateway.traffic import BucketTraffic
from sidegate.http.message import FileSegment
from sidegate.http.shortcut import Answer, FileAnswer, Found, Opening, PutShortcut, StreamedAnswer
from sidegate.pfs.layout import Layout
from sidegate.s3.target import bucket_of_host

REQUEST_ID_NAME = b"x-amz-request-id"

# How a presigned URL says who asks, and what SDKs add for their own statistics.
PARAMETERS = (
    *(b"X-Amz-Algorithm", b"X-Amz-Credential", b"X-Amz-Date", b"X-Amz-Expires", b"X-Amz-SignedHeaders"),
    *(b"X-Amz-Security-Token", b"X-Amz-Content-Sha256", b"X-Amz-Signature"),
    *(b"AWSAccessKeyId", b"Expires", b"Signature"),
    b"x-id",
)


class ReadShortcut:
    """Answers plain reads of one gateway; see `http.shortcut.Shortcut`."""

    wanted_headers: tuple[bytes, ...] = (b"if-match", b"x-amz-checksum-mode")
    declined_headers: tuple[bytes, ...] = (
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
    )
    parameters: tuple[bytes, ...] = PARAMETERS

    def __init__(
        self,
        context: Context,
        base_domains: tuple[str, ...],
        request_prefix: bytes,
        next_number: Callable[[], int],
        puts: PutShortcut | None = None,
    ) -> None:
        """Request ids are `request_prefix` and ten hex digits of `next_number()`."""
        self._peek = context.namespace.peek
        self._resolved = context.resolved
        traffic = context.namespace.traffic
        self._counts_by_name = traffic.by_name if traffic is not None else {}
        self._base_domains = base_domains
        self._next_number = next_number
        start = b"%%b%b: %b%%010x\r\n%%b" % (REQUEST_ID_NAME, request_prefix)
        self._whole = start
        self._whole_with_body = start + b"%b"
        self.puts = puts
        self._part = start + b"content-range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n%b"

    def answer(self, found: Found, opening: Opening) -> Answer | None:
        """Answer what the scanner found, or None to leave it."""
        _, is_head, path, host, first, last, if_match, checksum_mode = found
        bucket_name, key = split_path(path, host, self._base_domains)
        bucket = self._peek(bucket_name)
        resolved = bucket.recall(self._resolved, key) if bucket is not None else None
        if resolved is None or (if_match is not None and if_match not in resolved.tags):
            return None
        counts = self._counts_by_name.get(bucket_name)
        if first >= 0 or last >= 0:
            return None if is_head else self._answer_range(opening, resolved, first, last, key, counts)
        end_of_head = resolved.end_of_head
        if checksum_mode is not None and checksum_mode.upper() == b"ENABLED":
            end_of_head = resolved.end_of_head_with_checksum
        if is_head:
            if counts is not None:
                counts.count_look()
            return self._whole % (opening(200), self._next_number(), end_of_head)
        return self._answer_whole(opening, resolved, end_of_head, key, counts)

    def _answer_whole(
        self,
        opening: Opening,
        resolved: ResolvedObject,
        end_of_head: bytes,
        key: str,
        counts: BucketTraffic | None,
    ) -> Answer | None:
        layout, size_bytes = resolved.layout, resolved.size_bytes
        if layout is None or not layout.raw:
            return None
        if size_bytes <= SMALL_BYTES:
            body = layout.read_raw(0, size_bytes)
            if counts is not None:
                counts.count_read(key, size_bytes)
            return self._whole_with_body % (opening(200), self._next_number(), end_of_head, body)
        head = self._whole % (opening(200), self._next_number(), end_of_head)
        return _sent_by_kernel(head, layout, 0, size_bytes, key, counts)

    def _answer_range(
        self,
        opening: Opening,
        resolved: ResolvedObject,
        first: int,
        last: int,
        key: str,
        counts: BucketTraffic | None,
    ) -> Answer | None:
        layout, size_bytes = resolved.layout, resolved.size_bytes
        if first < 0:
            offset, end = max(0, size_bytes - last), size_bytes
        else:
            offset = first
            end = last + 1 if 0 <= last < size_bytes else size_bytes
        if offset >= size_bytes or layout is None or not layout.raw:
            return None
        length = end - offset
        body = layout.read_raw(offset, end) if length <= SMALL_BYTES else b""
        values = (offset, end - 1, size_bytes, length, body)
        head = self._part % (opening(206), self._next_number(), resolved.header_block, *values)
        if not body:
            return _sent_by_kernel(head, layout, offset, end, key, counts)
        if counts is not None:
            counts.count_read(key, length)
        return head


def split_path(path: str, host: bytes, base_domains: tuple[str, ...]) -> tuple[str, str]:
    """Return bucket and key, "" for either where the request names none."""
    if base_domains:
        bucket_name = bucket_of_host(host, base_domains)
        if bucket_name is not None:
            return bucket_name, path[1:]
    bucket_name, _, key = path[1:].partition("/")
    return bucket_name, key


def _sent_by_kernel(
    head: bytes, layout: Layout, offset: int, end: int, key: str, counts: BucketTraffic | None
) -> FileAnswer | StreamedAnswer:
    """Return the answer whose body goes from the page cache to the socket."""
    found = layout.whole_place(offset, end)
    if found is None:
        segments = raw_segments(layout.slices(offset, end))
        if counts is not None:
            segments = counts.count_segments(key, segments)
        return StreamedAnswer(head, segments, end - offset)
    if counts is not None:
        counts.count_read(key, end - offset)
    pack, position = found
    return FileAnswer(head, FileSegment(pack.fd, position, end - offset), pack)

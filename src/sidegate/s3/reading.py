"""GetObject and HeadObject: what was asked, and the answer's head.

Decides status, headers and byte range of a read.  It does not know where the
bytes are; Content-Length is `end - offset` and written by whoever sends.
Sources: API_GetObject, API_HeadObject, RFC 9110 sections 13 and 14.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from sidegate.s3.conditions import Conditions, Outcome, parse_conditions, precondition_failed
from sidegate.s3.dates import parse_http_date
from sidegate.s3.errors import HeaderList, S3Error
from sidegate.s3.etag import parse_tag
from sidegate.s3.headers import Headers, decode_value
from sidegate.s3.objects import ObjectDescription, not_modified_headers
from sidegate.s3.parameters import check_version, parse_part_number
from sidegate.s3.ranges import format_content_range, parse_range
from sidegate.s3.target import Query, Target

# API_GetObject: these query parameters replace headers of the answer.
OVERRIDES = {
    "response-content-type": b"content-type",
    "response-content-language": b"content-language",
    "response-content-encoding": b"content-encoding",
    "response-content-disposition": b"content-disposition",
    "response-cache-control": b"cache-control",
    "response-expires": b"expires",
}
_CONTROL = re.compile("[\x00-\x1f\x7f]").search


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A GetObject or HeadObject; `range` and `if_range` are raw header values."""

    conditions: Conditions | None = None
    range: bytes | None = None
    if_range: bytes | None = None
    part_number: int | None = None
    wants_checksum: bool = False
    overrides: tuple[tuple[bytes, bytes], ...] = ()


class ReadAnswer(NamedTuple):
    """The head of a read's answer and the bytes [offset, end) that follow it.

    The head is the object's `header_block`, unless `described` is None, and
    then `more`; Content-Length is not among them.  For HEAD and 304 no body is
    sent, for HEAD its length is still `end - offset`.
    """

    status: int
    described: ObjectDescription | None
    more: HeaderList
    offset: int
    end: int

    @property
    def headers(self) -> HeaderList:
        """All headers as a list."""
        return [*(self.described.headers if self.described is not None else ()), *self.more]


_PLAIN = ReadRequest()
_PLAIN_CHECKED = ReadRequest(wants_checksum=True)


def parse_read(target: Target, headers: Headers) -> ReadRequest:
    """Read a GetObject or HeadObject request.

    Raises S3Error: InvalidArgument for a bad partNumber or override,
    InvalidRequest for partNumber with Range, NoSuchVersion.
    """
    get = headers.get
    byte_range = get(b"range")
    conditions = parse_conditions(headers)
    mode = get(b"x-amz-checksum-mode")
    wants_checksum = mode is not None and mode.upper() == b"ENABLED"
    if not target.query:
        if byte_range is None and conditions is None:
            return _PLAIN_CHECKED if wants_checksum else _PLAIN
        return ReadRequest(conditions, byte_range, get(b"if-range"), None, wants_checksum)
    check_version(target.query)
    part_number = parse_part_number(target.query["partNumber"]) if "partNumber" in target.query else None
    if part_number is not None and byte_range is not None:
        raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    overrides = _parse_overrides(target.query)
    return ReadRequest(conditions, byte_range, get(b"if-range"), part_number, wants_checksum, overrides)


def answer_read(request: ReadRequest, description: ObjectDescription) -> ReadAnswer:
    """Return the head of the answer: 200, 206 or 304.

    Raises S3Error: PreconditionFailed (412), InvalidRange and InvalidPartNumber
    (416, the first with its Content-Range header).
    """
    if request.conditions is not None:
        outcome = request.conditions.evaluate(description.tag, description.modified_us)
        if outcome is Outcome.NOT_MODIFIED:
            return ReadAnswer(304, None, not_modified_headers(description), 0, 0)
        if outcome is Outcome.PRECONDITION_FAILED:
            raise precondition_failed("If-Match" if request.conditions.if_match else "If-Unmodified-Since")
    size_bytes = description.size_bytes
    described: ObjectDescription | None = description
    headers: HeaderList = []
    if request.overrides:
        described, headers = None, _override(description.headers, request.overrides)
    if request.part_number is not None:
        interval = _part_interval(request.part_number, description)
        if description.part_sizes_bytes:
            headers.append((b"x-amz-mp-parts-count", b"%d" % len(description.part_sizes_bytes)))
    elif request.range is None or not _range_applies(request.if_range, description):
        interval = None
    else:
        interval = parse_range(request.range, size_bytes)
    if interval is not None:
        offset, end = interval
        headers.append((b"content-range", format_content_range(offset, end, size_bytes)))
        return ReadAnswer(206, described, headers, offset, end)
    if request.wants_checksum:
        headers += description.checksum_headers
    return ReadAnswer(200, described, headers, 0, size_bytes)


def _parse_overrides(query: Query) -> tuple[tuple[bytes, bytes], ...]:
    overrides = []
    for name, header in OVERRIDES.items():
        value = query.get(name)
        if value is None:
            continue
        if _CONTROL(value):
            # A line break here would let a link write headers of its own.
            raise S3Error(
                "InvalidArgument", f"{name} has a control character.", fields={"ArgumentName": name}
            )
        overrides.append((header, value.encode()))
    return tuple(overrides)


def _override(
    headers: tuple[tuple[bytes, bytes], ...], overrides: tuple[tuple[bytes, bytes], ...]
) -> HeaderList:
    names = {name for name, _ in overrides}
    return [item for item in headers if item[0] not in names] + list(overrides)


def _part_interval(part_number: int, description: ObjectDescription) -> tuple[int, int] | None:
    """Return where a part lies; None for part 1 of an empty object, which has no range."""
    sizes = description.part_sizes_bytes or (description.size_bytes,)
    if part_number > len(sizes):
        fields = {"PartNumberRequested": str(part_number), "ActualPartCount": str(len(sizes))}
        raise S3Error("InvalidPartNumber", fields=fields)
    offset = sum(sizes[: part_number - 1])
    end = offset + sizes[part_number - 1]
    return (offset, end) if end > offset else None


def _range_applies(if_range: bytes | None, description: ObjectDescription) -> bool:
    """Whether If-Range lets the range stand (RFC 9110 section 13.1.5)."""
    if if_range is None:
        return True
    value = decode_value(if_range)
    if parse_tag(value) == description.tag:
        return True
    return parse_http_date(value) == description.modified_us // 1_000_000

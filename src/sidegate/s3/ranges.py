"""Byte ranges: which part of an object a request wants.

Decides offsets from a Range header and a size (RFC 9110 section 14).  It does
not know where the bytes are.
"""

from __future__ import annotations

import re

from sidegate.s3.errors import S3Error

# 64 digits are more than any size; int() of thousands of digits is an attack.
_RANGE = re.compile(rb"\s*bytes\s*=\s*(\d{0,64})\s*-\s*(\d{0,64})\s*", re.IGNORECASE).fullmatch
_COPY_RANGE = re.compile(rb"bytes=(\d{1,19})-(\d{1,19})").fullmatch


def parse_range(header: bytes | None, size_bytes: int) -> tuple[int, int] | None:
    """Return (offset, end) of a Range header, or None for the whole object.

    An end beyond the object is cut off; a suffix longer than the object is the
    whole object, still as a range.  What is malformed and what asks for several
    ranges is ignored, as RFC 9110 section 14.2 allows.  Raises S3Error
    InvalidRange when no byte is in range, so always for an empty object.
    """
    if header is None:
        return None
    match = _RANGE(header)
    if match is None:
        return None
    first, last = match.groups()
    if first:
        offset = int(first)
        end = int(last) + 1 if last else size_bytes
        if last and end <= offset:
            return None
    elif last:
        offset, end = max(0, size_bytes - int(last)), size_bytes
    else:
        return None
    if offset >= size_bytes:
        raise _unsatisfiable(header, size_bytes)
    return offset, min(end, size_bytes)


def parse_copy_range(header: bytes, size_bytes: int) -> tuple[int, int]:
    """Return (offset, end) of x-amz-copy-source-range (API_UploadPartCopy).

    Both offsets are required and must lie inside the source: raises S3Error
    InvalidArgument otherwise.
    """
    match = _COPY_RANGE(header.strip())
    if match is None:
        raise S3Error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last.",
            fields={"ArgumentName": "x-amz-copy-source-range"},
        )
    offset, end = int(match.group(1)), int(match.group(2)) + 1
    if not offset < end <= size_bytes:
        raise S3Error(
            "InvalidArgument",
            f"Range specified is not valid for source object of size: {size_bytes}",
            fields={"ArgumentName": "x-amz-copy-source-range"},
        )
    return offset, end


def format_content_range(offset: int, end: int, size_bytes: int) -> bytes:
    """Return a Content-Range value (RFC 9110 section 14.4)."""
    return b"bytes %d-%d/%d" % (offset, end - 1, size_bytes)


def _unsatisfiable(header: bytes, size_bytes: int) -> S3Error:
    return S3Error(
        "InvalidRange",
        headers=[(b"content-range", b"bytes */%d" % size_bytes)],
        fields={"RangeRequested": header.decode("latin-1"), "ActualObjectSize": str(size_bytes)},
    )

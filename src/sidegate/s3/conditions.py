"""Conditional requests: If-Match and its family, for reads, copies and writes.

Decides whether the conditions of a request hold for an object's tag and time
(RFC 9110 section 13).  It does not know how an object is found.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sidegate.s3.dates import parse_http_date
from sidegate.s3.errors import S3Error
from sidegate.s3.etag import ANY, parse_tags
from sidegate.s3.headers import Headers, decode_value

Tags = tuple[str, ...]

_READ_HEADERS = (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
_COPY_HEADERS = (
    b"x-amz-copy-source-if-match",
    b"x-amz-copy-source-if-none-match",
    b"x-amz-copy-source-if-modified-since",
    b"x-amz-copy-source-if-unmodified-since",
)
_DIRECTORY_HEADERS = (b"x-amz-if-match-last-modified-time", b"x-amz-if-match-size")


class Outcome(Enum):
    """What the conditions of a request say."""

    OK = 200
    NOT_MODIFIED = 304
    PRECONDITION_FAILED = 412


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions on an object that is read or copied; times in seconds."""

    if_match: Tags | None = None
    if_none_match: Tags | None = None
    if_modified_since_seconds: int | None = None
    if_unmodified_since_seconds: int | None = None

    def evaluate(self, tag: str, modified_us: int) -> Outcome:
        """Return the outcome, in the order of RFC 9110 section 13.2.2.

        If-Match outweighs If-Unmodified-Since and If-None-Match outweighs
        If-Modified-Since, as API_GetObject says too.
        """
        modified_seconds = modified_us // 1_000_000
        if self.if_match is not None:
            failed = not _matches(self.if_match, tag)
        else:
            latest = self.if_unmodified_since_seconds
            failed = latest is not None and modified_seconds > latest
        if failed:
            return Outcome.PRECONDITION_FAILED
        if self.if_none_match is not None:
            unchanged = _matches(self.if_none_match, tag)
        else:
            earliest = self.if_modified_since_seconds
            unchanged = earliest is not None and modified_seconds <= earliest
        return Outcome.NOT_MODIFIED if unchanged else Outcome.OK


@dataclass(frozen=True, slots=True)
class WriteConditions:
    """Conditions on what a write replaces or a delete removes (API_PutObject, API_DeleteObject)."""

    if_match: Tags | None = None
    if_none_match: Tags | None = None

    def check(self, tag: str | None) -> None:
        """Raise S3Error unless they hold; `tag` is None where no object is.

        PreconditionFailed, or NoSuchKey for If-Match on an absent key, `*` too.  Evaluate
        again when the write becomes visible: the first to finish wins.
        """
        if self.if_match is not None:
            if tag is None:
                raise S3Error("NoSuchKey")
            if not _matches(self.if_match, tag):
                raise precondition_failed("If-Match")
        if self.if_none_match is not None and tag is not None and _matches(self.if_none_match, tag):
            raise precondition_failed("If-None-Match")


def parse_conditions(headers: Headers) -> Conditions | None:
    """Return the conditions of a GET or HEAD, or None when there are none."""
    return _parse(headers, _READ_HEADERS)


def parse_copy_conditions(headers: Headers) -> Conditions | None:
    """Return the conditions on a copy's source, or None when there are none."""
    return _parse(headers, _COPY_HEADERS)


def parse_write_conditions(headers: Headers) -> WriteConditions | None:
    """Return the conditions of a PUT, copy or Complete, or None when there are none."""
    if_match, if_none_match = _tags(headers, b"if-match"), _tags(headers, b"if-none-match")
    if if_match is None and if_none_match is None:
        return None
    return WriteConditions(if_match, if_none_match)


def parse_delete_conditions(headers: Headers) -> WriteConditions | None:
    """Return the conditions of a DeleteObject, or None when there are none.

    What would be ignored deletes what was to be kept, so conditions that only directory
    buckets have (API_DeleteObject) raise S3Error NotImplemented.
    """
    for name in _DIRECTORY_HEADERS:
        if name in headers:
            raise S3Error("NotImplemented", f"The condition {name.decode()} is not implemented here.")
    return parse_write_conditions(headers)


def check_copy_conditions(conditions: Conditions | None, tag: str, modified_us: int) -> None:
    """Raise S3Error PreconditionFailed unless the source's conditions hold.

    A copy has no 304: "not modified" fails it too (API_CopyObject).
    """
    if conditions is not None and conditions.evaluate(tag, modified_us) is not Outcome.OK:
        raise precondition_failed("x-amz-copy-source-if-*")


def precondition_failed(condition: str) -> S3Error:
    """Return the 412 that names the condition which did not hold."""
    return S3Error("PreconditionFailed", fields={"Condition": condition})


def _parse(headers: Headers, names: tuple[bytes, bytes, bytes, bytes]) -> Conditions | None:
    match, none_match, modified_since, unmodified_since = names
    if not headers.has_any(names):
        return None
    return Conditions(
        _tags(headers, match),
        _tags(headers, none_match),
        _seconds(headers, modified_since),
        _seconds(headers, unmodified_since),
    )


def _tags(headers: Headers, name: bytes) -> Tags | None:
    value = headers.joined(name)
    return None if value is None else parse_tags(decode_value(value))


def _seconds(headers: Headers, name: bytes) -> int | None:
    value = headers.text(name)
    return None if value is None else parse_http_date(value)


def _matches(tags: Tags, tag: str) -> bool:
    return tag in tags or ANY in tags

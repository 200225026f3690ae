"""PutObject and CopyObject: what was asked.

Decides metadata, conditions and copy source of a write.  The bytes are read by
`payload`; whether the write is allowed is decided elsewhere.
Sources: API_PutObject, API_CopyObject.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidegate.s3.conditions import Conditions, WriteConditions, parse_copy_conditions, parse_write_conditions
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.metadata import check_features, parse_metadata
from sidegate.s3.names import check_key
from sidegate.s3.objects import ObjectMetadata
from sidegate.s3.parameters import check_version
from sidegate.s3.target import Target, decode_path

# Any of these makes a copy of an object onto itself a change of something.
_CHANGES = (
    b"x-amz-storage-class",
    b"x-amz-server-side-encryption",
    b"x-amz-website-redirect-location",
    b"x-amz-checksum-algorithm",
)


@dataclass(frozen=True, slots=True)
class PutRequest:
    """A PutObject without its payload."""

    metadata: ObjectMetadata
    conditions: WriteConditions | None


@dataclass(frozen=True, slots=True)
class CopySource:
    """The object that a copy reads."""

    bucket: str
    key: str
    conditions: Conditions | None = None


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """A CopyObject; `metadata` is None when the source's is kept."""

    source: CopySource
    metadata: ObjectMetadata | None
    conditions: WriteConditions | None


def parse_put(target: Target, headers: Headers) -> PutRequest:
    """Read a PutObject; raises S3Error as `parse_metadata`, and NoSuchVersion."""
    if target.query:
        check_version(target.query)
    return PutRequest(parse_metadata(headers), parse_write_conditions(headers))


def parse_copy(target: Target, headers: Headers) -> CopyRequest:
    """Read a CopyObject; its body, Content-MD5 and Last-Modified do not count.

    Hadoop sends the source's Last-Modified and Content-MD5 along (trap 27).
    Raises S3Error: InvalidArgument for a bad source or directive,
    InvalidRequest for a copy onto itself that changes nothing.
    """
    source = parse_copy_source(headers)
    check_features(headers)
    directive = (headers.get(b"x-amz-metadata-directive") or b"COPY").upper()
    if directive not in (b"COPY", b"REPLACE"):
        raise _bad_argument("x-amz-metadata-directive", "Unknown metadata directive.")
    metadata = parse_metadata(headers) if directive == b"REPLACE" else None
    onto_itself = (source.bucket, source.key) == (target.bucket, target.key)
    if onto_itself and metadata is None and not headers.has_any(_CHANGES):
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing "
            "the object's metadata, storage class, website redirect location or encryption attributes.",
        )
    return CopyRequest(source, metadata, parse_write_conditions(headers))


def parse_copy_source(headers: Headers) -> CopySource:
    """Read x-amz-copy-source and the conditions on it.

    `bucket/key` with or without a slash before it, percent-encoded, with an
    optional `?versionId=null`.  Raises S3Error: InvalidArgument, NoSuchVersion,
    and what `check_key` raises.
    """
    raw = headers.get(b"x-amz-copy-source") or b""
    # A literal question mark of a key is %3F, except from clients that encode nothing.
    raw_path, separator, raw_version = raw.rpartition(b"?versionId=")
    if separator:
        check_version({"versionId": decode_path(raw_version)})
    else:
        raw_path = raw
    bucket, _, key = decode_path(raw_path).removeprefix("/").partition("/")
    if not bucket or not key or bucket.startswith("arn:"):
        raise _bad_argument("x-amz-copy-source", "Copy Source must mention the source bucket and key.")
    check_key(key)
    return CopySource(bucket, key, parse_copy_conditions(headers))


def _bad_argument(name: str, message: str) -> S3Error:
    return S3Error("InvalidArgument", message, fields={"ArgumentName": name})

"""Metadata of an upload: what its headers say of the object beside the bytes.

Decides which request headers are kept, which are ignored and which are refused
because ignoring them would break a promise.  Source: API_PutObject.
"""

from __future__ import annotations

from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.objects import STORED_HEADERS, ObjectMetadata

# Amazon S3 User Guide, "Working with object metadata": 2 KB of names and values.
MAX_USER_METADATA_BYTES = 2048

_USER_PREFIX = b"x-amz-meta-"
_STORED = tuple((name, name.encode()) for name in STORED_HEADERS)

# Features that a client relies on once it asked: x-amz-acl, storage classes,
# tagging and SSE-S3 are accepted and ignored, these are not.
_REFUSED = (
    (b"x-amz-server-side-encryption-customer-algorithm", "Encryption with customer keys"),
    (b"x-amz-server-side-encryption-customer-key", "Encryption with customer keys"),
    (b"x-amz-server-side-encryption-aws-kms-key-id", "Encryption with KMS keys"),
    (b"x-amz-object-lock-mode", "Object lock"),
    (b"x-amz-object-lock-retain-until-date", "Object lock"),
    (b"x-amz-object-lock-legal-hold", "Object lock"),
    (b"x-amz-write-offset-bytes", "Appending to an object"),
)
_REFUSED_NAMES = tuple(name for name, _ in _REFUSED)
_ENCRYPTION = b"x-amz-server-side-encryption"
_NOTICED = (*_REFUSED_NAMES, _ENCRYPTION, *(raw_name for _, raw_name in _STORED))


def parse_metadata(headers: Headers) -> ObjectMetadata:
    """Return the metadata of a PutObject, CreateMultipartUpload or replacing copy.

    The token aws-chunked is framing, not content, and leaves Content-Encoding.
    Raises S3Error: MetadataTooLarge, NotImplemented for features that must not
    be ignored.
    """
    content_type = headers.text(b"content-type") or None
    if not headers.has_any(_NOTICED):
        return ObjectMetadata(content_type, user=_parse_user(headers))
    check_features(headers)
    stored = []
    for name, raw_name in _STORED:
        value = headers.text(raw_name)
        if value is not None and name == "content-encoding":
            value = strip_aws_chunked(value)
        if value:
            stored.append((name, value))
    return ObjectMetadata(content_type, tuple(stored), _parse_user(headers))


def check_features(headers: Headers) -> None:
    """Raise S3Error NotImplemented for a header that asks for what we do not do."""
    if headers.has_any(_REFUSED_NAMES):
        feature = next(feature for name, feature in _REFUSED if name in headers)
        raise S3Error("NotImplemented", f"{feature} is not implemented.")
    encryption = headers.get(_ENCRYPTION)
    if encryption is not None and encryption.lower().startswith(b"aws:"):
        raise S3Error("NotImplemented", "Encryption with KMS keys is not implemented.")


def strip_aws_chunked(content_encoding: str) -> str:
    """Return a Content-Encoding without the token aws-chunked, "" if nothing is left."""
    tokens = (token.strip() for token in content_encoding.split(","))
    return ",".join(token for token in tokens if token and token.lower() != "aws-chunked")


def _parse_user(headers: Headers) -> tuple[tuple[str, str], ...]:
    merged: dict[str, str] = {}
    for name, value in headers.with_prefix(_USER_PREFIX):
        # API_PutObject: values of equal names are joined by commas.
        merged[name] = f"{merged[name]},{value}" if name in merged else value
    if merged:
        size_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in merged.items())
        if size_bytes > MAX_USER_METADATA_BYTES:
            fields = {"Size": str(size_bytes), "MaxSizeAllowed": str(MAX_USER_METADATA_BYTES)}
            raise S3Error("MetadataTooLarge", fields=fields)
    return tuple(merged.items())

"""Rules for bucket names and object keys.

Decides which names the protocol can carry.  It does not know which buckets or
objects exist.
"""

from __future__ import annotations

import re

from sidegate.s3.errors import S3Error
from sidegate.s3.escaping import has_forbidden_characters

# Amazon S3 User Guide, "Naming Amazon S3 objects".
MAX_KEY_BYTES = 1024

# Amazon S3 User Guide, "General purpose bucket naming rules".
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]").fullmatch
_IP_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+").fullmatch
# One search answers for nearly every key that neither rule below can refuse it.
_NEEDS_CARE = re.compile(r"[^\x20-\x7e]|(?:^|/)\.\.?(?:/|$)").search
_DOT_SEGMENT = re.compile(r"(?:^|/)\.\.?(?:/|\Z)").search


def check_key(key: str) -> None:
    """Refuse a key that the protocol cannot carry safely.

    Raises S3Error: KeyTooLongError above 1024 UTF-8 bytes; InvalidArgument for
    `.` and `..` segments, which clients and proxies rewrite behind our back,
    and for characters that no listing could name.  Nothing is ever normalised:
    `a//b`, a leading slash and both forms of é are keys of their own.
    """
    if len(key) * 4 > MAX_KEY_BYTES:
        size_bytes = len(key.encode("utf-8", "surrogatepass"))
        if size_bytes > MAX_KEY_BYTES:
            sizes = {"Size": str(size_bytes), "MaxSizeAllowed": str(MAX_KEY_BYTES)}
            raise S3Error("KeyTooLongError", fields=sizes)
    if _NEEDS_CARE(key) is None:
        return
    if _DOT_SEGMENT(key):
        raise S3Error(
            "InvalidArgument",
            f"The key {key!r} has a '.' or '..' segment.",
            remedy="name the object without dot segments",
            fields={"ArgumentName": "key", "ArgumentValue": key},
        )
    if has_forbidden_characters(key):
        raise S3Error(
            "InvalidArgument",
            f"The key {key!r} has a character that XML 1.0 cannot carry.",
            fields={"ArgumentName": "key"},
        )


def check_bucket_name(name: str) -> None:
    """Raise S3Error(InvalidBucketName) unless AWS would take the name."""
    if _BUCKET(name) is None or ".." in name or _IP_ADDRESS(name):
        raise S3Error(
            "InvalidBucketName",
            f"The bucket name {name!r} is not valid.",
            remedy="use 3 to 63 lower-case letters, digits, dots and hyphens",
            fields={"BucketName": name},
        )

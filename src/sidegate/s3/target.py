"""Request targets: which bucket, key and query a request names.

Decides how the raw bytes of the request line become names: percent-decoded
once, never normalised.  It does not know which operation they mean, nor which
buckets exist.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from sidegate.s3.errors import S3Error
from sidegate.s3.escaping import has_forbidden_characters
from sidegate.s3.names import check_key

Query = Mapping[str, str]
EMPTY_QUERY: Query = MappingProxyType({})

# A name of 253 letters (RFC 1035 section 2.3.4: 255 octets on the wire), its last dot, and a port.
_LONGEST_HOST_BYTES = 260

_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE).match
_UNUSUAL = re.compile(r"[^\x20-\x7e]").search


@dataclass(frozen=True, slots=True)
class Target:
    """The names in a request target.

    `bucket` is None for the service itself, `key` is None for a bucket.  A
    query parameter without a value has the value ""; of repeated ones the first
    counts.  `virtual_host` says that the bucket came from the Host header.
    """

    bucket: str | None
    key: str | None
    query: Query = field(default_factory=lambda: EMPTY_QUERY)
    virtual_host: bool = False


def parse_target(raw_target: bytes, host: bytes | None, base_domains: tuple[str, ...] = ()) -> Target:
    """Read a request target in origin or absolute form (RFC 9112 section 3.2).

    `base_domains` are the domains, in lower case, below which a host name names
    a bucket; any other host is path style.  Raises S3Error: InvalidURI,
    InvalidArgument, KeyTooLongError, InvalidBucketName.
    """
    if raw_target[:1] != b"/":
        raw_target, host = _strip_authority(raw_target)
    raw_path, separator, raw_query = raw_target.partition(b"?")
    query = parse_query(raw_query) if separator else EMPTY_QUERY
    bucket = bucket_of_host(host, base_domains) if host is not None and base_domains else None
    if bucket is not None:
        key = decode_path(raw_path[1:])
        virtual_host = True
    else:
        raw_bucket, _, raw_key = raw_path[1:].partition(b"/")
        bucket, key = decode_path(raw_bucket), decode_path(raw_key)
        virtual_host = False
        if not bucket:
            if key:
                raise S3Error("InvalidBucketName", "The request names a key but no bucket.")
            return Target(None, None, query)
        if bucket in (".", ".."):
            raise S3Error("InvalidArgument", f"The bucket {bucket!r} is a dot segment.")
    if not key:
        return Target(bucket, None, query, virtual_host)
    check_key(key)
    return Target(bucket, key, query, virtual_host)


def decode_path(raw: bytes) -> str:
    """Percent-decode part of a path once; `+` is a literal plus.

    Raises S3Error: InvalidURI for a malformed escape, InvalidArgument for bytes
    that are not UTF-8.
    """
    return _decode(raw)


def parse_query(raw_query: bytes) -> Query:
    """Decode a query string; `+` is a space, a missing value is ""."""
    query: dict[str, str] = {}
    for pair in raw_query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name:
            query.setdefault(_decode_query_text(name), _decode_query_text(value))
    return query


def bucket_of_host(host: bytes, base_domains: tuple[str, ...]) -> str | None:
    """Return the bucket that a Host header names, or None for path style.

    Only a configured base domain makes a virtual host: Kubernetes service names
    have dots too.  Of nested domains the longest counts.
    """
    # What is no host name is not kept: anyone may send it.
    find = _bucket_of_host if len(host) <= _LONGEST_HOST_BYTES else _bucket_of_host.__wrapped__
    return find(host, base_domains)


@lru_cache(maxsize=1024)
def _bucket_of_host(host: bytes, base_domains: tuple[str, ...]) -> str | None:
    name = host.decode("latin-1").lower()
    if not name.endswith("]"):
        name, colon, port = name.rpartition(":")
        if not colon:
            name = port
    name = name.rstrip(".")
    matching = [domain for domain in base_domains if name == domain or name.endswith("." + domain)]
    if not matching:
        return None
    longest = max(matching, key=len)
    return name[: -len(longest) - 1] or None


def _strip_authority(raw_target: bytes) -> tuple[bytes, bytes]:
    match = _ABSOLUTE(raw_target)
    if match is None:
        raise S3Error("InvalidURI", "The request target is neither a path nor an http URL.")
    rest = raw_target[match.end() :]
    return (rest if rest[:1] == b"/" else b"/" + rest), match.group(1)


def _decode(raw: bytes) -> str:
    if b"%" in raw:
        if _BAD_PERCENT(raw):
            raise S3Error("InvalidURI")
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise S3Error("InvalidArgument", "The request target is not valid UTF-8.") from error


def _decode_query_text(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    text = _decode(raw)
    if _UNUSUAL(text) and has_forbidden_characters(text):
        raise S3Error("InvalidArgument", "A query parameter has a character that XML 1.0 cannot carry.")
    return text

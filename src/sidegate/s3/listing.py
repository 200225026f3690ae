"""Listings of objects: which page a request asks for.

Decides limits, markers and tokens.  It does not know where keys are kept, how
a page is collected, nor how it is written.
Sources: API_ListObjects, API_ListObjectsV2.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from sidegate.native.columns import Columns
from sidegate.s3.errors import S3Error
from sidegate.s3.escaping import has_forbidden_characters
from sidegate.s3.operations import Operation
from sidegate.s3.parameters import parse_limit
from sidegate.s3.target import Query, Target

# API_ListObjectsV2: "The action returns up to 1,000 key names".
MAX_KEYS: Final = 1000

_TOKEN_VERSION: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A ListObjects or ListObjectsV2 request.

    `marker`, `start_after` and `token` are as sent, for the echo; `after` is
    what they mean: only names greater than it are listed.
    """

    version: int
    prefix: str = ""
    delimiter: str = ""
    max_keys: int = MAX_KEYS
    after: str = ""
    encode_url: bool = False
    fetch_owner: bool = False
    marker: str = ""
    start_after: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page; `last` is the greatest name in it, None for an empty page.

    `objects` are in order of their keys; names are UTF-8.
    """

    objects: Columns
    common_prefixes: tuple[bytes, ...]
    is_truncated: bool
    last: bytes | None


def parse_list(operation: Operation, target: Target) -> ListQuery:
    """Read the parameters of LIST_OBJECTS or LIST_OBJECTS_V2.

    max-keys above 1000 is capped; with a token, start-after does not count.
    Raises S3Error InvalidArgument for a bad number, encoding or token.
    """
    query = target.query
    max_keys = parse_limit(query, "max-keys", MAX_KEYS)
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    encode_url = parse_encoding(query)
    if operation is Operation.LIST_OBJECTS:
        marker = query.get("marker", "")
        return ListQuery(1, prefix, delimiter, max_keys, marker, encode_url, True, marker)
    token, start_after = query.get("continuation-token"), query.get("start-after")
    after = decode_token(token) if token else start_after or ""
    fetch_owner = query.get("fetch-owner", "").lower() == "true"
    return ListQuery(
        2, prefix, delimiter, max_keys, after, encode_url, fetch_owner, "", start_after or None, token
    )


def parse_encoding(query: Query) -> bool:
    """Whether names are to be percent-encoded; raises S3Error InvalidArgument."""
    value = query.get("encoding-type", "")
    if value.lower() not in ("", "url"):
        fields = {"ArgumentName": "encoding-type", "ArgumentValue": value}
        raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request", fields=fields)
    return bool(value)


def encode_token(last: bytes) -> str:
    """Return a continuation token: opaque, safe in a URL."""
    return base64.urlsafe_b64encode(_TOKEN_VERSION + last).decode("ascii")


def decode_token(token: str) -> str:
    """Return the name that a token continues after; raises S3Error InvalidArgument."""
    try:
        data = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        last = data[1:].decode()
    except (binascii.Error, ValueError) as error:
        raise _bad_token() from error
    if data[:1] != _TOKEN_VERSION or not last or has_forbidden_characters(last):
        raise _bad_token()
    return last


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """Return what `key` is rolled up to, or None when it is listed itself."""
    if not delimiter:
        return None
    cut = key.find(delimiter, len(prefix))
    return None if cut < 0 else key[: cut + len(delimiter)]


def page_start(query: ListQuery) -> bytes:
    """Return the least name that may be in a query's page.

    Where `after` lies in a rolled-up prefix, all of that is skipped, as on AWS:
    names count, and the common prefix is a name not greater than the marker.
    """
    after, prefix = query.after, query.prefix
    if not after or after < prefix:
        return prefix.encode()
    rolled_up = common_prefix(after, prefix, query.delimiter) if after.startswith(prefix) else None
    if rolled_up is None:
        return after.encode() + b"\0"  # the least above it
    stem = rolled_up.encode()
    return stem[:-1] + bytes((stem[-1] + 1,))  # no UTF-8 ends in 0xFF


def _bad_token() -> S3Error:
    fields = {"ArgumentName": "continuation-token"}
    return S3Error("InvalidArgument", "The continuation token provided is incorrect", fields=fields)

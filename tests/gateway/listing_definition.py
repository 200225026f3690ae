"""What a listing is, in plain Python over all keys: the reference for the real one.

Collects a page entry by entry and renders it as text, without columns, cursors
or bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

from sidegate.s3.listing import ListQuery

OWNER = "<Owner><ID>sidegate</ID><DisplayName>sidegate</DisplayName></Owner>"
XML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "\r": "&#13;"}


class File(NamedTuple):
    size_bytes: int
    tag: str
    modified_us: int


def rolled_up(key: str, query: ListQuery) -> str | None:
    if not query.delimiter:
        return None
    cut = key.find(query.delimiter, len(query.prefix))
    return None if cut < 0 else key[: cut + len(query.delimiter)]


def collect(query: ListQuery, files: Mapping[str, File]) -> tuple[list[str], list[str], bool, str | None]:
    """Return keys, common prefixes, whether there is more, and the last name."""
    after = query.after
    if after.startswith(query.prefix):
        after = rolled_up(after, query) or after
    keys: list[str] = []
    prefixes: list[str] = []
    last = None
    for key in sorted(files):
        if not key.startswith(query.prefix):
            continue
        name = rolled_up(key, query) or key
        if name <= after or name == last:
            continue
        if len(keys) + len(prefixes) == query.max_keys:
            return keys, prefixes, query.max_keys > 0, last
        (keys if name == key and rolled_up(key, query) is None else prefixes).append(name)
        last = name
    return keys, prefixes, False, last


def encode(text: str, query: ListQuery) -> str:
    if query.encode_url:
        return quote(text, safe="/")
    return "".join(XML.get(character, character) for character in text)


def date(modified_us: int) -> str:
    seconds, rest_us = divmod(modified_us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_us // 1000:03}Z"


def token(last: str) -> str:
    return base64.urlsafe_b64encode(b"\x01" + last.encode()).decode()


def document(bucket: str, query: ListQuery, files: Mapping[str, File]) -> bytes:
    keys, prefixes, truncated, last = collect(query, files)
    text = f"<Name>{bucket}</Name><Prefix>{encode(query.prefix, query)}</Prefix>"
    if query.version == 1:
        text += f"<Marker>{encode(query.marker, query)}</Marker>"
        if truncated and query.delimiter and last is not None:
            text += f"<NextMarker>{encode(last, query)}</NextMarker>"
    else:
        text += f"<KeyCount>{len(keys) + len(prefixes)}</KeyCount>"
        if query.start_after is not None:
            text += f"<StartAfter>{encode(query.start_after, query)}</StartAfter>"
        if query.token is not None:
            text += f"<ContinuationToken>{query.token}</ContinuationToken>"
        if truncated and last is not None:
            text += f"<NextContinuationToken>{token(last)}</NextContinuationToken>"
    text += f"<MaxKeys>{query.max_keys}</MaxKeys><IsTruncated>{str(truncated).lower()}</IsTruncated>"
    if query.delimiter:
        text += f"<Delimiter>{encode(query.delimiter, query)}</Delimiter>"
    if query.encode_url:
        text += "<EncodingType>url</EncodingType>"
    for key in keys:
        file = files[key]
        text += (
            f"<Contents><Key>{encode(key, query)}</Key><LastModified>{date(file.modified_us)}</LastModified>"
            f"<ETag>&quot;{file.tag}&quot;</ETag><Size>{file.size_bytes}</Size>"
            f"{OWNER if query.fetch_owner else ''}<StorageClass>STANDARD</StorageClass></Contents>"
        )
    for prefix in prefixes:
        text += f"<CommonPrefixes><Prefix>{encode(prefix, query)}</Prefix></CommonPrefixes>"
    start = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns='
    return f'{start}"http://s3.amazonaws.com/doc/2006-03-01/">{text}</ListBucketResult>'.encode()

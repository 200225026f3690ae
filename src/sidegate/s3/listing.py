"""Listings of objects: which keys and common prefixes one page holds.

Decides markers, tokens and roll-up by delimiter over any sorted, seekable
source.  It does not know where keys are kept, nor how a page is written.
Sources: API_ListObjects, API_ListObjectsV2.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from sidegate.s3.errors import S3Error
from sidegate.s3.escaping import has_forbidden_characters
from sidegate.s3.operations import Operation
from sidegate.s3.parameters import parse_limit
from sidegate.s3.target import Query, Target

# API_ListObjectsV2: "The action returns up to 1,000 key names".
MAX_KEYS: Final = 1000

# Below this many entries of a rolled-up prefix, reading on is cheaper than a seek.
_ENTRIES_BEFORE_SEEK: Final = 16

_TOKEN_VERSION: Final = b"\x01"
_LAST_CODE_POINT: Final = 0x10FFFF


class Entry(NamedTuple):
    """One object in a listing."""

    key: str
    size_bytes: int
    tag: str
    modified_us: int


class Keyed(Protocol):
    """What a source yields: anything with a key."""

    @property
    def key(self) -> str:
        """The name by which the source is sorted."""


E = TypeVar("E", bound=Keyed)
E_co = TypeVar("E_co", bound=Keyed, covariant=True)


class Source(Protocol[E_co]):
    """Entries sorted by the UTF-8 bytes of their keys.

    Python compares str by code point, which is the same order.
    """

    def __call__(self, after: str, *, inclusive: bool) -> Iterator[E_co]:
        """Yield the entries after `after`, with it when `inclusive`."""


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
class Page(Generic[E]):
    """One page; `last` is the greatest name in it, None for an empty page."""

    entries: tuple[E, ...]
    common_prefixes: tuple[str, ...]
    is_truncated: bool
    last: str | None


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


def encode_token(last: str) -> str:
    """Return a continuation token: opaque, safe in a URL."""
    return base64.urlsafe_b64encode(_TOKEN_VERSION + last.encode()).decode("ascii")


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


def successor_of_prefix(prefix: str) -> str | None:
    """Return the least string above all that begin with `prefix`, or None.

    None when there is none: every character is U+10FFFF.
    """
    for index in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[index])
        if code < _LAST_CODE_POINT:
            # Surrogates (U+D800 to U+DFFF) are no characters and have no UTF-8.
            following = 0xE000 if code == 0xD7FF else code + 1
            return prefix[:index] + chr(following)
    return None


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """Return what `key` is rolled up to, or None when it is listed itself."""
    if not delimiter:
        return None
    cut = key.find(delimiter, len(prefix))
    return None if cut < 0 else key[: cut + len(delimiter)]


def collect_page(query: ListQuery, entries_after: Source[E]) -> Page[E]:
    """Return the page that a query asks for.

    Every rolled-up prefix costs one seek at most, however many keys it has.
    A marker inside a rolled-up prefix skips all of it, as on AWS: names count,
    and the common prefix is a name not greater than the marker.
    """
    collector = _Collector[E](query)
    position = collector.first_position() if query.max_keys else None
    while position is not None:
        after, inclusive = position
        position = collector.collect(entries_after(after, inclusive=inclusive))
    return collector.page()


class _Collector(Generic[E]):
    def __init__(self, query: ListQuery) -> None:
        self._query = query
        self._entries: list[E] = []
        self._prefixes: list[str] = []
        self._truncated = False
        self._last: str | None = None

    def first_position(self) -> tuple[str, bool] | None:
        """Return where to begin: the position and whether it is included."""
        query = self._query
        after, prefix = query.after, query.prefix
        if after < prefix:
            return prefix, True
        if after.startswith(prefix):
            rolled_up = common_prefix(after, prefix, query.delimiter)
            if rolled_up is not None:
                return _past(rolled_up)
        return after, not after

    def collect(self, entries: Iterator[E]) -> tuple[str, bool] | None:
        """Take entries until the page is full, they end, or a seek pays.

        Returns the position to seek, or None when the page is done.
        """
        prefix, delimiter, room = self._query.prefix, self._query.delimiter, self._room()
        rolled_up: str | None = None
        skipped = 0
        for entry in entries:
            key = entry.key
            if rolled_up is not None and key.startswith(rolled_up):
                skipped += 1
                if skipped >= _ENTRIES_BEFORE_SEEK:
                    return _past(rolled_up)
                continue
            if not key.startswith(prefix):
                return None
            if room == 0:
                self._truncated = True
                return None
            room -= 1
            rolled_up, skipped = common_prefix(key, prefix, delimiter), 0
            if rolled_up is None:
                self._entries.append(entry)
                self._last = key
            else:
                self._prefixes.append(rolled_up)
                self._last = rolled_up
        return None

    def page(self) -> Page[E]:
        """Return what was collected."""
        return Page(tuple(self._entries), tuple(self._prefixes), self._truncated, self._last)

    def _room(self) -> int:
        return self._query.max_keys - len(self._entries) - len(self._prefixes)


def _past(prefix: str) -> tuple[str, bool] | None:
    following = successor_of_prefix(prefix)
    return None if following is None else (following, True)


def _bad_token() -> S3Error:
    fields = {"ArgumentName": "continuation-token"}
    return S3Error("InvalidArgument", "The continuation token provided is incorrect", fields=fields)

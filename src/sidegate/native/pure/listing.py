"""Names, numbers and dates of a listing between fixed text: the definition.

Decides how a column is written, not what it is called: the text between comes
from the caller.  `ext/listing.pyx` must write the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from urllib.parse import quote_from_bytes

from sidegate.native.columns import Columns
from sidegate.native.listing_text import LAST_SECOND, XML_REPLACEMENTS

Texts = tuple[bytes, bytes, bytes, bytes, bytes]


def render_rows(columns: Columns, texts: Texts, *, url: bool) -> bytes:
    """Return every row as `texts` around name, date, tag and size; see `sidegate.native._listing`."""
    before, after_name, after_time, after_tag, after_size = texts
    if not len(columns.name_ends) == len(columns.tag_ends) == len(columns.sizes) == len(columns.times_us):
        raise ValueError("the columns of a listing have different lengths")
    names = _texts(columns.names, columns.name_ends)
    tags = _texts(columns.tags, columns.tag_ends)
    rendered = bytearray()
    for name, time_us, tag, size in zip(names, columns.times_us, tags, columns.sizes, strict=True):
        if size < 0:
            raise ValueError(f"a file of {size} bytes cannot be listed")
        rendered += before + _written(name, url) + after_name + _date(time_us) + after_time
        rendered += tag + after_tag + b"%d" % size + after_size
    return bytes(rendered)


def render_names(names: Iterable[bytes], before: bytes, after: bytes, *, url: bool) -> bytes:
    """Return every name between two texts."""
    return b"".join(before + _written(name, url) + after for name in names)


def _texts(joined: bytes, ends: memoryview) -> Iterator[bytes]:
    for start, end in pairwise([0, *ends]):
        if not start <= end <= len(joined):
            raise ValueError("a text column of a listing has ends out of order")
        yield joined[start:end]


def _written(name: bytes, url: bool) -> bytes:
    """Return a name as it is written: percent-encoded, or as XML text."""
    if url:
        return quote_from_bytes(name, safe="/").encode()
    return b"".join(XML_REPLACEMENTS.get(byte, bytes((byte,))) for byte in name)


def _date(time_us: int) -> bytes:
    """Return `YYYY-MM-DDThh:mm:ss.mmmZ`."""
    if not 0 <= time_us < (LAST_SECOND + 1) * 1_000_000:
        raise ValueError(f"{time_us} microseconds are no date that can be listed")
    second = datetime.fromtimestamp(time_us // 1_000_000, UTC)
    return b"%b.%03dZ" % (second.strftime("%Y-%m-%dT%H:%M:%S").encode(), time_us // 1000 % 1000)

"""The parts of an upload in columns: the definition.

Decides which documents are of the usual form, and how a part's file record is
taken apart without making one.  `ext/parts.pyx` must agree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from sidegate.errors import Corrupt
from sidegate.native.index_format import (
    EXTERNAL,
    HAS_HASH,
    HASH_BYTES,
    PARTIAL,
    TAIL,
    check_record_head,
    torn_record,
    unknown_extent,
)
from sidegate.native.part_columns import (
    DECLARATIONS,
    MAX_NUMBER,
    QUOTES,
    ROOT_END,
    ROOTS,
    NamedParts,
    PartColumns,
)
from sidegate.native.pure.stored_bytes import Reader, Torn, encode_integer


def _any_of(texts: Sequence[bytes]) -> bytes:
    return b"(?:" + b"|".join(map(re.escape, texts)) + b")"


_SPACE = rb"[ \t\r\n]*"
_QUOTE = _any_of(QUOTES) + b"?"
_TAG = rb"<ETag>" + _QUOTE + rb"(?P<tag>[0-9A-Za-z-]+)" + _QUOTE + rb"</ETag>"
_NUMBER = rb"<PartNumber>(?P<number>[1-9][0-9]{0,4})</PartNumber>"
_CHECKSUM = rb"<Checksum(?P<name>[0-9A-Z]+)>(?P<value>[0-9A-Za-z+/=]+)</Checksum(?P=name)>"
_START = re.compile(_any_of(DECLARATIONS) + b"?" + _SPACE + _any_of(ROOTS) + _SPACE).match
_PART_START = re.compile(rb"<Part>" + _SPACE).match
_ELEMENT = re.compile(rb"(?:" + _TAG + rb"|" + _NUMBER + rb"|" + _CHECKSUM + rb")" + _SPACE).match
_PART_END = re.compile(rb"</Part>" + _SPACE).match
_END = re.compile(re.escape(ROOT_END) + _SPACE).fullmatch


class _Named(NamedTuple):
    number: int
    tag: bytes
    algorithm: bytes
    checksum: bytes


def scan_completion(document: bytes) -> NamedParts | None:
    """Return what a document of the usual form names, None for any other; see `sidegate.native._parts`."""
    start = _START(document)
    if start is None:
        return None
    offset, parts = start.end(), []
    while opening := _PART_START(document, offset):
        found = _scan_part(document, opening.end())
        if found is None:
            return None
        part, offset = found
        parts.append(part)
    if not parts or _END(document, offset) is None:
        return None
    if len({part.algorithm for part in parts}) > 1 or parts[-1].number > MAX_NUMBER:
        return None
    if any(part.number >= following.number for part, following in pairwise(parts)):
        return None
    return NamedParts(
        b",".join(b"%d:%b" % (part.number, part.tag) for part in parts),
        parts[0].algorithm,
        b"\n".join(part.checksum for part in parts) if parts[0].algorithm else b"",
    )


def _scan_part(document: bytes, offset: int) -> tuple[_Named, int] | None:
    """Return the part whose first element is at `offset`, and where the next one is."""
    found: dict[str, bytes] = {}
    while element := _ELEMENT(document, offset):
        for name, value in element.groupdict().items():
            if value is not None and name in found:
                return None
            if value is not None:
                found[name] = value
        offset = element.end()
    end = _PART_END(document, offset)
    if end is None or "tag" not in found or "number" not in found:
        return None
    part = _Named(int(found["number"]), found["tag"], found.get("name", b""), found.get("value", b""))
    return part, end.end()


class StoredPart(NamedTuple):
    """What a part's file record says."""

    size_bytes: int
    content_hash: bytes | None
    tag: bytes
    extents: bytes
    external: bool
    extent_count: int
    attributes: list[tuple[str, str]]


def read_part(record: bytes) -> StoredPart:
    """Read a file record; raises Corrupt."""
    reader = Reader(record, 0)
    try:
        part = _read_part(reader)
    except (Torn, UnicodeDecodeError):
        raise torn_record(reader.offset) from None
    if reader.offset != len(record):
        raise torn_record(reader.offset)
    return part


def _read_part(reader: Reader) -> StoredPart:
    version, flags = reader.integer(), reader.integer()
    check_record_head(version, flags)
    size_bytes = reader.integer()
    content_hash = reader.take(HASH_BYTES) if flags & HAS_HASH else None
    tag = reader.bytes()
    tag.decode()
    reader.integer()  # when it was modified
    if flags & EXTERNAL:
        node, count = reader.take(HASH_BYTES), reader.integer()
        extents = node + encode_integer(size_bytes) + encode_integer(count)
    else:
        count = reader.integer()
        start = reader.offset
        for _ in range(count):
            _skip_extent(reader)
        extents = reader.data[start : reader.offset]
    return StoredPart(
        size_bytes, content_hash, tag, extents, bool(flags & EXTERNAL), count, _read_attributes(reader)
    )


def _skip_extent(reader: Reader) -> None:
    flags = reader.integer()
    if flags > PARTIAL | TAIL:
        raise unknown_extent(flags)
    reader.take(HASH_BYTES)
    for _ in range(3 if flags & PARTIAL else 1):
        reader.integer()


def _read_attributes(reader: Reader) -> list[tuple[str, str]]:
    return [
        (reader.bytes().decode(), reader.bytes().decode("utf-8", "surrogateescape"))
        for _ in range(reader.integer())
    ]


def common_attributes(parts: Sequence[StoredPart]) -> dict[str, list[str]]:
    """Return the values of those attributes that every part has."""
    found = [dict(part.attributes) for part in parts]
    names = [name for name in found[0] if all(name in attributes for attributes in found)]
    return {name: [attributes[name] for attributes in found] for name in names}


class PartCollector:
    """Columns as they grow; see `sidegate.native._parts`."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._parts: list[StoredPart] = []

    def add(self, number: int, record: bytes) -> bool:
        """Take a part; False when it is not usual."""
        try:
            part = read_part(record)
        except Corrupt:
            return False
        names = [name for name, _ in part.attributes]
        like = [name for name, _ in self._parts[0].attributes] if self._parts else names
        if number < 0 or names != like or not (part.tag.isascii() and all(map(str.isascii, names))):
            return False
        self._numbers.append(number)
        self._parts.append(part)
        return True

    def columns(self) -> PartColumns:
        """Return the columns so far."""
        return _columns(self._numbers, self._parts)


def collect_parts(rows: Sequence[tuple[int, bytes]]) -> PartColumns:
    """Return the columns of stored parts; see `sidegate.native._parts`."""
    parts = [read_part(record) for _, record in rows]
    if any(number < 0 for number, _ in rows):
        raise ValueError("a part has a number below 0")
    return _columns([number for number, _ in rows], parts)


def _columns(numbers: Sequence[int], parts: Sequence[StoredPart]) -> PartColumns:
    return PartColumns(
        names=b",".join(b"%d:%b" % (number, part.tag) for number, part in zip(numbers, parts, strict=True)),
        tags=b"".join(part.tag + b"\n" for part in parts),
        sizes_bytes=[part.size_bytes for part in parts],
        attributes=common_attributes(parts) if parts else {},
        extents=b"".join(part.extents for part in parts),
        lengths=[len(part.extents) for part in parts],
        external=bytes(part.external for part in parts),
        counts=[part.extent_count for part in parts],
        content_hash=parts[0].content_hash if len(parts) == 1 else None,
    )

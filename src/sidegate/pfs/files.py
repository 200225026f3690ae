"""File records: what an index tree says of one file.

A record is immutable.  Its attributes are names and values the store keeps and
does not read (content type, user metadata, checksums, part sizes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from blake3 import blake3

from sidegate.native.index_format import EXTERNAL, HAS_HASH, RECORD_VERSION, TAIL, check_record_head
from sidegate.pfs.encoding import Decoder, encode_bytes, encode_integer, encode_text
from sidegate.pfs.extents import Extent, decode_extent, encode_extent
from sidegate.pfs.ids import ChunkId, NodeId

INLINE_EXTENTS = 4
"""Longer lists are stored apart, so that an index node holds many records."""


Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ExtentList:
    """A long extent list, stored as a tree of nodes under `node`."""

    node: NodeId
    count: int


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a commit or a staging.

    `content_hash` is set once the extents are canonical, so in every finished
    commit.  `tag` was fixed when the file was written and never changes.
    """

    size_bytes: int
    tag: str
    modified_us: int
    extents: tuple[Extent, ...] | ExtentList
    content_hash: bytes | None = None
    attributes: Attributes = ()

    def attribute(self, name: str) -> str | None:
        """Return the value of one attribute, or None."""
        return next((value for key, value in self.attributes if key == name), None)

    def same_content(self, other: FileRecord) -> bool:
        """Whether both hold the same bytes and attributes, whenever they were written."""
        return self.content_hash == other.content_hash and self.attributes == other.attributes

    def with_extents(self, extents: tuple[Extent, ...] | ExtentList, content_hash: bytes) -> FileRecord:
        """Return the record with its canonical extents and file hash."""
        return replace(self, extents=extents, content_hash=content_hash)


def encode_record(record: FileRecord) -> bytes:
    """Return the record's bytes, the value in a leaf node (docs/formats.md)."""
    external = isinstance(record.extents, ExtentList)
    flags = (HAS_HASH if record.content_hash is not None else 0) | (EXTERNAL if external else 0)
    parts = [encode_integer(RECORD_VERSION), encode_integer(flags), encode_integer(record.size_bytes)]
    if record.content_hash is not None:
        parts.append(record.content_hash)
    parts += [encode_text(record.tag), encode_integer(record.modified_us)]
    if isinstance(record.extents, ExtentList):
        parts += [record.extents.node, encode_integer(record.extents.count)]
    else:
        parts.append(encode_integer(len(record.extents)))
        parts += [encode_extent(extent) for extent in record.extents]
    parts.append(encode_attributes(record.attributes))
    return b"".join(parts)


# They may be as long as the head of a request: 64 KiB, and as much encoded.
@lru_cache(maxsize=128)
def encode_attributes(attributes: Attributes) -> bytes:
    """Return how attributes stand at the end of a record; many files have the same."""
    parts = [encode_integer(len(attributes))]
    for name, value in attributes:
        parts += [encode_text(name), encode_bytes(value.encode("utf-8", "surrogateescape"))]
    return b"".join(parts)


def encode_one_chunk(
    chunk: ChunkId, size_bytes: int, modified_us: int, attributes: Attributes, tag: str | None
) -> tuple[str, bytes]:
    """Return tag and record of a new file that is one chunk; not for an empty one.

    What `Store.record` and `encode_record` come to, at a third of their cost: small
    files come by the thousand.
    """
    length = size_bytes.to_bytes(8, "little")
    tag = tag or f"{blake3(chunk + _AT_START + length).hexdigest(length=16)}-1"
    size = encode_integer(size_bytes)
    data = b"".join(
        (
            _ONE_CHUNK_HEAD,
            size,
            blake3(chunk + length).digest(),
            encode_text(tag),
            encode_integer(modified_us),
            _ONE_TAIL,
            chunk,
            size,
            encode_attributes(attributes),
        )
    )
    return tag, data


def encode_empty(modified_us: int, attributes: Attributes, tag: str | None) -> tuple[str, bytes]:
    """Return tag and record of a new file without bytes."""
    nothing = blake3(b"")
    tag = tag or f"{nothing.hexdigest(length=16)}-1"
    return tag, encode_record(FileRecord(0, tag, modified_us, (), nothing.digest(), attributes))


_AT_START = bytes(8)
_ONE_CHUNK_HEAD = encode_integer(RECORD_VERSION) + encode_integer(HAS_HASH)
# One extent: the whole of a chunk that ended because the file did.
_ONE_TAIL = encode_integer(1) + encode_integer(TAIL)


def decode_size(data: bytes) -> int:
    """Read a record's size only."""
    return _decode_head(Decoder(data))[1]


def decode_record(data: bytes) -> FileRecord:
    """Read a record; raises Corrupt for another version or torn bytes."""
    decoder = Decoder(data)
    flags, size_bytes = _decode_head(decoder)
    content_hash = decoder.take(32) if flags & HAS_HASH else None
    tag = decoder.text()
    modified_us = decoder.integer()
    extents: tuple[Extent, ...] | ExtentList
    if flags & EXTERNAL:
        extents = ExtentList(NodeId(decoder.take(32)), decoder.integer())
    else:
        extents = tuple(decode_extent(decoder) for _ in range(decoder.integer()))
    attributes = tuple(
        (decoder.text(), decoder.bytes().decode("utf-8", "surrogateescape")) for _ in range(decoder.integer())
    )
    decoder.finish()
    return FileRecord(size_bytes, tag, modified_us, extents, content_hash, attributes)


def _decode_head(decoder: Decoder) -> tuple[int, int]:
    """Read what every record begins with; return its flags and size."""
    version, flags = decoder.integer(), decoder.integer()
    check_record_head(version, flags)
    return flags, decoder.integer()

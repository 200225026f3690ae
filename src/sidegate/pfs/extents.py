"""Extents: a file's bytes as a list of slices of chunks.

Knows how a list is encoded, digested, sliced and joined; knows nothing of
where chunks are.  A list may be long (5 TiB is five million extents), so all
but the shortest are stored outside the file record (`extent_lists`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from blake3 import blake3

from sidegate.native.index_format import PARTIAL, TAIL, unknown_extent
from sidegate.pfs.encoding import Decoder, encode_integer
from sidegate.pfs.ids import ChunkId


class Extent(NamedTuple):
    """`length` bytes of chunk `chunk` from `offset`.

    `chunk_bytes` is the whole chunk's size.  `tail` says that the chunk ended
    because its input ended, not because its content asked for a cut: where a
    tail is followed by more bytes, the list has a seam.
    """

    chunk: ChunkId
    offset: int
    length: int
    chunk_bytes: int
    tail: bool

    @property
    def whole(self) -> bool:
        """Whether the extent covers its chunk completely."""
        return self.length == self.chunk_bytes


def total_bytes(extents: Iterable[Extent]) -> int:
    """Return how many bytes the list stands for."""
    return sum(extent.length for extent in extents)


def encode_extent(extent: Extent) -> bytes:
    """Return one extent: flags, id, length, and for a slice offset and chunk size."""
    flags = (0 if extent.whole else PARTIAL) | (TAIL if extent.tail else 0)
    head = encode_integer(flags) + extent.chunk + encode_integer(extent.length)
    if extent.whole:
        return head
    return head + encode_integer(extent.offset) + encode_integer(extent.chunk_bytes)


def decode_extent(decoder: Decoder) -> Extent:
    """Read one extent."""
    flags = decoder.integer()
    if flags > PARTIAL | TAIL:
        raise unknown_extent(flags)
    chunk = ChunkId(decoder.take(32))
    length = decoder.integer()
    if flags & PARTIAL:
        return Extent(chunk, decoder.integer(), length, decoder.integer(), bool(flags & TAIL))
    return Extent(chunk, 0, length, length, bool(flags & TAIL))


def digest(extents: Iterable[Extent]) -> bytes:
    """Return the BLAKE3-256 that names this list as it stands.

    Over (chunk id, offset, length) of each extent, the numbers as 8 bytes
    little-endian.  The upload's tag is made from it.
    """
    return blake3(
        b"".join(
            extent.chunk + extent.offset.to_bytes(8, "little") + extent.length.to_bytes(8, "little")
            for extent in extents
        )
    ).digest()


def content_hash(canonical: Iterable[Extent]) -> bytes:
    """Return the file hash: BLAKE3-256 over (chunk id, length) of a canonical list."""
    return blake3(
        b"".join(extent.chunk + extent.length.to_bytes(8, "little") for extent in canonical)
    ).digest()


def slice_extents(extents: Iterable[Extent], offset: int, end: int) -> Iterator[Extent]:
    """Yield the extents of bytes `offset` to `end` (exclusive) of the list."""
    position = 0
    for extent in extents:
        if position >= end:
            return
        first = max(offset - position, 0)
        last = min(end - position, extent.length)
        if first < last:
            cut = first > 0 or last < extent.length
            yield extent._replace(offset=extent.offset + first, length=last - first) if cut else extent
        position += extent.length


def is_canonical(extents: tuple[Extent, ...]) -> bool:
    """Whether the list has no seam: whole chunks, none but the last a tail."""
    if len(extents) == 1:
        return extents[0].length == extents[0].chunk_bytes
    return all(extent.whole for extent in extents) and not any(extent.tail for extent in extents[:-1])

"""Reading a file's bytes: from extents to slices of packs.

Raw chunks are given as places in a pack file, to be sent by the kernel; others
as bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.extent_lists import load_extents
from sidegate.pfs.extents import Extent
from sidegate.pfs.files import FileRecord
from sidegate.pfs.packs import PackFile

_LOCATE_BATCH = 256


@dataclass(frozen=True, slots=True)
class PackSlice:
    """`length` bytes of a pack file from `offset`; keeps the file open."""

    pack: PackFile
    offset: int
    length: int


def read_slices(
    chunks: ChunkStore, record: FileRecord, offset: int = 0, end: int | None = None
) -> Iterator[PackSlice | memoryview]:
    """Yield the bytes `offset` to `end` (exclusive) of a file, in order.

    Looks places up in batches and decompresses one chunk at a time.
    """
    stop = record.size_bytes if end is None else min(end, record.size_bytes)
    batch: list[Extent] = []
    for extent in load_extents(chunks, record.extents, offset, stop):
        batch.append(extent)
        if len(batch) == _LOCATE_BATCH:
            yield from _resolve(chunks, batch)
            batch = []
    yield from _resolve(chunks, batch)


def _resolve(chunks: ChunkStore, batch: list[Extent]) -> Iterator[PackSlice | memoryview]:
    locations = chunks.locate(extent.chunk for extent in batch)
    for extent in batch:
        location = locations[extent.chunk]
        if location.raw:
            yield PackSlice(location.pack, location.offset + extent.offset, extent.length)
        else:
            plain = chunks.load(extent.chunk, location)
            yield memoryview(plain)[extent.offset : extent.offset + extent.length]


def read_bytes(
    chunks: ChunkStore, record: FileRecord, offset: int = 0, end: int | None = None
) -> Iterator[bytes | memoryview]:
    """Yield the bytes `offset` to `end` (exclusive) of a file, in order."""
    for piece in read_slices(chunks, record, offset, end):
        if isinstance(piece, PackSlice):
            yield piece.pack.read(piece.offset, piece.length)
        else:
            yield piece

"""Reading a file's bytes of any length, a batch of places at a time."""

from __future__ import annotations

from collections.abc import Iterator

from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.extent_lists import load_extents
from sidegate.pfs.extents import Extent
from sidegate.pfs.files import FileRecord
from sidegate.pfs.layout import Layout, Slice

_LOCATE_BATCH = 256


def read_slices(
    chunks: ChunkStore, record: FileRecord, offset: int = 0, end: int | None = None
) -> Iterator[Slice]:
    """Yield the places of the bytes `offset` to `end` (exclusive), in order."""
    stop = record.size_bytes if end is None else min(end, record.size_bytes)
    batch: list[Extent] = []
    for extent in load_extents(chunks, record.extents, offset, stop):
        batch.append(extent)
        if len(batch) == _LOCATE_BATCH:
            yield from _all_slices(chunks, batch)
            batch = []
    yield from _all_slices(chunks, batch)


def _all_slices(chunks: ChunkStore, batch: list[Extent]) -> Iterator[Slice]:
    layout = Layout(chunks, batch)
    yield from layout.slices(0, layout.size_bytes)


def read_bytes(
    chunks: ChunkStore, record: FileRecord, offset: int = 0, end: int | None = None
) -> Iterator[bytes | memoryview]:
    """Yield the bytes `offset` to `end` (exclusive) of a file, in order."""
    return (piece.read() for piece in read_slices(chunks, record, offset, end))

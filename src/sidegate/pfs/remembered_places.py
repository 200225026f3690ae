"""Reading the same chunks again and again, without asking where they lie.

A large index does not fit in memory, so a client that pages through it reads
each node anew.  Where a chunk lies is small and hardly ever changes: it is
remembered, so that a node costs a read, a hash and no query.
"""

from __future__ import annotations

from typing import NamedTuple

from blake3 import blake3

from sidegate.pfs.chunks import ChunkStore, damaged
from sidegate.pfs.compression import decode_payload
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.packs import PackMissing

PLACES = 16384
"""Places in each of two generations: 5 MiB, and an index of a million files and more."""


class _Place(NamedTuple):
    """Where a chunk lies.  The pack is named, not held: it must be closed some day."""

    pack: str
    offset: int
    stored_bytes: int
    plain_bytes: int
    encoding: int


class RememberedPlaces:
    """Reads chunks whose places it remembers; safe to use from several threads."""

    def __init__(self, chunks: ChunkStore) -> None:
        self._chunks = chunks
        self._young: dict[ChunkId, _Place] = {}
        self._old: dict[ChunkId, _Place] = {}

    def get(self, chunk: ChunkId) -> bytes:
        """Return a chunk's plain bytes, checked against its id; raises Corrupt."""
        place = self._young.get(chunk) or self._old.get(chunk)
        if place is not None:
            try:
                return self._read(chunk, place)
            except PackMissing:
                pass  # a collection has moved the chunk
        location = self._chunks.locate((chunk,))[chunk]
        place = _Place(
            location.pack.path.stem,
            location.offset,
            location.stored_bytes,
            location.plain_bytes,
            location.encoding,
        )
        if len(self._young) >= PLACES:
            self._old, self._young = self._young, {}
        self._young[chunk] = place
        return self._read(chunk, place)

    def _read(self, chunk: ChunkId, place: _Place) -> bytes:
        payload = self._chunks.packs.get(place.pack).read(place.offset, place.stored_bytes)
        plain = decode_payload(place.encoding, payload, place.plain_bytes)
        if blake3(plain).digest() != chunk:
            raise damaged(chunk, place.pack)
        return plain

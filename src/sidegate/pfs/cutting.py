"""Cutting a stream of bytes into chunks and storing them.

The parameters of the cut are part of the store's format: changing one changes
every chunk id and ends deduplication against what is stored.
"""

from __future__ import annotations

from sidegate.native import GearScanner
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.extents import Extent
from sidegate.pfs.ids import Buffer

MIN_BYTES = 256 << 10
AVERAGE_BYTES = 1 << 20
MAX_BYTES = 4 << 20

KEEP_AFTER_US = 10 * 60 * 1_000_000
"""A cut that takes longer makes sure at its end that no collection came between."""


SPARE_BUFFERS = 8
"""Chunk buffers kept for the next upload: fresh memory costs more than copying into old."""


class BufferPool:
    """Buffers of one chunk each, used again; safe to use from several threads."""

    def __init__(self) -> None:
        self._spare: list[bytearray] = []

    def take(self) -> bytearray:
        """Return a buffer of MAX_BYTES with anything in it."""
        try:
            return self._spare.pop()
        except IndexError:
            return bytearray(MAX_BYTES)

    def give(self, buffer: bytearray) -> None:
        """Take a buffer back that nobody looks at any more."""
        if len(self._spare) < SPARE_BUFFERS:
            self._spare.append(buffer)


class ChunkCutter:
    """Takes bytes in pieces of any size, gives extents of stored chunks.

    The cuts depend on the bytes alone, never on how they were delivered.
    Holds at most one chunk (4 MiB) of bytes.
    """

    def __init__(self, chunks: ChunkStore, buffers: BufferPool | None = None) -> None:
        self._chunks = chunks
        self._buffers = buffers or BufferPool()
        self._scanner = GearScanner(MIN_BYTES, AVERAGE_BYTES, MAX_BYTES)
        self._buffer: bytearray | None = None
        self._pending_bytes = 0
        self._began_us = chunks.clock()
        self.extents: list[Extent] = []
        self.size_bytes = 0

    def write(self, data: Buffer) -> None:
        """Take more bytes; the buffer may be reused on return."""
        view = memoryview(data)
        self.size_bytes += len(view)
        while len(view):
            cut = self._scanner.scan(view)
            if cut < 0:
                self._keep(view)
                return
            self._store(view[:cut], tail=False)
            view = view[cut:]

    def _store(self, last: memoryview, *, tail: bool) -> None:
        plain = last
        if self._pending_bytes:
            plain = self._keep(last)[: self._pending_bytes]
        length = len(plain)
        self.extents.append(Extent(self._chunks.put(plain), 0, length, length, tail))
        self._pending_bytes = 0

    def _keep(self, view: memoryview) -> memoryview:
        """Add to the bytes of the chunk in the making; return the whole buffer."""
        if self._buffer is None:
            self._buffer = self._buffers.take()
        end = self._pending_bytes + len(view)
        buffer = memoryview(self._buffer)
        buffer[self._pending_bytes : end] = view
        self._pending_bytes = end
        return buffer

    @property
    def at_cut(self) -> bool:
        """Whether everything taken so far ends at a cut."""
        return self._pending_bytes == 0

    def finish(self) -> tuple[Extent, ...]:
        """Store what is left as the last chunk; return all extents.

        Raises Unavailable when this took so long that a collection removed a part.
        """
        if self._pending_bytes:
            self._store(memoryview(b""), tail=True)
        if self._buffer is not None:
            self._buffers.give(self._buffer)
            self._buffer = None
        if self._chunks.clock() - self._began_us > KEEP_AFTER_US:
            self._chunks.keep(extent.chunk for extent in self.extents)
        return tuple(self.extents)

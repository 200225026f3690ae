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


class ChunkCutter:
    """Takes bytes in pieces of any size, gives extents of stored chunks.

    The cuts depend on the bytes alone, never on how they were delivered.
    Holds at most one chunk (4 MiB) of bytes.
    """

    def __init__(self, chunks: ChunkStore) -> None:
        self._chunks = chunks
        self._scanner = GearScanner(MIN_BYTES, AVERAGE_BYTES, MAX_BYTES)
        self._pending = bytearray()
        self.extents: list[Extent] = []
        self.size_bytes = 0

    def write(self, data: Buffer) -> None:
        """Take more bytes; the buffer may be reused on return."""
        view = memoryview(data)
        self.size_bytes += len(view)
        while len(view):
            cut = self._scanner.scan(view)
            if cut < 0:
                self._pending += view
                return
            self._store(view[:cut], tail=False)
            view = view[cut:]

    def _store(self, last: memoryview, *, tail: bool) -> None:
        if self._pending:
            self._pending += last
            plain: Buffer = self._pending
        else:
            plain = last
        length = len(plain)
        self.extents.append(Extent(self._chunks.put(plain), 0, length, length, tail))
        self._pending = bytearray()

    @property
    def at_cut(self) -> bool:
        """Whether everything taken so far ends at a cut."""
        return not self._pending

    def finish(self) -> tuple[Extent, ...]:
        """Store what is left as the last chunk; return all extents."""
        if self._pending:
            self._store(memoryview(b""), tail=True)
        return tuple(self.extents)

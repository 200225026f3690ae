"""Cutting a stream of bytes into chunks and storing them.

The parameters of the cut are part of the store's format: changing one changes
every chunk id and ends deduplication against what is stored.
"""

from __future__ import annotations

from blake3 import blake3

from sidegate.native import GearScanner
from sidegate.pfs.aside import Aside
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.compression import SampleHabit
from sidegate.pfs.extents import Extent
from sidegate.pfs.ids import Buffer, ChunkId
from sidegate.scheduling import give_way

MIN_BYTES = 256 << 10
AVERAGE_BYTES = 1 << 20
MAX_BYTES = 4 << 20

KEEP_AFTER_US = 10 * 60 * 1_000_000
"""A cut that takes longer makes sure at its end that no collection came between."""

COPY_BELOW_BYTES = 64 << 10
"""Pieces of a kept block below this are copied: a chunk never has more pieces than the kernel
takes in one write (IOV_MAX, 1024), and a few bytes keep no block."""


class ChunkCutter:
    """Takes bytes in pieces of any size, gives extents of stored chunks.

    The cuts depend on the bytes alone, never on how they were delivered.
    Holds at most one chunk (4 MiB) of bytes, and of taken blocks those that
    have a part in it.
    """

    def __init__(self, chunks: ChunkStore, habit: SampleHabit | None = None) -> None:
        """`habit` is that of the stream that these bytes are a part of, if they are not all of it."""
        self._chunks = chunks
        self._scanner = GearScanner(MIN_BYTES, AVERAGE_BYTES, MAX_BYTES)
        # The chunk in the making: its bytes so far, in order, and their hash.
        self._pieces: list[Buffer] = []
        self._pending_bytes = 0
        self._hasher = blake3()
        self._aside: Aside | None = None
        self._held: list[Buffer] = []
        self._free: list[Buffer] = []
        self._habit = habit or SampleHabit()
        self._began_us = chunks.clock()
        self.extents: list[Extent] = []
        self.size_bytes = 0

    def write(self, data: Buffer) -> None:
        """Take more bytes; the buffer may be reused on return."""
        left = self._cut(memoryview(data))
        if len(left):
            self._copy(left)

    def take(self, data: memoryview, block: Buffer) -> None:
        """Take more bytes without copying them; `data` lies in `block` or is its own memory.

        The block must stay as it is until `free_blocks` returns it.
        """
        left = self._cut(data)
        if len(left) >= COPY_BELOW_BYTES:
            self._pieces.append(left)
            self._held.append(block)
            return
        if len(left):
            self._copy(left)
        self._free.append(block)

    def free_blocks(self) -> list[Buffer]:
        """Return the blocks that are not needed any more, each once."""
        free, self._free = self._free, []
        return free

    def spill(self) -> None:
        """Put the chunk in the making aside on disk: no block is needed any more.

        For when memory is short; costs one more write and read of these bytes.
        """
        if self._pieces:
            if self._aside is None:
                self._aside = Aside(self._chunks.directory)
            self._aside.append(self._pieces)
            self._let_go()

    def close(self) -> None:
        """Give up: what is not stored is dropped, and every block is free."""
        self._let_go()
        if self._aside is not None:
            self._aside.close()
            self._aside = None

    def _let_go(self) -> None:
        self._pieces.clear()
        self._free += self._held
        self._held.clear()

    def _cut(self, view: memoryview) -> memoryview:
        """Store the chunks that end in `view`; return what begins the next one."""
        self.size_bytes += len(view)
        while len(view):
            # A tenth of a millisecond of work at a time, then others of this core.
            cut = self._scanner.scan(view)
            give_way()
            piece = view if cut < 0 else view[:cut]
            self._hasher.update(piece)
            give_way()
            self._pending_bytes += len(piece)
            if cut < 0:
                break
            self._pieces.append(piece)
            self._store(tail=False)
            view = view[cut:]
        return view

    def _copy(self, view: memoryview) -> None:
        last = self._pieces[-1] if self._pieces else None
        if isinstance(last, bytearray):
            last += view
        else:
            self._pieces.append(bytearray(view))

    def _store(self, *, tail: bool) -> None:
        length = self._pending_bytes
        chunk = ChunkId(self._hasher.digest())
        if self._aside is not None:
            self._pieces[:0] = self._aside.take()
        self._chunks.put_pieces(chunk, self._pieces, length, self._habit)
        give_way()
        self.extents.append(Extent(chunk, 0, length, length, tail))
        self._hasher = blake3()
        self._pending_bytes = 0
        self._let_go()

    @property
    def at_cut(self) -> bool:
        """Whether everything taken so far ends at a cut."""
        return self._pending_bytes == 0

    def finish(self) -> tuple[Extent, ...]:
        """Store what is left as the last chunk; return all extents.

        Raises Unavailable when this took so long that a collection removed a part.
        """
        if self._pending_bytes:
            self._store(tail=True)
        self.close()
        if self._chunks.clock() - self._began_us > KEEP_AFTER_US:
            self._chunks.keep(extent.chunk for extent in self.extents)
        return tuple(self.extents)

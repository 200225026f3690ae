"""Memory that bodies are received into: parts of one mapping, used again and again.

Decides which part a block gets, and when memory goes back to the system.  What
is in a block, and who may have how many of them, is known to others.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
import weakref
from collections import deque
from contextlib import suppress
from heapq import heappop, heappush

Part = ctypes.Array[ctypes.c_ubyte]
"""A part of a pool's mapping.  Views of it have it for their object, and not the mapping."""

HUGE_PAGE_BYTES = 2 << 20
"""A page that one entry of a page directory maps, of x86-64 and of arm64 with pages of 4 KiB."""

KEEP_COUNT = 32
"""Four uploads in parts of 8 MiB have more than 16 blocks under way: with 16 kept, each part met a fresh
one, 60 us per MiB in page faults (strace, perf, 2026-11)."""


def whole_again(view: bytes | bytearray | memoryview) -> memoryview | None:
    """Return the whole of a block for a view of a part of it, which ends; None where it is not a pool's.

    Nobody may look at the block any more.  It stays the caller's: the pool is not told.
    """
    if not isinstance(view, memoryview) or not isinstance(part := view.obj, ctypes.Array):
        return None
    view.release()
    return memoryview(part).cast("B")


class BlockPool:
    """Blocks of one size, used again when their reader gives them back; at most `capacity_bytes`.

    They lie next to each other in pages of 2 MiB, where the system has them to give: whoever passes
    over a block needs one or two entries of the TLB for it, not 260.  They begin on a page
    boundary.  The kernel copies into a file from memory that lies as the file's pages do in 147 us
    per MiB, else in 176 (Zen 4, Linux 6.18, ext4, 2026-11).

    A block that is not given back, because its reader was cancelled while a thread hashes what it
    had read, is another's only when no view of it is left.  It may end in any thread; all else
    belongs to one.
    """

    __slots__ = (
        "_block_type",
        "_count",
        "_empty",
        "_first_address",
        "_first_offset",
        "_free",
        "_keep_count",
        "_least_free",
        "_lost",
        "_mapping",
        "_page_users",
        "_stride_bytes",
        "_unused",
        "_watches",
        "block_bytes",
    )

    def __init__(self, block_bytes: int, capacity_bytes: int, keep_count: int = KEEP_COUNT) -> None:
        self.block_bytes = block_bytes
        self._keep_count = keep_count
        self._block_type = ctypes.c_ubyte * block_bytes
        self._stride_bytes = -(-block_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._count = capacity_bytes // self._stride_bytes
        self._mapping: mmap.mmap | None = None
        self._first_address = 0
        self._first_offset = 0
        # Blocks to be used again, the last one given is the first to go: it may be in a cache.
        self._free: list[Part] = []
        # As few as there were since the last sweep.
        self._least_free = 0
        # Places without a block: a heap of those that had one, and the first that never had.
        self._empty: list[int] = []
        self._unused = 0
        # By place, what tells of the end of a block; and the places of blocks that ended by themselves.
        self._watches: dict[int, weakref.ref[Part]] = {}
        self._lost: deque[int] = deque()
        # How many blocks there are in each page.
        self._page_users: dict[int, int] = {}

    @property
    def free_count(self) -> int:
        """How many blocks are kept for later."""
        return len(self._free)

    def size_for(self, needed_bytes: int) -> int:
        """Return the size of block to use: a whole one also where half of it would do.

        Fresh memory costs more than what is left unused of a block that is there.
        """
        return self.block_bytes if needed_bytes * 2 > self.block_bytes else needed_bytes

    def take(self, size_bytes: int) -> memoryview:
        """Return a block of exactly this size; its content is unspecified.

        One of another size than the pool's has memory of its own, and so has one past the capacity.
        """
        if size_bytes == self.block_bytes:
            free = self._free
            part = free.pop() if free else self._carve()
            if len(free) < self._least_free:
                self._least_free = len(free)
            if part is not None:
                return memoryview(part).cast("B")
        return memoryview(bytearray(size_bytes))

    def give(self, view: memoryview) -> int:
        """Release the view of a block that nobody looks at any more; return the size of the block.

        It is kept for later if it is one of the pool's.  0: there is no block behind the view.
        """
        block = view.obj
        view.release()
        if isinstance(block, ctypes.Array):
            self._free.append(block)
            if self._lost or len(self._free) > self._keep_count:
                self._shrink(self._keep_count)
            return self.block_bytes
        return len(block) if isinstance(block, bytearray) else 0

    def sweep(self) -> None:
        """Keep no more blocks than were wanted since the last sweep."""
        if self._least_free or self._lost:
            self._shrink(len(self._free) - self._least_free)
        self._least_free = len(self._free)

    def clear(self) -> None:
        """Keep no block: memory is short."""
        self._shrink(0)

    def _carve(self) -> Part | None:
        """Make a block in the lowest place that is empty; None without one."""
        self._note_lost()
        mapping = self._map() if self._mapping is None else self._mapping
        if mapping is None:
            return None
        if self._empty:
            place = heappop(self._empty)
        elif self._unused < self._count:
            place = self._unused
            self._unused += 1
        else:
            return None
        part = self._block_type.from_buffer(mapping, self._first_offset + place * self._stride_bytes)
        lost = self._lost
        self._watches[place] = weakref.ref(part, lambda _: lost.append(place))
        for page in self._pages(place):
            self._page_users[page] = self._page_users.get(page, 0) + 1
        return part

    def _shrink(self, keep_count: int) -> None:
        """Keep so many free blocks at most, those in the lowest places: they share pages."""
        self._note_lost()
        excess = len(self._free) - keep_count
        if excess > 0:
            ordered = sorted(self._free, key=ctypes.addressof, reverse=True)
            self._free = ordered[excess:]
            for part in ordered[:excess]:
                place = (ctypes.addressof(part) - self._first_address) // self._stride_bytes
                del self._watches[place]
                self._leave(place)
        self._least_free = min(self._least_free, len(self._free))

    def _note_lost(self) -> None:
        while self._lost:
            place = self._lost.popleft()
            del self._watches[place]
            self._leave(place)

    def _leave(self, place: int) -> None:
        """Have no block there; memory that no block has a part in goes back to the system."""
        heappush(self._empty, place)
        for page in self._pages(place):
            self._page_users[page] -= 1
            if not self._page_users[page] and self._mapping is not None:
                advice = mmap.MADV_DONTNEED if sys.platform == "linux" else mmap.MADV_FREE
                self._mapping.madvise(advice, self._first_offset + page * HUGE_PAGE_BYTES, HUGE_PAGE_BYTES)

    def _pages(self, place: int) -> range:
        """Return the pages that a block there has a part in."""
        start = place * self._stride_bytes
        return range(start // HUGE_PAGE_BYTES, (start + self.block_bytes - 1) // HUGE_PAGE_BYTES + 1)

    def _map(self) -> mmap.mmap | None:
        """Map room for all blocks, which takes no memory yet; None where the system refuses."""
        room_bytes = -(-self._count * self._stride_bytes // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES
        try:
            # One page more than needed: before 6.7, Linux has a mapping begin anywhere.
            mapping = mmap.mmap(-1, room_bytes + HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError:
            # Address space is limited (ulimit -v).  Blocks find memory one by one, while there is any.
            self._count = 0
            return None
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        self._first_offset = -address % HUGE_PAGE_BYTES
        self._first_address = address + self._first_offset
        if sys.platform == "linux":
            # Refused by a kernel built without huge pages: small ones do.
            with suppress(OSError):
                mapping.madvise(mmap.MADV_HUGEPAGE)
        self._mapping = mapping
        return mapping

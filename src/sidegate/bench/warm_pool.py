"""Free memory that stays warm: what servers write to while uploads are measured.

A virtual machine may report its free memory to the host, which takes it back: in
blocks of 2 MiB, a few seconds after they became free.  The next write to such a
block waits until the host provides it again, 2.2 to 3 CPU-s per GB instead of 0.2,
charged to whoever writes (Zen 4, Firecracker, Linux 6.18, 2026-11).  A block with
one page in use is not free, and what is left of it is what the kernel gives first
to whoever wants less than a block: page cache, and small memory.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final

BLOCK_BYTES: Final = 2 << 20
"""What is reported at least: order 9 of pages of 4 KiB (page_reporting_order, mm/page_reporting.c)."""

LARGEST_BYTES: Final = BLOCK_BYTES // 2
"""What is wanted at once at most, of which a block with one page in use holds one piece."""

_SPLIT_ROUNDS: Final = 8
"""How much of what is in pieces already is written to, in rounds: 3 to 4 GiB were there in whole runs."""

_WRITTEN_AT_ONCE: Final = bytes(1 << 20)
_SPARED_BYTES: Final = 512 << 20
"""Left free whatever is wanted, so that nothing of the page cache has to go."""


class WarmPool:
    """Pieces of free memory that the host has provided and does not take back."""

    def __init__(self, size_bytes: int) -> None:
        """`size_bytes` is what one round writes at most; nothing is taken before `refill`."""
        self._size_bytes = size_bytes
        self._held: list[mmap.mmap] = []

    def __enter__(self) -> WarmPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back what keeps the pieces from becoming whole blocks."""
        while self._held:
            self._held.pop().close()

    def refill(self) -> None:
        """Have pieces of any size for a round at hand, where less is left than that.

        The smaller the piece the sooner it is taken, so what is in pieces already is
        written to first: it may be what is left of a block that the host took.
        """
        pieces = free_pieces()
        largest = pieces.get(LARGEST_BYTES, 0)
        if self._held and (not pieces or largest >= self._size_bytes):
            return
        split = min(sum(pieces.values()), _SPLIT_ROUNDS * self._size_bytes, _most_bytes())
        more = min(2 * max(0, 2 * self._size_bytes - largest), max(0, _most_bytes() - split))
        self._take(_whole_blocks(split), _whole_blocks(more))

    def _take(self, split_bytes: int, more_bytes: int) -> None:
        """Write to free memory page by page; of what lay beyond pieces, a page of each block stays."""
        # Both at once, or what is already in pieces would be taken again.
        with _pages(split_bytes) as split:
            held = _pages(more_bytes)
            self._held.append(held)
            for memory, size in ((split, split_bytes), (held, more_bytes)):
                for _ in range(size // len(_WRITTEN_AT_ONCE)):
                    memory.write(_WRITTEN_AT_ONCE)
        for start in range(0, more_bytes, BLOCK_BYTES):
            held.madvise(mmap.MADV_DONTNEED, start + mmap.PAGESIZE, BLOCK_BYTES - mmap.PAGESIZE)


def free_pieces(text: str | None = None) -> dict[int, int]:
    """Return how many bytes are free in pieces of each size below a block, where memory is taken first.

    Nothing where the kernel does not tell (/proc/buddyinfo, or the same as `text`).
    """
    if text is None:
        try:
            text = Path("/proc/buddyinfo").read_text()
        except OSError:
            return {}
    home = f"Node {_node()}"
    zones = [line.partition(", zone") for line in text.splitlines()]
    counts = [[int(word) for word in rest.split()[1:]] for node, _, rest in zones if node == home]
    # The last zone has the highest addresses and is asked first; one may be empty.
    first = next((zone for zone in reversed(counts) if any(zone)), [])
    sizes = [mmap.PAGESIZE << order for order in range(len(first))]
    return {size: size * count for size, count in zip(sizes, first, strict=True) if size < BLOCK_BYTES}


def _node() -> int:
    """Return the node of memory that is nearest to where this process runs."""
    core = min(os.sched_getaffinity(0))
    nodes = Path(f"/sys/devices/system/cpu/cpu{core}").glob("node[0-9]*")
    return min((int(path.name.removeprefix("node")) for path in nodes), default=0)


def _most_bytes() -> int:
    """Return how much may be taken for a moment, so that nobody else loses any: half of what is free."""
    free = _memory().get("MemFree", 0)
    return max(0, min(free // 2, free - _SPARED_BYTES, _limit_bytes() // 4))


def _limit_bytes() -> int:
    """Return the least limit of memory of the control groups that this process is in."""
    limits = [1 << 62]
    with suppress(OSError):
        group = Path("/proc/self/cgroup").read_text().rpartition("0::/")[2].strip()
        place = Path("/sys/fs/cgroup", group)
        for folder in (place, *place.parents[: len(Path(group).parts)]):
            with suppress(OSError, ValueError):  # the outermost has no limit, others may say "max"
                limits.append(int(folder.joinpath("memory.max").read_text()))
    return min(limits)


def _memory() -> Mapping[str, int]:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return {}
    words = [line.split() for line in lines]
    return {name.rstrip(":"): int(value) << 10 for name, value, *_ in words}


def _whole_blocks(size_bytes: int) -> int:
    return size_bytes // BLOCK_BYTES * BLOCK_BYTES


def _pages(size_bytes: int) -> mmap.mmap:
    """Return memory that is taken page by page as it is written to."""
    memory = mmap.mmap(-1, max(size_bytes, BLOCK_BYTES), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without huge pages
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return memory

"""The memory that a round writes to: what the round before took is given back first.

On a virtual machine the first write to a page waits until the host provides it: 1.4 to 2.3
CPU-s per GB against 0.2 afterwards, charged to whoever writes (Zen 4, Firecracker, 2026-11).
A store that keeps what was replaced takes new memory for each round, one that replaces files
gets theirs again: without this the table would compare that.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

DROPPED_BYTES: Final = 1 << 20
"""Smaller files stay in the page cache: there may be tens of thousands, and they take little."""

_INDEX_ENDINGS: Final = (".db", "-wal", "-shm", ".sqlite")
"""Of files that a server keeps in use, whatever it stores: without their pages it would read them again."""

_BLOCK: Final = bytes(1 << 20)


def write_back() -> None:
    """Have all that was written reach the disk, or that would happen in the round that comes."""
    os.sync()


def drop_written(stored: Path, since_seconds: float) -> None:
    """Take what was stored since then out of the page cache; a database of the server's stays.

    `stored` is a file, or a folder with all below it.  What was not written back stays.
    """
    for path in _files(stored):
        if path.name.endswith(_INDEX_ENDINGS):
            continue
        with suppress(FileNotFoundError):  # a server may remove files meanwhile
            status = path.stat()
            if status.st_size >= DROPPED_BYTES and status.st_mtime >= since_seconds:
                _drop(path)


def warm_memory(directory: Path, size_bytes: int) -> None:
    """Have the host provide twice as much memory, in blocks of all sizes; nothing of it stays in use.

    Single pages take what is left over of blocks that were given back to the host, which are the
    first that a server's writes of odd sizes get; a file written in large pieces takes whole blocks.
    """
    path = directory / "warming.bin"
    with _single_pages(size_bytes):
        try:
            with path.open("wb", buffering=0) as file:
                for _ in range(-(-size_bytes // len(_BLOCK))):
                    file.write(_BLOCK)
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _single_pages(size_bytes: int) -> Iterator[None]:
    """Hold as much memory, page by page."""
    with mmap.mmap(-1, max(size_bytes, len(_BLOCK))) as memory:
        with suppress(AttributeError, OSError):  # elsewhere than on Linux; a kernel without huge pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        for _ in range(size_bytes // len(_BLOCK)):
            memory.write(_BLOCK)
        yield


def _files(stored: Path) -> Iterator[Path]:
    if stored.is_file():
        yield stored
        return
    for folder, _, names in os.walk(stored):
        for name in names:
            yield Path(folder, name)


def _drop(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)

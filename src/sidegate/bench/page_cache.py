"""What a round of uploads left in memory: written back, and given back.

A store that keeps what was replaced takes new memory for each round, one that replaces
files gets theirs again: without this the table would compare that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

DROPPED_BYTES: Final = 1 << 20
"""Smaller files stay in the page cache: there may be tens of thousands, and they take little."""

_INDEX_ENDINGS: Final = (".db", "-wal", "-shm", ".sqlite")
"""Of files that a server keeps in use, whatever it stores: without their pages it would read them again."""


def write_back() -> None:
    """Have all that was written reach the disk, or that would happen in the round that comes."""
    os.sync()


def drop_written(stored: Path, since_seconds: float) -> None:
    """Take what was stored since then out of the page cache; a database of the server's stays.

    `stored` is a file, or a folder with all below it.  What was not written back stays, and so may
    single pages that the journal of the file system holds at that moment.
    """
    for path in _files(stored):
        if path.name.endswith(_INDEX_ENDINGS):
            continue
        with suppress(FileNotFoundError):  # a server may remove files meanwhile
            status = path.stat()
            if status.st_size >= DROPPED_BYTES and status.st_mtime >= since_seconds:
                _drop(path)


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

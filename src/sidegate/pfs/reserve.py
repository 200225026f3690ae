"""Room kept for the day the disk is full: what looking into a store and collecting its garbage need.

To open a catalog, even for reading, SQLite makes a file of 32 KiB for its index of the log; to give back
space, rows must be written first.  On a disk without a free block a store could therefore neither be
read nor made smaller.  So a file takes up some room while there is some, and lends it out in
small pieces: what it lent is there for whoever is first, which may be a writer.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

RESERVE_BYTES: Final = 4 << 20
"""A collection writes the rows that it changes twice, to the log and to the catalog."""

OPENING_BYTES: Final = 64 << 10
COLLECTION_BYTES: Final = 1 << 20


class Reserve:
    """The room kept for one store; nothing is in the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self) -> None:
        """Take the room again as far as the disk has it: all of it, or what there was."""
        # Nothing was asked for, so what does not work here is no failure of anything.
        with suppress(OSError):
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                _fill(fd)
            finally:
                os.close(fd)

    def lend(self, size_bytes: int) -> bool:
        """Give some room back to the disk; False when there is none left.  Raises OSError."""
        with suppress(FileNotFoundError):
            kept_bytes = self.path.stat().st_size
            os.truncate(self.path, max(kept_bytes - size_bytes, 0))
            return kept_bytes > 0
        return False


def _fill(fd: int) -> None:
    kept_bytes = os.fstat(fd).st_size
    if kept_bytes >= RESERVE_BYTES:
        return
    try:
        os.posix_fallocate(fd, 0, RESERVE_BYTES)
    except OSError:
        os.ftruncate(fd, kept_bytes)
        raise

"""Counts that the processes of one server share: a few pages of common memory.

Each row belongs to one process, which alone writes it, so nothing is locked: a
cell is eight aligned bytes, and a reader sees it before or after, never between.
"""

from __future__ import annotations

import mmap
import os
import tempfile

_CELL_BYTES = 8


class Tally:
    """Rows of counts in memory that goes by a descriptor; close it."""

    def __init__(self, fd: int, rows: int, columns: int) -> None:
        """Map what `create` made, in this process or the one that handed `fd` on."""
        self.fd = fd
        self._columns = columns
        cells = memoryview(mmap.mmap(fd, rows * columns * _CELL_BYTES)).cast("Q")
        self.rows = [cells[row * columns : (row + 1) * columns] for row in range(rows)]

    @classmethod
    def create(cls, rows: int, columns: int) -> Tally:
        """Make a tally whose counts are all 0."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("sidegate-tally", os.MFD_CLOEXEC)
        else:  # macOS
            fd, path = tempfile.mkstemp()
            os.unlink(path)
        try:
            os.ftruncate(fd, rows * columns * _CELL_BYTES)
            return cls(fd, rows, columns)
        except BaseException:
            os.close(fd)
            raise

    def clear(self, row: int) -> None:
        """Set a row to 0; its process is gone."""
        self.rows[row][:] = memoryview(bytes(self._columns * _CELL_BYTES)).cast("Q")

    def close(self) -> None:
        """Close the descriptor; the memory goes with whoever holds a row last."""
        os.close(self.fd)

"""Word of changes between processes: one page of memory that all over a store share.

Each scope (a staging, a branch, a repo) has a cell, shared by those of the same
hash.  Who has committed a change puts a number there that was never there before,
after others can read the change and before its writer is told.  So a reader that
finds the number it found *before* it last read the catalog knows that nothing
acknowledged is missing from what it read.

A number is not counted up but drawn: two processes that count at the same moment could
write the same one.  A cell is eight aligned bytes, which change at once.
"""

from __future__ import annotations

import itertools
import mmap
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from sidegate.pfs.disk import explained_disk_errors

CELLS = 512
_CELL_BYTES = 8


class Changes:
    """The cells of one store, mapped into this process."""

    def __init__(self, path: Path) -> None:
        """Map the file, making it if need be; what it holds from before means nothing."""
        with explained_disk_errors():
            if not path.exists():
                _make(path)
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                memory = mmap.mmap(fd, CELLS * _CELL_BYTES)
            finally:
                os.close(fd)
        self.cells = memoryview(memory).cast("Q")
        # A range of its own: that two processes draw the same number is as likely as two equal UUIDs.
        self._numbers = itertools.count(secrets.randbits(63))

    @staticmethod
    def cell_of(scope: str) -> int:
        """Return the index of a scope's cell."""
        return crc32(scope.encode()) % CELLS

    def tell(self, scopes: Iterable[str]) -> None:
        """Let every process know that readers of these scopes see something else."""
        for scope in scopes:
            self.cells[self.cell_of(scope)] = next(self._numbers)

    def tell_all(self) -> None:
        """Let every process read everything anew: a writer died and may have told nobody."""
        for index in range(CELLS):
            self.cells[index] = next(self._numbers)


def _make(path: Path) -> None:
    """Make the file whole or not at all, with its blocks: a hole on a full disk would be a SIGBUS."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        draft.write_bytes(bytes(CELLS * _CELL_BYTES))
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)

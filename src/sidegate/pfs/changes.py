"""Word of changes between processes: a piece of memory that all over a store share.

Whatever readers may remember (a file of a branch, a branch, a repo) has a cell, shared by
all of the same hash.  A number in it stands for a state of what it tells of:

* before a commit that changes that, its writer puts an odd number there: unsettled;
* after the commit, and before anybody is told that the write is done, an even one.

No number is ever used twice.  So a reader that remembers what the catalog said, and the even
number that was there *before* it asked, knows as long as it finds that number that nothing
acknowledged is missing.  While it finds an odd one it asks the catalog, also for ever if the
writer was killed in between: that is slow, and never wrong.

Numbers are drawn, not counted up: two processes that count at the same moment could write the
same one.  A cell is eight aligned bytes, which change at once.
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

from sidegate.pfs.catalog.database import PATH_MARK
from sidegate.pfs.disk import explained_disk_errors

SCOPE_CELLS = 512
PATH_CELLS = 1 << 16
"""So many that a write to another file rarely makes anybody look again."""

INDEX_SCOPE = "chunk index"
"""What `note_change` is told by whoever adds chunks to the index; a repo's name has no blank."""

UPLOAD_CELLS = 256
_UPLOAD = "upload "

# From here on cells are of whoever had the last word: it is remembered which words were ours.
_OWNED = SCOPE_CELLS + PATH_CELLS
INDEX_CELL = _OWNED + UPLOAD_CELLS
CELLS = INDEX_CELL + 1
_CELL_BYTES = 8


def upload_scope(upload: str) -> str:
    """Return the scope of the parts of an upload."""
    return f"{_UPLOAD}{upload}"


def is_settled(number: int) -> bool:
    """Whether nobody is about to commit."""
    return number & 1 == 0


class Changes:
    """The cells of one store, mapped into this process."""

    def __init__(self, path: Path) -> None:
        """Map the file, making it if need be; what it holds from before means nothing."""
        with explained_disk_errors():
            _ensure(path)
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                memory = mmap.mmap(fd, CELLS * _CELL_BYTES)
            finally:
                os.close(fd)
        self.cells = memoryview(memory).cast("Q")
        # A range of its own: that two processes draw the same number is as likely as two equal UUIDs.
        self._numbers = itertools.count(secrets.randbits(62) << 1, 2)
        self._announced: dict[int, int] = {}
        self._own_numbers = [0] * (CELLS - _OWNED)
        self._turns = [0] * (CELLS - _OWNED)

    @staticmethod
    def cell_of(scope: str) -> int:
        """Return the index of a scope's cell; see `note_change` for what is a scope."""
        if scope == INDEX_SCOPE:
            return INDEX_CELL
        number = crc32(scope.encode())
        if PATH_MARK in scope:
            return SCOPE_CELLS + number % PATH_CELLS
        return _OWNED + number % UPLOAD_CELLS if scope.startswith(_UPLOAD) else number % SCOPE_CELLS

    def announce(self, scopes: Iterable[str]) -> None:
        """Let nobody believe what is known of these scopes: they are about to change.

        Called within the write transaction, so one at a time.
        """
        for cell in {self.cell_of(scope) for scope in scopes}:
            self._announced[cell] = self._put(cell, self._draw() | 1)

    def tell(self, scopes: Iterable[str]) -> None:
        """Let every process know that readers of these scopes may see something else."""
        for cell in {self.cell_of(scope) for scope in scopes}:
            found = self.cells[cell]
            announced = self._announced.pop(cell, None)
            # Another one that is about to commit will settle it.
            if found == announced or (is_settled(found) and cell < _OWNED):
                self._put(cell, self._draw())

    def tell_all(self) -> None:
        """Let every process look again, and settle what a killed writer left unsettled."""
        for cell in range(CELLS):
            self.cells[cell] = self._draw()

    def index_is_ours(self) -> bool:
        """Whether no other process has begun to add to the chunk index since this one did."""
        return self._is_ours(INDEX_CELL)

    def take_turn(self, scope: str) -> int:
        """Return the turn in which this process changes an upload.

        It is another one when another process has begun to change it since this one last did.
        Called within the write transaction that has noted the change.
        """
        cell = self.cell_of(scope)
        if not self._is_ours(cell):
            self._turns[cell - _OWNED] += 1
        return self._turns[cell - _OWNED]

    def is_turn(self, scope: str, turn: int) -> bool:
        """Whether it is that turn still: no other process has begun to change the upload."""
        cell = self.cell_of(scope)
        return self._is_ours(cell) and self._turns[cell - _OWNED] == turn

    def _is_ours(self, cell: int) -> bool:
        return self.cells[cell] == self._own_numbers[cell - _OWNED] != 0

    def _put(self, cell: int, number: int) -> int:
        self.cells[cell] = number
        if cell >= _OWNED:
            self._own_numbers[cell - _OWNED] = number
        return number

    def _draw(self) -> int:
        return next(self._numbers) & (2**64 - 1)


def _ensure(path: Path) -> None:
    """Make the file whole or not at all, with its blocks: a hole on a full disk would be a SIGBUS.

    One that is too short, of another release or cut off, is replaced.
    """
    size_bytes = CELLS * _CELL_BYTES
    with suppress(FileNotFoundError):
        if path.stat().st_size >= size_bytes:
            return
        path.unlink()
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        draft.write_bytes(bytes(size_bytes))
        with suppress(FileExistsError):  # another process was first
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)

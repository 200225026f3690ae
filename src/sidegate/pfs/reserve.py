"""Room kept for the day the disk is full: what looking into a store and collecting its garbage need.

To open a catalog, even for reading, SQLite makes a file of 32 KiB for its index of the log; to give back
space, rows must be written first.  On a disk without a free block a store could therefore neither be
read nor made smaller.  So a file takes up some room while there is some, and lends it out in
small pieces: what it lent is there for whoever is first, which may be a writer.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from sidegate.pfs.disk import find_room

RESERVE_BYTES: Final = 8 << 20
"""A collection writes the rows that it changes twice, to the log and to the catalog."""

OPENING_BYTES: Final = 64 << 10
COLLECTION_BYTES: Final = 1 << 20
REMOVAL_BYTES: Final = 256 << 10

LEFT_BY_REMOVALS_BYTES: Final = 4 << 20
"""Removals make rows, and others may take what they are lent: opening and collecting, which end
that, must still be possible when removals have used up their part."""

_LEAST_BYTES: Final = 4096  # a block
_LOOK_EVERY = 16  # commits


class Reserve:
    """The room kept for one store; nothing is in the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self) -> None:
        """Take the room again as far as the disk has it."""
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

    @property
    def kept_bytes(self) -> int:
        """How much room is kept now.  Raises OSError."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0


class RemovalRoom:
    """What removals are lent, and the return of what is missing; used by one thread at a time.

    A store that is open for long takes room back whenever there is some, whoever has made it.
    """

    def __init__(self, reserve: Reserve) -> None:
        self._reserve = reserve
        self._commits_to_look: int | None = _LOOK_EVERY if self._is_short() else None

    def _is_short(self) -> bool:
        return self._reserve.kept_bytes < RESERVE_BYTES

    def lend(self, size_bytes: int = REMOVAL_BYTES) -> bool:
        """Give so much to the disk; False when there is less, or it is for others.  Raises OSError."""
        if self._reserve.kept_bytes - size_bytes < LEFT_BY_REMOVALS_BYTES:
            return False
        return self._reserve.lend(size_bytes)

    def take_back(self) -> None:
        """Take again what the disk has; what is missing is looked for after later commits."""
        self._reserve.keep()
        self._commits_to_look = _LOOK_EVERY if self._is_short() else None

    def after_commit(self) -> None:
        """Look for what is missing after every few commits."""
        if self._commits_to_look is None:
            return
        self._commits_to_look -= 1
        if self._commits_to_look <= 0:
            self.take_back()


def _fill(fd: int) -> None:
    """Make the file longer, by pieces where not all fits: half of what was tried before."""
    kept_bytes = os.fstat(fd).st_size
    piece_bytes = RESERVE_BYTES - kept_bytes
    while piece_bytes >= _LEAST_BYTES:
        try:
            find_room(fd, kept_bytes, piece_bytes)
        except OSError as error:
            os.ftruncate(fd, kept_bytes)  # what was found before the disk was full
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            piece_bytes = piece_bytes // 2 // _LEAST_BYTES * _LEAST_BYTES
        else:
            kept_bytes += piece_bytes
            piece_bytes = min(piece_bytes, RESERVE_BYTES - kept_bytes)

"""How far SQLite's write-ahead log has come, read from its file.

SQLite tells nobody but its own hook, which Python does not offer, and `PRAGMA wal_checkpoint`
tells when it has done the work.  https://www.sqlite.org/fileformat2.html#walformat: a header of
32 bytes with the page's size and two numbers, the salts, then frames of 24 bytes and a page, each
with the salts of the log it belongs to.  A log that begins anew, over what is there, has others.
"""

from __future__ import annotations

import os
from pathlib import Path

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_PAGE_SIZE = slice(8, 12)
_SALTS = slice(16, 24)
_FRAME_SALTS_OFFSET = 8


class WriteAheadLog:
    """The log of one catalog; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def salts(self) -> bytes:
        """Return what tells this log from the ones before it, nothing where there is none."""
        return self._header()[_SALTS]

    def reaches(self, frame_count: int) -> bool:
        """Whether there are so many frames."""
        header = self._header()
        if len(header) < _HEADER_BYTES or self._fd is None:
            return False
        frame_bytes = _FRAME_HEADER_BYTES + int.from_bytes(header[_PAGE_SIZE], "big")
        offset = _HEADER_BYTES + (frame_count - 1) * frame_bytes + _FRAME_SALTS_OFFSET
        salts = header[_SALTS]
        return os.pread(self._fd, len(salts), offset) == salts

    def _header(self) -> bytes:
        if self._fd is None:
            try:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return b""
        return os.pread(self._fd, _HEADER_BYTES, 0)

    def close(self) -> None:
        """Let go of the file; it is opened again when asked for.

        Unlike the catalog's other files it has no locks that closing it would take away.
        """
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

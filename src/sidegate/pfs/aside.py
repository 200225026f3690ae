"""Bytes put aside on disk while memory is short, and taken back."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sidegate.errors import Unavailable
from sidegate.pfs.disk import explained_disk_errors
from sidegate.pfs.ids import Buffer


class Aside:
    """A file without a name: it is gone with the process, whatever happens."""

    def __init__(self, directory: Path) -> None:
        """Raises StorageFull, Denied."""
        with explained_disk_errors():
            self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - closed by `close`
        self._size_bytes = 0

    def append(self, pieces: Sequence[Buffer]) -> None:
        """Put bytes aside, behind those that are there already; raises StorageFull, Denied."""
        with explained_disk_errors():
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    count = os.pwrite(self._file.fileno(), view, self._size_bytes)
                    self._size_bytes += count
                    view = view[count:]

    def take(self) -> list[Buffer]:
        """Return what was put aside, mapped and not copied, and forget it.

        Good until the next call of `append`.  Raises Unavailable when it is gone.
        """
        size_bytes, self._size_bytes = self._size_bytes, 0
        if not size_bytes:
            return []
        found_bytes = os.fstat(self._file.fileno()).st_size
        if found_bytes < size_bytes:
            raise Unavailable(
                f"{found_bytes} of {size_bytes} bytes put aside on disk can be read", remedy="write it again"
            )
        return [memoryview(mmap.mmap(self._file.fileno(), size_bytes, access=mmap.ACCESS_READ))]

    def close(self) -> None:
        """Forget everything; safe to call twice."""
        self._file.close()

"""Packs that are open for reading, and places in them.

Knows nothing of what is written or in the index.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from sidegate.pfs.compression import RAW
from sidegate.pfs.pack_files import pack_path
from sidegate.pfs.packs import PackFile

OPEN_PACKS = 128
"""Packs kept open for reading; their descriptors close when unused."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a chunk's payload lies."""

    pack: PackFile
    offset: int
    stored_bytes: int
    plain_bytes: int
    encoding: int

    @property
    def raw(self) -> bool:
        """Whether the payload is the plain bytes."""
        return self.encoding == RAW


class OpenPacks:
    """The packs that were read from last; safe to use from several threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._open: OrderedDict[str, PackFile] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, name: str) -> PackFile:
        """Return a pack, opened for reading; raises PackMissing."""
        with self._lock:
            pack = self._open.get(name)
            if pack is None:
                pack = self._open[name] = PackFile.open(pack_path(self._directory, name))
                if len(self._open) > OPEN_PACKS:
                    self._open.popitem(last=False)
            else:
                self._open.move_to_end(name)
            return pack

    def close(self, name: str) -> None:
        """Stop reading from a pack that is about to be removed."""
        with self._lock:
            self._open.pop(name, None)

    def clear(self) -> None:
        """Stop reading from all."""
        with self._lock:
            self._open.clear()

"""Plain chunks kept in memory, for ranges of what is compressed on disk."""

from __future__ import annotations

import threading
from collections import OrderedDict

from sidegate.pfs.ids import ChunkId


class PlainCache:
    """Least-recently-used plain chunks, bounded in bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._entries: OrderedDict[ChunkId, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, chunk: ChunkId) -> bytes | None:
        """Return a chunk's plain bytes, or None."""
        with self._lock:
            plain = self._entries.get(chunk)
            if plain is not None:
                self._entries.move_to_end(chunk)
            return plain

    def put(self, chunk: ChunkId, plain: bytes) -> None:
        """Keep a chunk's plain bytes for as long as there is room."""
        with self._lock:
            if chunk in self._entries:
                return
            self._entries[chunk] = plain
            self._bytes += len(plain)
            while self._bytes > self._limit_bytes:
                self._bytes -= len(self._entries.popitem(last=False)[1])

"""Resolved objects: what a GET of a committed object needs, kept in memory.

Keyed by tree and key, never by the raw request.  Only immutable trees are
cached, so nothing ever goes stale.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

from sidegate.gateway.objects import describe
from sidegate.pfs.files import FileRecord
from sidegate.pfs.ids import NodeId
from sidegate.pfs.layout import Layout
from sidegate.pfs.store import Store
from sidegate.s3.objects import ObjectDescription

CACHE_BYTES = 32 << 20
_ENTRY_BYTES = 1200


@dataclass(frozen=True, slots=True)
class ResolvedObject:
    """A file with its description and, unless it is very long, its layout."""

    record: FileRecord
    description: ObjectDescription
    layout: Layout | None

    @property
    def memory_bytes(self) -> int:
        """About how much memory the entry holds."""
        layout_bytes = self.layout.memory_bytes if self.layout is not None else 0
        return _ENTRY_BYTES + layout_bytes


def resolve(store: Store, record: FileRecord) -> ResolvedObject:
    """Look up all that reading a file needs."""
    return ResolvedObject(record, describe(record), store.layout(record))


class ResolvedCache:
    """Least-recently-used resolved objects, bounded in bytes."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._objects: OrderedDict[tuple[NodeId, str], ResolvedObject] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, root: NodeId, key: str) -> ResolvedObject | None:
        """Return a resolved object, or None when it is not in memory.

        Takes no lock: each step is atomic, and an entry that goes meanwhile was
        the oldest anyway.
        """
        found = self._objects.get((root, key))
        if found is not None:
            with suppress(KeyError):
                self._objects.move_to_end((root, key))
        return found

    def put(self, root: NodeId, key: str, resolved: ResolvedObject) -> None:
        """Keep an object."""
        with self._lock:
            if (root, key) in self._objects:
                return
            self._objects[(root, key)] = resolved
            self._bytes += resolved.memory_bytes
            while self._bytes > self._limit_bytes and len(self._objects) > 1:
                self._bytes -= self._objects.popitem(last=False)[1].memory_bytes

"""Resolved objects: what a GET of a committed object needs, kept in memory.

Keyed by tree and key, never by the raw request.  Only immutable trees are
cached, so nothing ever goes stale.
"""

from __future__ import annotations

import threading
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
    """Resolved objects that were asked for lately, bounded in bytes.

    Two generations of half the bound each: when the young one is full it
    becomes the old one, and what was in the old one and was not asked for
    meanwhile is gone.  So a hit costs one look-up and moves nothing.
    """

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._generation_bytes = limit_bytes // 2
        self._young: dict[tuple[NodeId, str], ResolvedObject] = {}
        self._old: dict[tuple[NodeId, str], ResolvedObject] = {}
        self._young_bytes = 0
        self._lock = threading.Lock()

    def get(self, root: NodeId, key: str) -> ResolvedObject | None:
        """Return a resolved object, or None when it is not in memory."""
        found = self._young.get((root, key))
        if found is None:
            found = self._old.get((root, key))
            if found is not None:
                self.put(root, key, found)
        return found

    def put(self, root: NodeId, key: str, resolved: ResolvedObject) -> None:
        """Keep an object; safe to call from any thread."""
        with self._lock:
            if (root, key) in self._young:
                return
            self._young[(root, key)] = resolved
            self._young_bytes += resolved.memory_bytes
            if self._young_bytes > self._generation_bytes:
                self._old, self._young, self._young_bytes = self._young, {}, 0

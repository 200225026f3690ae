"""Index trees: a commit's sorted map from path to file record.

Reading and seeking in a prolly tree, given its root.  `tree_edit` makes new
trees out of old ones.  Nodes are immutable, so they are cached by id.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from sidegate.native import FileHeads, IndexNode, PageScan, TreeCursor
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.files import FileRecord, decode_record, decode_size
from sidegate.pfs.ids import ChunkId, NodeId
from sidegate.pfs.nodes import Entry, child_id_at, decode_child

NODE_CACHE_BYTES = 24 << 20

HEADS_CACHE_BYTES = 48 << 20
"""What listings say of a million files; whole leaves would take five times as much."""

_Kept = TypeVar("_Kept", IndexNode, FileHeads)


class _Cache(Generic[_Kept]):
    """What is known by node id, bounded in bytes; what was used lately gets a second chance.

    A hit is one look-up and takes no lock: readers mark what they pass (`used`),
    and only what comes in makes others go, in the order they came.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        # Ordered, because a plain dictionary looks through its gaps for the oldest.
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self.peek: Callable[[bytes], _Kept | None] = self._kept.get

    def put(self, node_id: bytes, one: _Kept) -> None:
        """Keep one, and let the oldest go until all fits; the newest stays."""
        with self._lock:
            if node_id in self._kept:
                return
            self._kept[node_id] = one
            self._bytes += one.memory_bytes
            while self._bytes > self._limit_bytes and len(self._kept) > 1:
                oldest, other = self._kept.popitem(last=False)
                if other.used or other is one:
                    other.used = False
                    self._kept[oldest] = other
                else:
                    self._bytes -= other.memory_bytes


class NodeCache:
    """Nodes by id, and of leaves that were listed what a listing says."""

    def __init__(
        self,
        chunks: ChunkStore,
        limit_bytes: int = NODE_CACHE_BYTES,
        read: Callable[[ChunkId], bytes] | None = None,
    ) -> None:
        """`read` returns a chunk that was verified, from `chunks` unless given."""
        self.chunks = chunks
        self._read = read or chunks.get
        self._nodes: _Cache[IndexNode] = _Cache(limit_bytes)
        self._heads: _Cache[FileHeads] = _Cache(HEADS_CACHE_BYTES)
        self.peek = self._nodes.peek
        """Return a node that is in memory, without I/O, else None."""
        self.peek_heads = self._heads.peek
        """Return the heads of a leaf's files that are in memory, without I/O, else None."""

    def get(self, node_id: bytes) -> IndexNode:
        """Return a node; raises Corrupt when it is lost or damaged."""
        node = self.peek(node_id)
        if node is None:
            node = IndexNode(self._read(ChunkId(node_id)))
            self._nodes.put(node_id, node)
        else:
            node.used = True
        return node

    def get_heads(self, node_id: bytes) -> FileHeads:
        """Return the heads of a leaf's files; raises Corrupt when it is lost or damaged."""
        heads = self.peek_heads(node_id)
        if heads is None:
            leaf = self.peek(node_id)
            heads = FileHeads(leaf if leaf is not None else IndexNode(self._read(ChunkId(node_id))))
            self._heads.put(node_id, heads)
        return heads


class Tree:
    """One immutable tree: paths in UTF-8 byte order, each with its record."""

    def __init__(self, cache: NodeCache, root: NodeId) -> None:
        self._cache = cache
        self.root = root

    def get(self, path: str) -> FileRecord | None:
        """Return the record of `path`, or None."""
        data = self.get_encoded(path.encode())
        return decode_record(data) if data is not None else None

    def get_encoded(self, key: bytes) -> bytes | None:
        """Return the encoded record of a path in UTF-8, or None."""
        node = self._cache.get(self.root)
        while True:
            index = node.find(key)
            if index == len(node):
                return None
            if node.level == 0:
                return node.value(index) if node.key(index) == key else None
            node = self._cache.get(child_id_at(node, index))

    def peek(self, path: str) -> tuple[bool, FileRecord | None]:
        """Return (True, record or None) if memory can tell, else (False, None)."""
        key = path.encode()
        node = self._cache.peek(self.root)
        while node is not None:
            index = node.find(key)
            if index == len(node):
                return True, None
            if node.level == 0:
                return True, decode_record(node.value(index)) if node.key(index) == key else None
            node = self._cache.peek(child_id_at(node, index))
        return False, None

    def collect(self, page: PageScan) -> None:
        """Collect a page of the tree's files."""
        page.collect((self.cursor(),))

    def collect_from_memory(self, page: PageScan) -> bool:
        """Collect a page if all of it is in memory, without I/O; return whether it was."""
        cache = self._cache
        return page.collect((TreeCursor(self.root, cache.peek, None, cache.peek_heads),))

    def cursor(self) -> TreeCursor:
        """Return what goes over the tree, for a page."""
        cache = self._cache
        return TreeCursor(self.root, cache.peek, cache.get, cache.peek_heads, cache.get_heads)

    def entries(self, start: bytes = b"") -> Iterator[Entry]:
        """Yield the raw entries with key >= `start`, in order."""
        yield from walk(self._cache, self.root, start)

    def files(self, start: str = "") -> Iterator[tuple[str, FileRecord]]:
        """Yield (path, record) for each path >= `start`, in order."""
        for key, value in self.entries(start.encode()):
            yield key.decode(), decode_record(value)

    def totals(self) -> tuple[int, int]:
        """Return (file count, bytes) of the whole tree."""
        node = self._cache.get(self.root)
        return totals_of(node.level, node.values)


def walk(cache: NodeCache, root: NodeId, start: bytes = b"") -> Iterator[Entry]:
    """Yield the leaf entries under `root` with key >= `start`."""
    node = cache.get(root)
    first = node.find(start)
    if node.level == 0:
        for key, value in zip(node.keys[first:], node.values[first:], strict=True):
            yield Entry(key, value)
        return
    for index in range(first, len(node)):
        yield from walk(cache, child_id_at(node, index), start if index == first else b"")


def totals_of(level: int, values: Sequence[bytes]) -> tuple[int, int]:
    """Return (file count, bytes) below a node of that level, from its values."""
    if level == 0:
        return len(values), sum(map(decode_size, values))
    children = [decode_child(value) for value in values]
    return sum(child.file_count for child in children), sum(child.size_bytes for child in children)

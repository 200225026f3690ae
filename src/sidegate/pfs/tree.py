"""Index trees: a commit's sorted map from path to file record.

Reading and seeking in a prolly tree, given its root.  `tree_edit` makes new
trees out of old ones.  Nodes are immutable, so they are cached by id.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator

from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.files import FileRecord, decode_record, decode_size
from sidegate.pfs.ids import ChunkId, NodeId
from sidegate.pfs.nodes import Child, Entry, Node, decode_node

NODE_CACHE_BYTES = 48 << 20


class NodeCache:
    """Decoded nodes by id, least recently used out first, bounded in bytes."""

    def __init__(self, chunks: ChunkStore, limit_bytes: int = NODE_CACHE_BYTES) -> None:
        self.chunks = chunks
        self._limit_bytes = limit_bytes
        self._nodes: OrderedDict[NodeId, Node] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def peek(self, node_id: NodeId) -> Node | None:
        """Return a node that is in memory, without I/O, else None."""
        return self._nodes.get(node_id)

    def get(self, node_id: NodeId) -> Node:
        """Return a node; raises Corrupt when it is lost or damaged."""
        with self._lock:
            node = self._nodes.get(node_id)
            if node is not None:
                self._nodes.move_to_end(node_id)
                return node
        node = decode_node(self.chunks.get(ChunkId(node_id)))
        with self._lock:
            if node_id not in self._nodes:
                self._nodes[node_id] = node
                self._bytes += node.memory_bytes
                while self._bytes > self._limit_bytes and len(self._nodes) > 1:
                    self._bytes -= self._nodes.popitem(last=False)[1].memory_bytes
        return node


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
            index = bisect_left(node.keys, key)
            if index == len(node.keys):
                return None
            if node.level == 0:
                return node.values[index] if node.keys[index] == key else None
            node = self._cache.get(node.child(index).node)

    def peek(self, path: str) -> tuple[bool, FileRecord | None]:
        """Return (True, record or None) if memory can tell, else (False, None)."""
        key = path.encode()
        node = self._cache.peek(self.root)
        while node is not None:
            index = bisect_left(node.keys, key)
            if index == len(node.keys):
                return True, None
            if node.level == 0:
                return True, decode_record(node.values[index]) if node.keys[index] == key else None
            node = self._cache.peek(node.child(index).node)
        return False, None

    def entries(self, start: bytes = b"") -> Iterator[Entry]:
        """Yield the raw entries with key >= `start`, in order."""
        yield from walk(self._cache, self.root, start)

    def rows(self, start: str = "") -> Iterator[tuple[bytes, bytes]]:
        """Yield (UTF-8 path, encoded record) for each path >= `start`, in order."""
        return self.entries(start.encode())

    def files(self, start: str = "") -> Iterator[tuple[str, FileRecord]]:
        """Yield (path, record) for each path >= `start`, in order."""
        for key, value in self.entries(start.encode()):
            yield key.decode(), decode_record(value)

    def totals(self) -> tuple[int, int]:
        """Return (file count, bytes) of the whole tree."""
        return node_totals(self._cache.get(self.root))


def walk(cache: NodeCache, root: NodeId, start: bytes = b"") -> Iterator[Entry]:
    """Yield the leaf entries under `root` with key >= `start`."""
    node = cache.get(root)
    first = bisect_left(node.keys, start)
    if node.level == 0:
        for index in range(first, len(node.keys)):
            yield Entry(node.keys[index], node.values[index])
        return
    for index in range(first, len(node.keys)):
        yield from walk(cache, node.child(index).node, start if index == first else b"")


def node_totals(node: Node) -> tuple[int, int]:
    """Return (file count, bytes) below a node."""
    if node.level == 0:
        return len(node.keys), sum(map(decode_size, node.values))
    children: list[Child] = [node.child(index) for index in range(len(node.keys))]
    return sum(child.file_count for child in children), sum(child.size_bytes for child in children)

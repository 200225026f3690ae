"""Index nodes in their plainest form: the definition.

A node is sorted (key, value) entries; `ext/index.pyx` must agree.  Nothing here
knows where nodes are kept.
"""

from __future__ import annotations

from bisect import bisect_left

from sidegate.native.index_format import NODE_MAGIC, no_node, torn_node
from sidegate.native.pure.stored_bytes import Reader, Torn


class IndexNode:
    """One node, read once; see `sidegate.native._index`."""

    def __init__(self, data: bytes) -> None:
        if data[:4] != NODE_MAGIC:
            raise no_node()
        self.used = False
        self.keys: list[bytes] = []
        self.values: list[bytes] = []
        reader = Reader(data, 4)
        try:
            (self.level,) = reader.take(1)
            self._read_entries(reader)
        except Torn:
            raise torn_node(reader.offset) from None
        if reader.offset != len(data):
            raise torn_node(reader.offset)
        self.memory_bytes = len(data) + 130 * len(self.keys)

    def _read_entries(self, reader: Reader) -> None:
        previous = b""
        for _ in range(reader.integer()):
            shared = reader.integer()
            if shared > len(previous):
                raise Torn
            previous = previous[:shared] + reader.bytes()
            self.keys.append(previous)
            self.values.append(reader.bytes())

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> bytes:
        if index < 0:
            raise IndexError(index)
        return self.keys[index]

    def value(self, index: int) -> bytes:
        if index < 0:
            raise IndexError(index)
        return self.values[index]

    def find(self, key: bytes) -> int:
        return bisect_left(self.keys, key)

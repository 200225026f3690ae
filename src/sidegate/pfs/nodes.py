"""Index nodes: the bytes of a prolly tree's node and where nodes split.

A node is a chunk holding sorted (key, value) entries; `IndexNode` reads it.  An
entry ends its node with a probability that grows with its size and is decided by
a hash of its key, so the same entries always give the same nodes, in whatever
order they came.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from blake3 import blake3

from sidegate.native import IndexNode
from sidegate.native.index_format import NODE_MAGIC
from sidegate.pfs.encoding import Decoder, encode_integer
from sidegate.pfs.ids import NodeId

MIN_NODE_BYTES = 4 << 10
TARGET_NODE_BYTES = 16 << 10
MAX_NODE_BYTES = 64 << 10

_ENTRY_OVERHEAD_BYTES = 4
_HASH_SPAN = 1 << 32


class Entry(NamedTuple):
    """A key and its value: a file record in a leaf, a child above."""

    key: bytes
    value: bytes


class Child(NamedTuple):
    """What an inner node knows of a child: its id and the sums below it."""

    node: NodeId
    file_count: int
    size_bytes: int


def encode_child(child: Child) -> bytes:
    """Return an inner entry's value."""
    return child.node + encode_integer(child.file_count) + encode_integer(child.size_bytes)


def decode_child(value: bytes) -> Child:
    """Read an inner entry's value."""
    decoder = Decoder(value, 32)
    return Child(NodeId(value[:32]), decoder.integer(), decoder.integer())


def child_at(node: IndexNode, index: int) -> Child:
    """Return the child at `index` of an inner node."""
    return decode_child(node.value(index))


def child_id_at(node: IndexNode, index: int) -> NodeId:
    """Return the id of the child at `index` of an inner node."""
    return NodeId(node.value(index)[:32])


def ends_node(level: int, entry: Entry, node_bytes: int) -> bool:
    """Whether a node of `node_bytes` (this entry included) ends after `entry`.

    Never below the minimum, always from the maximum on; between them with
    probability entry size / (target - minimum), so that a node's size does not
    depend on how large its entries are.
    """
    if node_bytes < MIN_NODE_BYTES:
        return False
    if node_bytes >= MAX_NODE_BYTES:
        return True
    draw = int.from_bytes(blake3(bytes((level,)) + entry.key).digest(length=4), "little")
    return draw * (TARGET_NODE_BYTES - MIN_NODE_BYTES) < entry_bytes(entry) * _HASH_SPAN


def entry_bytes(entry: Entry) -> int:
    """Return an entry's weight towards its node's size, before compression."""
    return len(entry.key) + len(entry.value) + _ENTRY_OVERHEAD_BYTES


def encode_node(level: int, entries: Iterable[Entry], count: int) -> bytes:
    """Return a node's bytes: each key as what it shares with the one before, and the rest."""
    parts = [NODE_MAGIC, bytes((level,)), encode_integer(count)]
    previous = b""
    for key, value in entries:
        shared = _shared_prefix(previous, key)
        rest = key[shared:]
        parts += [encode_integer(shared), encode_integer(len(rest)), rest, encode_integer(len(value)), value]
        previous = key
    return b"".join(parts)


def _shared_prefix(left: bytes, right: bytes) -> int:
    limit = min(len(left), len(right))
    if left[:limit] == right[:limit]:
        return limit
    low = 0
    while limit - low > 1:
        middle = (low + limit) // 2
        low, limit = (middle, limit) if left[:middle] == right[:middle] else (low, middle)
    return low

"""Long extent lists, stored as a shallow tree of nodes beside the index.

A node is a chunk: a level byte, a count, then entries.  Level 0 holds extents;
above it an entry is (child id, bytes below, extents below), so that a range of
a file of any size reads one node per level.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sidegate.errors import Corrupt
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.encoding import Decoder, encode_integer
from sidegate.pfs.extents import Extent, decode_extent, encode_extent, slice_extents, total_bytes
from sidegate.pfs.files import INLINE_EXTENTS, ExtentList
from sidegate.pfs.ids import ChunkId, NodeId

FANOUT = 1024
SPLICED_FROM = 128
"""Lists of fewer extents are not read when they are joined: a part of 64 MiB has about 64."""

_MAGIC = b"SGX1"


_Child = tuple[NodeId, int, int]
"""A node, the bytes and the extents below it.  A plain tuple: an upload has up to 10 000."""


def _encode_node(level: int, entries: Iterable[bytes], count: int) -> bytes:
    return _MAGIC + bytes((level,)) + encode_integer(count) + b"".join(entries)


def _encode_children(children: Sequence[_Child]) -> list[bytes]:
    # Most parts of an upload are of one size, so there are few different numbers.
    numbers = {size for _, size, _ in children} | {count for _, _, count in children}
    encoded = {number: encode_integer(number) for number in numbers}
    return [node + encoded[size] + encoded[count] for node, size, count in children]


def _decode_child(decoder: Decoder) -> _Child:
    return NodeId(decoder.take(32)), decoder.integer(), decoder.integer()


def store_extents(chunks: ChunkStore, extents: tuple[Extent, ...]) -> tuple[Extent, ...] | ExtentList:
    """Return `extents` for a file record: inline when short, else stored."""
    if len(extents) <= INLINE_EXTENTS:
        return extents
    return _store_above(chunks, _store_leaves(chunks, extents))


def _store_leaves(chunks: ChunkStore, extents: tuple[Extent, ...]) -> list[_Child]:
    return [_store_leaf(chunks, extents[i : i + FANOUT]) for i in range(0, len(extents), FANOUT)]


def _store_above(chunks: ChunkStore, children: list[_Child]) -> ExtentList:
    """Store the nodes above children until there is one."""
    level = 0
    while len(children) > 1:
        level += 1
        groups = (children[i : i + FANOUT] for i in range(0, len(children), FANOUT))
        children = [_store_inner(chunks, level, group) for group in groups]
    node, _, extent_count = children[0]
    return ExtentList(node, extent_count)


def _store_leaf(chunks: ChunkStore, extents: tuple[Extent, ...]) -> _Child:
    data = _encode_node(0, map(encode_extent, extents), len(extents))
    return NodeId(chunks.put(data)), total_bytes(extents), len(extents)


def _store_inner(chunks: ChunkStore, level: int, children: list[_Child]) -> _Child:
    data = _encode_node(level, _encode_children(children), len(children))
    size_bytes = sum([size for _, size, _ in children])
    return NodeId(chunks.put(data)), size_bytes, sum([count for _, _, count in children])


def join_lists(
    chunks: ChunkStore, lists: Iterable[tuple[tuple[Extent, ...] | ExtentList, int]]
) -> tuple[Extent, ...] | ExtentList:
    """Return one list of several, each with the bytes it stands for, in order.

    Lists that are stored already become children and are not read, or only their
    first node: what it costs is their number, not their length.
    """
    children: list[_Child] = []
    loose: list[Extent] = []
    for extents, size_bytes in lists:
        if isinstance(extents, ExtentList):
            if loose:
                children += _store_leaves(chunks, tuple(loose))
                loose.clear()
            if extents.count < SPLICED_FROM:
                children.append((extents.node, size_bytes, extents.count))
            else:
                children += _as_children(chunks, extents, size_bytes)
        else:
            loose += extents
    if not children:
        return store_extents(chunks, tuple(loose))
    children += _store_leaves(chunks, tuple(loose))
    return _store_above(chunks, children)


def _as_children(chunks: ChunkStore, extents: ExtentList, size_bytes: int) -> list[_Child]:
    """Return a long stored list as children of another: its own children, if it is no leaf.

    So a file that is appended to by copying it into each new upload does not
    become a tree as deep as it has appendices.
    """
    level, decoder, count = open_node(chunks, extents.node)
    if level > 0:
        return [_decode_child(decoder) for _ in range(count)]
    return [(extents.node, size_bytes, extents.count)]


def slice_list(
    chunks: ChunkStore, extents: tuple[Extent, ...] | ExtentList, offset: int, end: int, size_bytes: int
) -> tuple[Extent, ...] | ExtentList:
    """Return the list of bytes `offset` to `end` of one that stands for `size_bytes`.

    Nodes that lie in it whole are used again, so at most two leaves are read.
    """
    if offset == 0 and end >= size_bytes:
        return extents
    if isinstance(extents, ExtentList):
        return join_lists(chunks, _pieces(chunks, extents.node, offset, end))
    return store_extents(chunks, tuple(slice_extents(extents, offset, end)))


def _pieces(
    chunks: ChunkStore, node: NodeId, offset: int, end: int
) -> Iterator[tuple[tuple[Extent, ...] | ExtentList, int]]:
    """Yield what a range of a stored list is joined from."""
    level, decoder, count = open_node(chunks, node)
    if level == 0:
        extents = tuple(slice_extents((decode_extent(decoder) for _ in range(count)), offset, end))
        yield extents, total_bytes(extents)
        return
    position = 0
    for _ in range(count):
        child, child_bytes, extent_count = _decode_child(decoder)
        first, last = max(offset - position, 0), min(end - position, child_bytes)
        if first == 0 and last == child_bytes:
            yield ExtentList(child, extent_count), child_bytes
        elif first < last:
            yield from _pieces(chunks, child, first, last)
        position += child_bytes


def load_extents(
    chunks: ChunkStore, extents: tuple[Extent, ...] | ExtentList, offset: int = 0, end: int | None = None
) -> Iterator[Extent]:
    """Yield the extents of bytes `offset` to `end` (exclusive; None: all)."""
    stop = 1 << 63 if end is None else end
    if isinstance(extents, ExtentList):
        yield from _walk(chunks, extents.node, offset, stop)
    else:
        yield from slice_extents(extents, offset, stop)


def _walk(chunks: ChunkStore, node: NodeId, offset: int, end: int) -> Iterator[Extent]:
    level, decoder, count = open_node(chunks, node)
    if level == 0:
        yield from slice_extents((decode_extent(decoder) for _ in range(count)), offset, end)
        return
    position = 0
    for _ in range(count):
        child, child_bytes, _ = _decode_child(decoder)
        first, last = max(offset - position, 0), min(end - position, child_bytes)
        if first < last:
            yield from _walk(chunks, child, first, last)
        position += child_bytes


def open_node(chunks: ChunkStore, node: NodeId) -> tuple[int, Decoder, int]:
    """Return a node's level, a decoder at its first entry, and its entry count."""
    data = chunks.get(ChunkId(node))
    if len(data) < 5 or data[:4] != _MAGIC:
        raise Corrupt(f"chunk {node.hex()} is not an extent list")
    decoder = Decoder(data, 5)
    return data[4], decoder, decoder.integer()


def list_nodes(chunks: ChunkStore, extents: tuple[Extent, ...] | ExtentList) -> Iterator[ChunkId]:
    """Yield the ids of the chunks that hold the list itself."""
    if isinstance(extents, ExtentList):
        yield from _nodes(chunks, extents.node)


def _nodes(chunks: ChunkStore, node: NodeId) -> Iterator[ChunkId]:
    yield ChunkId(node)
    level, decoder, count = open_node(chunks, node)
    for _ in range(count if level else 0):
        yield from _nodes(chunks, _decode_child(decoder)[0])

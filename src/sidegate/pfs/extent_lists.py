"""Long extent lists, stored as a shallow tree of nodes beside the index.

A node is a chunk: a level byte, a count, then entries.  Level 0 holds extents;
above it an entry is (child id, bytes below, extents below), so that a range of
a file of any size reads one node per level.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from sidegate.errors import Corrupt
from sidegate.native.part_columns import PartColumns
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.encoding import Decoder, encode_integer
from sidegate.pfs.extents import Extent, decode_extent, encode_extent, slice_extents, total_bytes
from sidegate.pfs.files import INLINE_EXTENTS, ExtentList
from sidegate.pfs.ids import ChunkId, NodeId

FANOUT = 1024
SPLICED_FROM = 128
"""Lists of fewer extents are not read when they are joined: a part of 64 MiB has about 64."""

_MAGIC = b"SGX1"


class _Children:
    """Children of nodes that are not there yet, in columns: an upload has up to 10 000."""

    __slots__ = ("counts", "entries", "lengths", "sizes_bytes")

    def __init__(self) -> None:
        self.entries = bytearray()
        """Each as a node says it, one after the other."""

        self.lengths: list[int] = []
        """How many bytes of `entries` are of each."""

        self.sizes_bytes: list[int] = []
        self.counts: list[int] = []

    def add(self, node: NodeId, size_bytes: int, extent_count: int) -> None:
        """Append a node, the bytes and the extents below it."""
        entry = node + encode_integer(size_bytes) + encode_integer(extent_count)
        self.extend(entry, [len(entry)], [size_bytes], [extent_count])

    def extend(
        self, entries: bytes, lengths: Sequence[int], sizes_bytes: Sequence[int], counts: Sequence[int]
    ) -> None:
        """Append several, each as a node says it."""
        self.entries += entries
        self.lengths += lengths
        self.sizes_bytes += sizes_bytes
        self.counts += counts


def _encode_node(level: int, entries: bytes | bytearray, count: int) -> bytes:
    """Return a node of `count` entries, which stand one after the other."""
    return b"".join((_MAGIC, bytes((level,)), encode_integer(count), entries))


def _decode_child(decoder: Decoder) -> tuple[NodeId, int, int]:
    """Read a child: a node, the bytes and the extents below it."""
    return NodeId(decoder.take(32)), decoder.integer(), decoder.integer()


def store_extents(
    chunks: ChunkStore, extents: tuple[Extent, ...], *, inline_count: int = INLINE_EXTENTS
) -> tuple[Extent, ...] | ExtentList:
    """Return `extents` for a record: as they are up to `inline_count`, else stored."""
    if len(extents) <= inline_count:
        return extents
    children = _Children()
    _store_leaves(chunks, extents, children)
    return _store_above(chunks, children)


def _store_leaves(chunks: ChunkStore, extents: Sequence[Extent], children: _Children) -> None:
    for i in range(0, len(extents), FANOUT):
        held = extents[i : i + FANOUT]
        data = _encode_node(0, b"".join(map(encode_extent, held)), len(held))
        children.add(NodeId(chunks.put_raw(data)), total_bytes(held), len(held))


def _store_above(chunks: ChunkStore, children: _Children) -> ExtentList:
    """Store the nodes above children until there is one."""
    level = 0
    while len(children.lengths) > 1:
        level += 1
        above = _Children()
        offset = 0
        for i in range(0, len(children.lengths), FANOUT):
            held = slice(i, i + FANOUT)
            end = offset + sum(children.lengths[held])
            data = _encode_node(level, children.entries[offset:end], len(children.lengths[held]))
            above.add(
                NodeId(chunks.put_raw(data)), sum(children.sizes_bytes[held]), sum(children.counts[held])
            )
            offset = end
        children = above
    return ExtentList(NodeId(bytes(children.entries[:32])), children.counts[0])


def join_lists(
    chunks: ChunkStore,
    lists: Iterable[tuple[tuple[Extent, ...] | ExtentList, int]],
    *,
    inline_count: int = INLINE_EXTENTS,
) -> tuple[Extent, ...] | ExtentList:
    """Return one list of several, each with the bytes it stands for, in order.

    Lists that are stored already become children and are not read, or only their
    first node: what it costs is their number, not their length.
    """
    children = _Children()
    loose: list[Extent] = []
    for extents, size_bytes in lists:
        if isinstance(extents, ExtentList):
            _store_leaves(chunks, loose, children)
            loose.clear()
            _splice(chunks, extents, size_bytes, children)
        else:
            loose += extents
    if not children.lengths:
        return store_extents(chunks, tuple(loose), inline_count=inline_count)
    _store_leaves(chunks, loose, children)
    return _store_above(chunks, children)


def _splice(chunks: ChunkStore, extents: ExtentList, size_bytes: int, children: _Children) -> None:
    """Append a stored list to the children of another."""
    if extents.count < SPLICED_FROM:
        children.add(extents.node, size_bytes, extents.count)
    else:
        for child in _as_children(chunks, extents, size_bytes):
            children.add(*child)


def join_parts(chunks: ChunkStore, parts: PartColumns) -> tuple[Extent, ...] | ExtentList:
    """Return one list of those of all parts, as `join_lists`; whole runs of parts at once."""
    if not any(parts.external) and sum(parts.counts) <= INLINE_EXTENTS:
        return store_extents(chunks, tuple(_decode_extents(parts)))
    children = _Children()
    end = offset = 0
    while end < len(parts.external):
        start, external = end, parts.external[end]
        other = parts.external.find(not external, start)
        end = len(parts.external) if other < 0 else other
        following = offset + sum(parts.lengths[start:end])
        entries, offset = parts.extents[offset:following], following
        if external:
            _splice_run(chunks, parts, slice(start, end), entries, children)
        else:
            _store_loose_run(chunks, parts, start, end, entries, children)
    return _store_above(chunks, children)


def _decode_extents(parts: PartColumns) -> Iterator[Extent]:
    decoder = Decoder(parts.extents)
    for _ in range(sum(parts.counts)):
        yield decode_extent(decoder)


def _splice_run(
    chunks: ChunkStore, parts: PartColumns, run: slice, entries: bytes, children: _Children
) -> None:
    """Append the stored lists of a run of parts."""
    lengths, sizes_bytes, counts = parts.lengths[run], parts.sizes_bytes[run], parts.counts[run]
    if max(counts) < SPLICED_FROM:
        children.extend(entries, lengths, sizes_bytes, counts)
        return
    offset = 0
    for length, size_bytes, count in zip(lengths, sizes_bytes, counts, strict=True):
        _splice(chunks, ExtentList(NodeId(entries[offset : offset + 32]), count), size_bytes, children)
        offset += length


def _store_loose_run(
    chunks: ChunkStore, parts: PartColumns, start: int, end: int, entries: bytes, children: _Children
) -> None:
    """Store the extents of parts that hold them as leaves, those of a part in one."""
    ends = list(accumulate(parts.counts[start:end]))
    first, stored_count, offset = start, 0, 0
    while first < end:
        last = max(start + bisect_right(ends, stored_count + FANOUT), first + 1)
        extent_count = ends[last - 1 - start] - stored_count
        following = offset + sum(parts.lengths[first:last])
        if extent_count:
            data = _encode_node(0, entries[offset:following], extent_count)
            children.add(NodeId(chunks.put_raw(data)), sum(parts.sizes_bytes[first:last]), extent_count)
        first, stored_count, offset = last, stored_count + extent_count, following


def _as_children(chunks: ChunkStore, extents: ExtentList, size_bytes: int) -> list[tuple[NodeId, int, int]]:
    """Return a long stored list as children of another: its own children, if it is no leaf.

    So a file that is appended to by copying it into each new upload does not
    become a tree as deep as it has appendices.
    """
    level, decoder, count = open_node(chunks, extents.node)
    if level > 0:
        return [_decode_child(decoder) for _ in range(count)]
    return [(extents.node, size_bytes, extents.count)]


def slice_list(
    chunks: ChunkStore,
    extents: tuple[Extent, ...] | ExtentList,
    offset: int,
    end: int,
    size_bytes: int,
    *,
    inline_count: int = INLINE_EXTENTS,
) -> tuple[Extent, ...] | ExtentList:
    """Return the list of bytes `offset` to `end` of one that stands for `size_bytes`.

    Nodes that lie in it whole are used again, so at most two leaves are read.
    """
    if offset == 0 and end >= size_bytes:
        return extents
    if isinstance(extents, ExtentList):
        return join_lists(chunks, _pieces(chunks, extents.node, offset, end), inline_count=inline_count)
    return store_extents(chunks, tuple(slice_extents(extents, offset, end)), inline_count=inline_count)


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

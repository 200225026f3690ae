"""Making a tree from another and a sorted list of changes.

Level by level: the nodes that a change touches are opened and split anew until
a new node ends where an old one did; all others are kept by id.  The result
depends on the entries alone, so building from nothing gives the same root.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sidegate.native import IndexNode
from sidegate.pfs.ids import NodeId
from sidegate.pfs.nodes import Child, Entry, child_id_at, encode_child, encode_node, ends_node, entry_bytes
from sidegate.pfs.tree import NodeCache, totals_of


class Change(NamedTuple):
    """A new value for a key, or None to remove it."""

    key: bytes
    value: bytes | None


class _Builder:
    """Splits a stream of sorted entries of one level into stored nodes."""

    def __init__(self, cache: NodeCache, level: int) -> None:
        self._cache = cache
        self._level = level
        self._entries: list[Entry] = []
        self._bytes = 0
        self.children: list[Entry] = []

    @property
    def at_boundary(self) -> bool:
        return not self._entries

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._bytes += entry_bytes(entry)
        if ends_node(self._level, entry, self._bytes):
            self.flush()

    def flush(self) -> None:
        if not self._entries:
            return
        self.children.append(store_node(self._cache, self._level, self._entries))
        self._entries, self._bytes = [], 0


def store_node(cache: NodeCache, level: int, entries: list[Entry]) -> Entry:
    """Store a node; return the entry that its parent has for it."""
    node_id = NodeId(cache.chunks.put(encode_node(level, entries, len(entries))))
    totals = totals_of(level, [entry.value for entry in entries])
    return Entry(entries[-1].key if entries else b"", encode_child(Child(node_id, *totals)))


def build(cache: NodeCache, entries: Iterable[Entry]) -> NodeId:
    """Return the root of a new tree of sorted, distinct `entries`."""
    builder = _Builder(cache, 0)
    for entry in entries:
        builder.add(entry)
    builder.flush()
    return _raise_to_root(cache, 0, builder.children)


def _raise_to_root(cache: NodeCache, level: int, children: list[Entry]) -> NodeId:
    """Build the levels above `children` until one node is left."""
    if not children:
        return _child_id(store_node(cache, 0, []))
    while len(children) > 1:
        level += 1
        builder = _Builder(cache, level)
        for entry in children:
            builder.add(entry)
        builder.flush()
        children = builder.children
    return _child_id(children[0])


def _child_id(entry: Entry) -> NodeId:
    return NodeId(entry.value[:32])


def apply(cache: NodeCache, root: NodeId, changes: Iterable[Change]) -> NodeId:
    """Return the root of `root` with sorted, distinct `changes` made."""
    pending = list(changes)
    height = cache.get(root).level
    if not len(cache.get(root)):
        return build(cache, (Entry(key, value) for key, value in pending if value is not None))
    for level in range(height):
        pending = _rewrite_level(cache, root, level, pending)
        if not pending:
            return root
    top = _Builder(cache, height)
    for entry in _merge(_entries(cache.get(root)), pending):
        top.add(entry)
    top.flush()
    return _lowest_root(cache, _raise_to_root(cache, height, top.children))


def _lowest_root(cache: NodeCache, root: NodeId) -> NodeId:
    """Go down while a root has a single child: the normal form of a small tree."""
    node = cache.get(root)
    while node.level > 0 and len(node) == 1:
        root = child_id_at(node, 0)
        node = cache.get(root)
    return root


def _entries(node: IndexNode) -> list[Entry]:
    return [Entry(key, value) for key, value in zip(node.keys, node.values, strict=True)]


def _merge(entries: Iterable[Entry], changes: Iterable[Change]) -> Iterator[Entry]:
    """Yield `entries` with `changes` made; both sorted by key."""
    remaining = iter(changes)
    change = next(remaining, None)
    for entry in entries:
        while change is not None and change.key < entry.key:
            if change.value is not None:
                yield Entry(change.key, change.value)
            change = next(remaining, None)
        if change is not None and change.key == entry.key:
            if change.value is not None:
                yield Entry(change.key, change.value)
            change = next(remaining, None)
        else:
            yield entry
    while change is not None:
        if change.value is not None:
            yield Entry(change.key, change.value)
        change = next(remaining, None)


def _rewrite_level(cache: NodeCache, root: NodeId, level: int, changes: list[Change]) -> list[Change]:
    """Make `changes` at `level`; return the changes that follow one level up."""
    before: dict[bytes, bytes] = {}
    after: list[Entry] = []
    index = 0
    while index < len(changes):
        run = _Run(cache, root, level)
        index = run.consume(changes, index)
        before.update(run.replaced)
        after.extend(run.builder.children)
    upward: dict[bytes, bytes | None] = dict.fromkeys(before) | dict(after)
    return [Change(key, upward[key]) for key in sorted(upward) if before.get(key) != upward[key]]


class _Run:
    """Neighbouring nodes of one level that are split anew together."""

    def __init__(self, cache: NodeCache, root: NodeId, level: int) -> None:
        self._cache = cache
        self._root = root
        self._level = level
        self.builder = _Builder(cache, level)
        self.replaced: dict[bytes, bytes] = {}

    def consume(self, changes: list[Change], index: int) -> int:
        """Take changes from `index` on until in step; return the next index."""
        parent_entry, is_last = _find(self._cache, self._root, self._level, changes[index].key)
        while True:
            node = self._cache.get(_child_id(parent_entry))
            self.replaced[parent_entry.key] = parent_entry.value
            stop = len(changes)
            if not is_last:
                stop = bisect_left(changes, parent_entry.key + b"\0", lo=index, key=lambda change: change.key)
            for entry in _merge(_entries(node), changes[index:stop]):
                self.builder.add(entry)
            index = stop
            if is_last or (self.builder.at_boundary):
                self.builder.flush()
                return index
            parent_entry, is_last = _find(self._cache, self._root, self._level, parent_entry.key + b"\0")


def _find(cache: NodeCache, root: NodeId, level: int, key: bytes) -> tuple[Entry, bool]:
    """Return the parent entry of the node at `level` for `key`, and whether it is the last.

    A key beyond the end belongs to the last node.
    """
    node = cache.get(root)
    is_last = True
    while True:
        index = min(node.find(key), len(node) - 1)
        is_last = is_last and index == len(node) - 1
        entry = Entry(node.key(index), node.value(index))
        if node.level == level + 1:
            return entry, is_last
        node = cache.get(_child_id(entry))

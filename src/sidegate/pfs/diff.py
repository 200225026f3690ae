"""What changed between two trees, at the cost of what changed.

Equal ids mean equal subtrees, so both trees are walked side by side and every
pair of equal nodes is skipped unread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sidegate.pfs.files import FileRecord, decode_record
from sidegate.pfs.ids import NodeId
from sidegate.pfs.nodes import Entry, child_id_at
from sidegate.pfs.tree import NodeCache, Tree


@dataclass(frozen=True, slots=True)
class Difference:
    """One path that is not the same in both trees."""

    path: str
    kind: Literal["added", "removed", "changed"]
    before: FileRecord | None
    after: FileRecord | None


def differences(before: Tree, after: Tree, cache: NodeCache) -> Iterator[Difference]:
    """Yield the paths whose content or attributes differ, in path order.

    A file written again with the same bytes and attributes is no difference.
    """
    if before.root == after.root:
        return
    left, right = _Cursor(cache, before.root), _Cursor(cache, after.root)
    while (step := _next_pair(left, right)) is not None:
        old, new = step
        difference = _compare(old, new)
        if difference is not None:
            yield difference


def _compare(old: Entry | None, new: Entry | None) -> Difference | None:
    before = decode_record(old.value) if old is not None else None
    after = decode_record(new.value) if new is not None else None
    entry = new if new is not None else old
    path = entry.key.decode() if entry is not None else ""
    if before is None:
        return Difference(path, "added", None, after)
    if after is None:
        return Difference(path, "removed", before, None)
    return None if before.same_content(after) else Difference(path, "changed", before, after)


def _next_pair(left: _Cursor, right: _Cursor) -> tuple[Entry | None, Entry | None] | None:
    """Return the next pair of entries that may differ, None at the end of both."""
    while True:
        left.settle(right)
        old, new = left.entry(), right.entry()
        if old is None and new is None:
            return None
        if new is None or (old is not None and old.key < new.key):
            left.advance()
            return old, None
        if old is None or new.key < old.key:
            right.advance()
            return None, new
        left.advance()
        right.advance()
        if old.value != new.value:
            return old, new


class _Cursor:
    """A position in a tree that can stand before a whole subtree."""

    def __init__(self, cache: NodeCache, root: NodeId) -> None:
        self._cache = cache
        self._stack: list[tuple[NodeId, int]] = [(root, 0)]

    def settle(self, other: _Cursor) -> None:
        """Skip equal subtrees on both sides, then stand on entries."""
        while True:
            self._climb()
            other._climb()
            mine, theirs = self._subtree(), other._subtree()
            if mine is not None and mine == theirs:
                self._stack[-1] = (self._stack[-1][0], self._stack[-1][1] + 1)
                other._stack[-1] = (other._stack[-1][0], other._stack[-1][1] + 1)
            elif self._level() >= other._level() and mine is not None:
                self._stack.append((mine, 0))
            elif theirs is not None:
                other._stack.append((theirs, 0))
            elif mine is not None:
                self._stack.append((mine, 0))
            else:
                return

    def entry(self) -> Entry | None:
        """Return the leaf entry stood on, None at the end."""
        if not self._stack:
            return None
        node_id, index = self._stack[-1]
        node = self._cache.get(node_id)
        return Entry(node.key(index), node.value(index))

    def advance(self) -> None:
        """Go past the entry."""
        node_id, index = self._stack[-1]
        self._stack[-1] = (node_id, index + 1)

    def _climb(self) -> None:
        """Leave nodes that are used up."""
        while self._stack:
            node_id, index = self._stack[-1]
            if index < len(self._cache.get(node_id)):
                return
            self._stack.pop()
            if self._stack:
                self.advance()

    def _level(self) -> int:
        return self._cache.get(self._stack[-1][0]).level if self._stack else -1

    def _subtree(self) -> NodeId | None:
        """Return the id of the child stood before, None on a leaf or at the end."""
        if not self._stack:
            return None
        node_id, index = self._stack[-1]
        node = self._cache.get(node_id)
        return child_id_at(node, index) if node.level > 0 else None

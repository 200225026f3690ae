"""Cursors over sorted names in their plainest form: the definition.

A cursor goes forward over the names of a tree or of rows; `ext/cursors.pyx` must
agree.  Nothing here knows where nodes and rows are kept.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from sidegate.native.index_format import HASH_BYTES, misplaced_node
from sidegate.native.pure.file_heads import FileHeads, Summary
from sidegate.native.pure.index import IndexNode

FEW_ROWS = 32
MANY_ROWS = 1024
GROWTH = 4

Load = Callable[[bytes], IndexNode]
Peek = Callable[[bytes], IndexNode | None]
LoadHeads = Callable[[bytes], FileHeads]
PeekHeads = Callable[[bytes], FileHeads | None]
Fetch = Callable[[bytes, int], Sequence[tuple[bytes, bytes | None]]]


class Cursor:
    """Stands on a name, `key` with `value` (None: removed), or at the end: `key` None."""

    key: bytes | None = None
    value: bytes | Summary | None = None

    def prepare(self, limit: int, *, folds: bool) -> None:
        """Expect to be read for `limit` names, and to be sent past groups if it `folds`."""

    def seek(self, target: bytes) -> bool:
        """Go forward to the first name from `target` on; False where memory cannot tell."""
        raise NotImplementedError

    def advance(self) -> bool:
        """Go to the next name; False where memory cannot tell."""
        raise NotImplementedError


class TreeCursor(Cursor):
    """Goes over the names of a tree; see `sidegate.native._cursors`."""

    def __init__(
        self,
        root: bytes,
        peek: Peek,
        load: Load | None = None,
        peek_heads: PeekHeads | None = None,
        load_heads: LoadHeads | None = None,
    ) -> None:
        self._root = root
        self._peek = peek
        self._load = load
        self._peek_heads = peek_heads
        self._load_heads = load_heads
        self._path: list[tuple[IndexNode | FileHeads, int]] = []

    def _find(self, node_id: bytes, level: int) -> IndexNode | FileHeads | None:
        """Return a node, of a leaf that has a parent the heads unless only the whole is there."""
        if level == 0 and self._peek_heads is not None:
            heads = self._peek_heads(node_id)
            if heads is not None:
                return heads
            if self._load_heads is not None:
                return self._load_heads(node_id)
        node = self._peek(node_id)
        return self._load(node_id) if node is None and self._load is not None else node

    def _enter(self, node_id: bytes, level: int) -> bool:
        node = self._find(node_id, level)
        if node is None:
            return False
        if level >= 0 and (node.level != level or not len(node)):
            raise misplaced_node()
        node.used = True
        self._path.append((node, 0))
        return True

    def _enter_child(self) -> bool:
        node, place = self._path[-1]
        value = node.values[place]
        if not isinstance(value, bytes) or len(value) < HASH_BYTES:
            raise misplaced_node()
        return self._enter(value[:HASH_BYTES], node.level - 1)

    def seek(self, target: bytes) -> bool:
        if not self._path and not self._enter(self._root, -1):
            return False
        while len(self._path) > 1 and self._path[-1][0].keys[-1] < target:
            self._path.pop()
        while True:
            node, place = self._path[-1]
            place = bisect_left(node.keys, target, lo=place)
            self._path[-1] = node, place
            if place == len(node):
                if len(self._path) > 1:
                    raise misplaced_node()
                self.key = None
                return True
            if node.level == 0:
                return self._stand()
            if not self._enter_child():
                return False

    def advance(self) -> bool:
        node, place = self._path[-1]
        self._path[-1] = node, place + 1
        while self._path[-1][1] == len(self._path[-1][0]):
            if len(self._path) == 1:
                self.key = None
                return True
            self._path.pop()
            node, place = self._path[-1]
            self._path[-1] = node, place + 1
        while self._path[-1][0].level > 0:
            if not self._enter_child():
                return False
        return self._stand()

    def _stand(self) -> bool:
        node, place = self._path[-1]
        self.key, self.value = node.keys[place], node.values[place]
        return True


class RowCursor(Cursor):
    """Goes over rows that are fetched some at a time; see `sidegate.native._cursors`."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._rows: Sequence[tuple[bytes, bytes | None]] = []
        self._index = 0
        self._complete = False

    def prepare(self, limit: int, *, folds: bool) -> None:
        # One more than the page tells whether it is the last.
        self._many = min(limit + 1, MANY_ROWS)
        self._few = min(self._many, FEW_ROWS) if folds else self._many

    def _refill(self, start: bytes, limit: int) -> bool:
        self._asked = limit
        self._rows = self._fetch(start, limit)
        self._index = 0
        self._complete = len(self._rows) < limit
        return self._stand()

    def seek(self, target: bytes) -> bool:
        while self._index < len(self._rows) and self._rows[self._index][0] < target:
            self._index += 1
        if self._index == len(self._rows) and not self._complete:
            return self._refill(target, self._few)
        return self._stand()

    def advance(self) -> bool:
        self._index += 1
        if self._index == len(self._rows) and not self._complete:
            return self._refill(self._rows[-1][0] + b"\0", min(GROWTH * self._asked, self._many))
        return self._stand()

    def _stand(self) -> bool:
        if self._index == len(self._rows):
            self.key = None
        else:
            self.key, self.value = self._rows[self._index]
        return True

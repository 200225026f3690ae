"""Index nodes and pages of files in their plainest form: the definition.

A node is sorted (key, value) entries; a cursor goes forward over sorted names,
of a tree or of rows; a page takes names from several cursors, the first hiding
the others, and folds them at a delimiter.  `ext/index.pyx` must agree.  Nothing
here knows where nodes and rows are kept.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sidegate.native.columns import Columns
from sidegate.native.index_format import (
    HAS_HASH,
    HASH_BYTES,
    NODE_MAGIC,
    check_record_head,
    misplaced_node,
    no_node,
    torn_node,
    torn_record,
)
from sidegate.native.pure.stored_bytes import Reader, Torn

FEW_ROWS = 32
MANY_ROWS = 1024
GROWTH = 4

Load = Callable[[bytes], "IndexNode"]
Peek = Callable[[bytes], "IndexNode | None"]
LoadHeads = Callable[[bytes], "FileHeads"]
PeekHeads = Callable[[bytes], "FileHeads | None"]
Fetch = Callable[[bytes, int], Sequence[tuple[bytes, bytes | None]]]


class Summary(NamedTuple):
    """What the head of a file record says."""

    size_bytes: int
    tag: str
    modified_us: int


def read_summary(record: bytes) -> Summary:
    """Read the head of a file record; raises Corrupt."""
    reader = Reader(record, 0)
    try:
        version, flags = reader.integer(), reader.integer()
        check_record_head(version, flags)
        size_bytes = reader.integer()
        if flags & HAS_HASH:
            reader.take(HASH_BYTES)
        return Summary(size_bytes, reader.bytes().decode(), reader.integer())
    except (Torn, UnicodeDecodeError):
        raise torn_record(reader.offset) from None


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


class FileHeads:
    """What a listing says of a leaf's files; see `sidegate.native._index`."""

    level = 0

    def __init__(self, leaf: IndexNode) -> None:
        if leaf.level != 0:
            raise ValueError(f"a node of level {leaf.level} has no files")
        self.used = False
        self.keys = leaf.keys
        self.values = [read_summary(value) for value in leaf.values]
        self.memory_bytes = sum(map(len, self.keys)) + 300 * len(self.keys)

    def __len__(self) -> int:
        return len(self.keys)


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
    """Goes over the names of a tree; see `sidegate.native._index`."""

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
    """Goes over rows that are fetched some at a time; see `sidegate.native._index`."""

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


class PageScan:
    """Collects one page of names; see `sidegate.native._index`."""

    def __init__(self, start: bytes, prefix: bytes, delimiter: bytes, limit: int) -> None:
        self._start = max(start, prefix)
        self._prefix = prefix
        self._delimiter = delimiter
        self._limit = limit
        self._forget()

    def _forget(self) -> None:
        self._files: list[tuple[bytes, Summary]] = []
        self._groups: list[bytes] = []
        self.truncated = False
        self.last: bytes | None = None

    @property
    def groups(self) -> tuple[bytes, ...]:
        return tuple(self._groups)

    @property
    def columns(self) -> Columns:
        names = [name for name, _ in self._files]
        tags = [summary.tag.encode() for _, summary in self._files]
        return Columns(
            b"".join(names),
            _ends(names),
            b"".join(tags),
            _ends(tags),
            memoryview(array("q", [summary.size_bytes for _, summary in self._files])),
            memoryview(array("q", [summary.modified_us for _, summary in self._files])),
        )

    def collect(self, cursors: Iterable[Cursor]) -> bool:
        self._forget()
        if self._limit <= 0 or self._collect(list(cursors)):
            return True
        self._forget()
        return False

    def _collect(self, cursors: list[Cursor]) -> bool:
        for cursor in cursors:
            cursor.prepare(self._limit, folds=bool(self._delimiter))
        ready = all(cursor.seek(self._start) for cursor in cursors)
        while ready:
            name, value = _topmost(cursors)
            if name is None or not name.startswith(self._prefix):
                return True
            group = self._group(name) if value is not None else None
            if value is not None and len(self._files) + len(self._groups) == self._limit:
                self.truncated = True
                return True
            if group is not None:
                self._groups.append(group)
                self.last = group
                ready = _seek_past(cursors, group)
                continue
            if value is not None:
                summary = value if isinstance(value, Summary) else read_summary(value)
                self._files.append((name, summary))
                self.last = name
            ready = all(cursor.advance() for cursor in cursors if cursor.key == name)
        return False

    def _group(self, name: bytes) -> bytes | None:
        """Return what a name folds into, None when it stands for itself."""
        if not self._delimiter:
            return None
        cut = name.find(self._delimiter, len(self._prefix))
        return None if cut < 0 else name[: cut + len(self._delimiter)]


def _topmost(cursors: list[Cursor]) -> tuple[bytes | None, bytes | Summary | None]:
    """Return the least name and its value at the first cursor that has it; None at the end."""
    least = min((cursor.key for cursor in cursors if cursor.key is not None), default=None)
    value = next((cursor.value for cursor in cursors if cursor.key == least), None)
    return least, value


def _seek_past(cursors: list[Cursor], group: bytes) -> bool:
    """Go past all names that begin with `group`."""
    stem = group.rstrip(b"\xff")
    if stem:
        return all(cursor.seek(stem[:-1] + bytes((stem[-1] + 1,))) for cursor in cursors)
    for cursor in cursors:
        cursor.key = None
    return True


def _ends(texts: list[bytes]) -> memoryview:
    ends, end = array("I"), 0
    for text in texts:
        end += len(text)
        ends.append(end)
    return memoryview(ends)

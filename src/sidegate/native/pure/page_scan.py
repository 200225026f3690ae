"""Pages of files in their plainest form: the definition.

A page takes names from several cursors, the first hiding the others, and folds
them at a delimiter; `ext/page_scan.pyx` must agree.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from sidegate.native.columns import Columns
from sidegate.native.pure.cursors import Cursor
from sidegate.native.pure.file_heads import Summary, read_summary


class PageScan:
    """Collects one page of names; see `sidegate.native._page_scan`."""

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

from collections.abc import Callable, Sequence
from typing import final

from sidegate.native._file_heads import FileHeads
from sidegate.native._index import IndexNode

class Cursor:
    """Goes forward over sorted names; for one `PageScan.collect`."""

@final
class TreeCursor(Cursor):
    """Goes over the names of a tree.

    A node is asked for with `peek`, which returns None for one that is not in
    memory, and then with `load`; without `load` the page cannot be collected.  A
    leaf below another node is asked for with `peek_heads` and `load_heads` first,
    where they are given.
    """

    def __init__(
        self,
        root: bytes,
        peek: Callable[[bytes], IndexNode | None],
        load: Callable[[bytes], IndexNode] | None = None,
        peek_heads: Callable[[bytes], FileHeads | None] | None = None,
        load_heads: Callable[[bytes], FileHeads] | None = None,
    ) -> None: ...

@final
class RowCursor(Cursor):
    """Goes over rows (name, file record, or None where the name is removed).

    `fetch(start, limit)` returns the first rows from `start` on, sorted by
    name, and fewer than `limit` only at the end.
    """

    def __init__(self, fetch: Callable[[bytes, int], Sequence[tuple[bytes, bytes | None]]]) -> None: ...

from collections.abc import Callable, Iterable, Sequence
from typing import final

from sidegate.native.columns import Columns

@final
class IndexNode:
    """One node of an index tree, read once; immutable but for `used`.

    Raises Corrupt when `data` is no whole node.  Keys are sorted bytes.
    """

    used: bool
    """Set whenever a cursor passes; whoever keeps nodes may clear it."""

    def __init__(self, data: bytes) -> None: ...
    @property
    def level(self) -> int:
        """How far above the leaves, which have level 0."""

    @property
    def keys(self) -> list[bytes]:
        """All keys, made anew at each call."""

    @property
    def values(self) -> list[bytes]:
        """All values, made anew at each call."""

    @property
    def memory_bytes(self) -> int:
        """About how much memory the node holds, for cache limits."""

    def __len__(self) -> int: ...
    def key(self, index: int) -> bytes:
        """Return one key; raises IndexError unless 0 <= index < len."""

    def value(self, index: int) -> bytes:
        """Return one value; raises IndexError unless 0 <= index < len."""

    def find(self, key: bytes) -> int:
        """Return the first index whose key is not less than `key`, len if there is none."""

@final
class FileHeads:
    """What a listing says of the files of a leaf, in about a sixth of its memory.

    Raises ValueError for a node that is no leaf, Corrupt for a damaged record.
    """

    used: bool
    """As that of a node."""

    def __init__(self, leaf: IndexNode) -> None: ...
    @property
    def memory_bytes(self) -> int:
        """About how much memory the heads take, for cache limits."""

    def __len__(self) -> int: ...

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

@final
class PageScan:
    """Collects one page of names: those from `start` on that begin with `prefix`.

    A name that has `delimiter` behind the prefix is folded into the group that
    ends with its first one; a group counts as one name and costs one seek,
    however many names it has.  At most `limit` names are taken.
    """

    def __init__(self, start: bytes, prefix: bytes, delimiter: bytes, limit: int) -> None: ...
    def collect(self, cursors: Iterable[Cursor]) -> bool:
        """Collect the page anew; of equal names the first cursor's counts.

        Returns False, with nothing collected, when a node that is needed is not
        in memory and its cursor cannot load.  Raises Corrupt.
        """

    @property
    def columns(self) -> Columns:
        """The files of the page, made anew at each call."""

    @property
    def groups(self) -> tuple[bytes, ...]:
        """The groups of the page, each once, sorted."""

    @property
    def truncated(self) -> bool:
        """Whether names follow the page."""

    @property
    def last(self) -> bytes | None:
        """The greatest name or group in the page, None when it is empty."""

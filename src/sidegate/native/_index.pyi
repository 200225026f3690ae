from typing import final

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

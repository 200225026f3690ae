from typing import final

from sidegate.native._index import IndexNode

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

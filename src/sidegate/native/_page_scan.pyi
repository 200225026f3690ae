from collections.abc import Iterable
from typing import final

from sidegate.native._cursors import Cursor
from sidegate.native.columns import Columns

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

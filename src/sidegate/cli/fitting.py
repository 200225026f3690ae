"""Which columns of a table fit a terminal, and how wide each of them is.

Numbers and names are shown whole; text is broken between words, and within one
only where it is longer than a terminal can afford.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

GAP: Final = 2
"""Between two columns."""

_LONG_WORD: Final = 16
_EASY: Final = 12
"""Text is not made narrower than this before columns are left out: a word a line is tiring."""
_SHORTEST: Final = 6
"""No column of text becomes narrower: it would be letters below each other."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """The columns to be shown with their widths, and the names of those left out."""

    kept: list[int]
    widths: list[int]
    left_out: list[str]

    @property
    def total(self) -> int:
        """Return how wide the table is."""
        return sum(self.widths) + GAP * (len(self.widths) - 1)


@dataclass(slots=True)
class _Column:
    index: int
    width: int
    least: int
    """As wide as can be read with ease: its longest word at least."""
    floor: int
    """Less wide than a word, where all else is not enough."""


def fit(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    available: int,
    *,
    whole: Collection[str] = (),
    least: Sequence[str] = (),
) -> Fitted:
    """Return what fits into so many cells.

    Columns in `whole` are never broken; those in `least` are left out, the first one first, when even
    with broken text not all fit. Where that is not enough, the table is wider than the terminal.
    """
    found = [
        _column(index, name, [row[index] for row in rows], name in whole)
        for index, name in enumerate(columns)
    ]
    left_out: list[str] = []
    for name in least:
        if _needed([column.least for column in found]) <= available:
            break
        if name in columns:
            found = [column for column in found if columns[column.index] != name]
            left_out.append(name)
    _shrink(found, available)
    return Fitted([column.index for column in found], [column.width for column in found], left_out)


def _column(index: int, name: str, cells: Sequence[str], is_whole: bool) -> _Column:
    from rich.cells import cell_len

    width = max(cell_len(text) for text in (name, *cells))
    if is_whole:
        return _Column(index, width, width, width)
    words = [word for text in (name, *cells) for word in text.split()]
    longest = max((cell_len(word) for word in words), default=0)
    least = min(width, max(_EASY, min(longest, _LONG_WORD)))
    return _Column(index, width, least, min(least, _SHORTEST))


def _needed(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _shrink(columns: Sequence[_Column], available: int) -> None:
    """Take from the widest of text, first between words, then within them."""
    for floors in ([column.least for column in columns], [column.floor for column in columns]):
        while _needed([column.width for column in columns]) > available:
            pairs = zip(columns, floors, strict=True)
            wider = [column for column, floor in pairs if column.width > floor]
            if not wider:
                break
            max(wider, key=lambda column: column.width).width -= 1

"""Columns: what a listing says of many files, without an object for each.

Filled by `PageScan`, read by `render_rows`.  A text column is all texts joined
and the offset where each ends; numbers are arrays in the machine's byte order.
"""

from __future__ import annotations

from typing import NamedTuple


class Columns(NamedTuple):
    """One row for each file; texts are UTF-8, times microseconds since the epoch."""

    names: bytes
    name_ends: memoryview
    """Format `I`: the end of each name in `names`."""
    tags: bytes
    tag_ends: memoryview
    """Format `I`: the end of each tag in `tags`."""
    sizes: memoryview
    """Format `q`."""
    times_us: memoryview
    """Format `q`."""

    @property
    def row_count(self) -> int:
        """How many files there are."""
        return len(self.sizes)

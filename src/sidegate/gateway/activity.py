"""Writes under way: what keeps an open commit from being finished between them.

Worker processes show each other theirs in common memory: a cell stands for all
scopes that share a hash, so a scope may seem busy that is not, never the other way.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol
from zlib import crc32

CELLS = 256
"""Cells of a process: few enough to keep, so many that busy branches rarely share one."""


class Busyness(Protocol):
    """Knows which scopes are written to."""

    def is_busy(self, scope: str) -> bool:
        """Whether something is being written into `scope`."""


class Activity:
    """Counts the writes that are being received, per scope; safe from several threads."""

    def __init__(self, shown: memoryview | None = None) -> None:
        """`shown` are the cells that other processes see, none where there are none."""
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._shown = memoryview(bytearray(8 * CELLS)).cast("Q") if shown is None else shown

    @contextmanager
    def writing(self, scope: str) -> Iterator[None]:
        """Count a write into `scope` while the block runs."""
        cell = _cell(scope)
        with self._lock:
            self._counts[scope] += 1
            self._shown[cell] += 1
        try:
            yield
        finally:
            with self._lock:
                self._shown[cell] -= 1
                self._counts[scope] -= 1
                if not self._counts[scope]:
                    del self._counts[scope]

    def is_busy(self, scope: str) -> bool:
        """Whether something is being written into `scope`."""
        with self._lock:
            return scope in self._counts


class SharedActivity:
    """What the worker processes are receiving, seen from beside them."""

    def __init__(self, shown: Sequence[memoryview]) -> None:
        """`shown` are the cells of each worker."""
        self._shown = shown

    def is_busy(self, scope: str) -> bool:
        """Whether something may be being written into `scope`."""
        cell = _cell(scope)
        return any(cells[cell] for cells in self._shown)


def _cell(scope: str) -> int:
    return crc32(scope.encode()) % CELLS

"""Writes under way: what keeps an open commit from being finished between them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Activity:
    """Counts the writes that are being received, per scope; safe from several threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def writing(self, scope: str) -> Iterator[None]:
        """Count a write into `scope` while the block runs."""
        with self._lock:
            self._counts[scope] += 1
        try:
            yield
        finally:
            with self._lock:
                self._counts[scope] -= 1
                if not self._counts[scope]:
                    del self._counts[scope]

    def is_busy(self, scope: str) -> bool:
        """Whether something is being written into `scope`."""
        with self._lock:
            return scope in self._counts

"""How many cores this process may use, and how many workers that makes."""

from __future__ import annotations

import os

DEFAULT_WORKERS = 4
"""More cores serve more than one machine's clients ask for, and each worker has its own memory."""

MAX_WORKERS = 64


def usable_cores() -> int:
    """Return the number of cores, fewer than the machine's where it is confined to some."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_workers() -> int:
    """Return how many workers `sidegate serve` has unless told."""
    return min(usable_cores(), DEFAULT_WORKERS)

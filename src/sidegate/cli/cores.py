"""How many workers the cores make."""

from __future__ import annotations

from sidegate.gateway.cores import usable_cores

DEFAULT_WORKERS = 4
"""More cores serve more than one machine's clients ask for, and each worker has its own memory."""

MAX_WORKERS = 64


def default_workers() -> int:
    """Return how many workers `sidegate serve` has unless told."""
    return min(usable_cores(), DEFAULT_WORKERS)

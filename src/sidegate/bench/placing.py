"""Which cores a step of a run, and what it starts, may use."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sidegate.errors import Unsupported


def own_cores() -> frozenset[int]:
    """Return the cores that this process may use; raises Unsupported where nobody can tell."""
    if not hasattr(os, "sched_getaffinity"):
        raise Unsupported(
            "`sidegate bench self` gives servers and client a core each, which this system cannot do",
            remedy="start the servers yourself and use `sidegate bench s3 URL…`, or run it on Linux",
        )
    return frozenset(os.sched_getaffinity(0))


@contextmanager
def on_cores(cores: Collection[int]) -> Iterator[None]:
    """Keep this thread, and what it starts, on some cores; raises Unsupported where that cannot be."""
    before = own_cores()
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)

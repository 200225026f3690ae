"""How many files a process may have open, and how many connections that allows.

A process that is out of descriptors can neither accept nor open what it is asked
for: connections are bounded such that it never is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sidegate.http.limits import Limits

_RESERVED: Final = 256
"""For packs (128 at most are kept open), the catalog's connections, logs, threads' event descriptors."""

_EACH: Final = 2
"""A connection is one, and the file that is being sent through it another."""


def needed(connections: int) -> int:
    """Return how many descriptors a process needs that serves so many connections."""
    return _RESERVED + _EACH * connections


def raise_limit() -> None:
    """Let this process have what the usual number of connections needs, as far as it is allowed to.

    Login shells and services are given 1 024 and may have far more.  What it starts inherits that.
    """
    try:
        import resource
    except ModuleNotFoundError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed(Limits().connections)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def within_descriptors(limits: Limits) -> Limits:
    """Return limits with no more connections than this process has descriptors for."""
    try:
        import resource
    except ModuleNotFoundError:
        return limits
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed(limits.connections):
        return limits
    return replace(limits, connections=max(1, (soft - min(_RESERVED, soft // 2)) // _EACH))

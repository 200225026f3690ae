"""How many files and connections this process may have open at once (getrlimit(2), RLIMIT_NOFILE).

Login shells and services allow 1024 for the sake of programs that use select(2), and far more to
whoever asks: a gateway asks.  Who is out of them can neither accept nor open what it is asked for, so
what takes many keeps to a share.  What a gateway starts has what it would have had without,
see `started_with`.
"""

from __future__ import annotations

import logging
from typing import Final

try:
    import resource
except ModuleNotFoundError:  # not POSIX
    resource = None  # type: ignore[assignment]

ENOUGH: Final = 12 << 10
"""Asked for at most: 4096 connections, the most that a server takes, fit into their share of it."""

UNKNOWN: Final = 1024
"""What is taken for the limit where nobody can tell."""

PACKS_SHARE: Final = 4
"""One in so many may be a pack's that is remembered."""

_OTHERS: Final = 256
"""For the catalog's connections, logs, event descriptors of threads, and modules that are loaded late."""

_log = logging.getLogger(__name__)


def descriptor_limits() -> tuple[int, int]:
    """Return the soft and the hard limit; ENOUGH stands for none."""
    if resource is None:
        return UNKNOWN, UNKNOWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = resource.RLIM_INFINITY
    return ENOUGH if soft == infinite else soft, ENOUGH if hard == infinite else hard


started_with: Final = descriptor_limits()[0]
"""The limit of this process before `raise_descriptor_limit`."""


def raise_descriptor_limit() -> int:
    """Allow this process as many descriptors as it may have, up to ENOUGH; return how many."""
    soft, hard = descriptor_limits()
    wanted = min(hard, ENOUGH)
    if resource is None or wanted <= soft:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    except (ValueError, OSError) as error:  # macOS allows less than its hard limit says
        _log.debug("the limit of open files stays at %d: %s", soft, error)
        return soft
    return wanted


def packs_that_fit() -> int:
    """Return how many packs may be open before what is remembered of them is forgotten."""
    return descriptor_limits()[0] // PACKS_SHARE


def connections_that_fit() -> int:
    """Return how many connections a server may have: each is one, and a second while a file is sent."""
    limit = descriptor_limits()[0]
    rest = limit - limit // PACKS_SHARE
    return max(1, (rest - min(_OTHERS, rest // 2)) // 2)

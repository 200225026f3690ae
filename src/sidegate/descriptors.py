"""How many files and connections this process may have open at once (getrlimit(2), RLIMIT_NOFILE).

Shells allow 1024 for the sake of programs that use select(2), and far more to whoever asks: a
gateway with a thousand connections and as many packs asks.  What it starts is to have what it
would have had without, see `started_with`.
"""

from __future__ import annotations

import logging
from typing import Final

try:
    import resource
except ModuleNotFoundError:  # not POSIX
    resource = None  # type: ignore[assignment]

ENOUGH: Final = 65536
"""Asked for at most: some programs go through all that they may have when they start another."""

UNKNOWN: Final = 1024
"""What is taken for the limit where nobody can tell."""

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


def descriptor_limit() -> int:
    """Return how many descriptors this process may have now."""
    return descriptor_limits()[0]


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

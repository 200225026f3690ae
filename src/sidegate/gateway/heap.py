"""How much freed memory a gateway keeps for its next answers: as glibc does by itself, sooner or later.

glibc gives pieces above 128 KiB back to the system when they are freed, and what lies free at the
end of the heap above that.  A page of a listing is 300 KB of text: each found its memory anew, a fault
for each 4 KiB, and took 520 us in the place of 210 (Zen 4, glibc 2.36, 2026-11).  Once a larger
piece was freed, glibc raises both bounds to what it was and twice that (mallopt(3), "dynamic mmap
threshold"), so that it depended on what came before.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Final

MMAP_THRESHOLD_BYTES: Final = 4 << 20
"""What glibc would have raised it to by the largest chunk there is."""

_VARIABLES: Final = frozenset({"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"})
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory(environment: Mapping[str, str]) -> bool:
    """Set both bounds of this process for good; return whether they are set.

    They are not where the environment does, or the C library has none.  With them the heap
    keeps at most twice MMAP_THRESHOLD_BYTES free at its end.
    """
    if not _VARIABLES.isdisjoint(environment) or "glibc.malloc" in environment.get("GLIBC_TUNABLES", ""):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    return bool(
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
        and mallopt(_M_TRIM_THRESHOLD, 2 * MMAP_THRESHOLD_BYTES)
    )

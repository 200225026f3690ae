"""How much one connection may send before others have a turn: it depends on who else is there.

A turn costs some 10 us, and whoever wants a small answer waits until those of
large ones are over.  So turns are long, but while quick answers are given.
"""

from __future__ import annotations

from sidegate.scheduling import quick_answers

LONG_BYTES = 4 << 20
"""About 0.5 ms of loopback.  A GET of 8 MiB costs 3 % more in turns of 1 MiB, 7 % in such of 512 KiB
(Zen 4, Linux 6.18, 2026-11)."""

SHORT_BYTES = 512 << 10
"""With these, four who take large objects delay one who takes small ones as by a bare server."""


def turn_bytes() -> int:
    """Return what may be sent in a turn that begins now."""
    return SHORT_BYTES if quick_answers.are_expected() else LONG_BYTES

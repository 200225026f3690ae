"""Where in its block a body begins: so that what is to be stored lies on a page boundary.

A body in aws-chunked framing begins with a line, its payload behind that.  Whoever takes the
framing off leaves the payload where it is, and the kernel copies memory into a file faster where it
lies as the file's pages do (`blocks`).  This is a guess, by the first bytes alone: it
changes what it costs to store a body and nothing else.
"""

from __future__ import annotations

import mmap
import re

# The size in hex, and what may follow it: a signature (`native.framing`).
_CHUNK_HEADER = re.compile(rb"[0-9A-Fa-f]{1,16}(?:;[^\r\n]{0,512})?\r\n").match


def begin_in(block_bytes: int, begun: bytes | memoryview) -> int:
    """Return where in a block of this size to put a body that begins so."""
    header = _CHUNK_HEADER(begun)
    start = -header.end() % mmap.PAGESIZE if header is not None else 0
    return start if start + len(begun) < block_bytes else 0

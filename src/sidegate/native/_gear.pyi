from typing import final

from typing_extensions import Buffer

def use_filter(level: int) -> int:
    """Scan with the filter of `ext/gear_filter.h` of at most a level; return which is used now.

    0: none, 1: AVX2, 2: AVX-512.  For tests and measurements: the cuts are the same.
    """

@final
class GearScanner:
    """Finds the ends of chunks in a stream, wherever its blocks are split.

    The rule is `sidegate.native.cut_rule.CutRule`, whose errors it raises.  A
    scanner belongs to one thread at a time.  Large blocks are scanned without
    the GIL; the buffer is read in place and released before `scan` returns.
    """

    def __init__(self, min_bytes: int, average_bytes: int, max_bytes: int) -> None: ...
    @property
    def chunk_bytes(self) -> int:
        """Bytes scanned of the current chunk, which has not ended."""

    def reset(self) -> None:
        """Forget the current chunk; the next byte begins a new one."""

    def scan(self, data: Buffer) -> int:
        """Continue the current chunk over `data`, to its end if that is there.

        Returns the count of bytes up to and including the chunk's last, from 1
        to the length of `data`, and begins a new chunk; the rest of `data` is
        the caller's to scan again.  Returns -1 when all of `data` belongs to
        the current chunk and it goes on.  Raises TypeError when `data` is no
        buffer, BufferError when it is not contiguous.
        """

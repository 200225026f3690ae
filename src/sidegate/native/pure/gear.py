"""The gear scan in its plainest form: the definition of every cut.

Content-defined chunking with a gear hash and normalised masks, after FastCDC
(Xia et al., USENIX ATC 2016).  This is the reference: `ext/gear.pyx` must cut
at the same bytes.  It knows nothing of files or hashes of chunks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidegate.native.cut_rule import cut_rule, gear_table
from sidegate.native.pure.byte_view import byte_view

if TYPE_CHECKING:
    from typing_extensions import Buffer

_WORD = (1 << 64) - 1


class GearScanner:
    """Finds the ends of chunks in a stream; see `sidegate.native._gear`."""

    __slots__ = ("_chunk_bytes", "_hash", "_rule")

    def __init__(self, min_bytes: int, average_bytes: int, max_bytes: int) -> None:
        self._rule = cut_rule(min_bytes, average_bytes, max_bytes)
        self.reset()

    @property
    def chunk_bytes(self) -> int:
        return self._chunk_bytes

    def reset(self) -> None:
        self._hash = 0
        self._chunk_bytes = 0

    def scan(self, data: Buffer) -> int:
        with byte_view(data) as view:
            return self._scan(view)

    def _scan(self, view: memoryview) -> int:
        rule, table = self._rule, gear_table()
        strict, loose = rule.strict_mask, rule.loose_mask
        length, hash_ = self._chunk_bytes, self._hash
        skipped = min(len(view), max(0, rule.unhashed_bytes - length))
        length += skipped
        for offset in range(skipped, len(view)):
            hash_ = ((hash_ << 1) + table[view[offset]]) & _WORD
            length += 1
            if length < rule.min_bytes:
                continue
            mask = strict if length < rule.average_bytes else loose
            if hash_ & mask == 0 or length == rule.max_bytes:
                self.reset()
                return offset + 1
        self._chunk_bytes, self._hash = length, hash_
        return -1

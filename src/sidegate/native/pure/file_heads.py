"""What a listing says of files in its plainest form: the definition.

It is the head of each file's record; `ext/file_heads.pyx` must agree.
"""

from __future__ import annotations

from typing import NamedTuple

from sidegate.native.index_format import HAS_HASH, HASH_BYTES, check_record_head, torn_record
from sidegate.native.pure.index import IndexNode
from sidegate.native.pure.stored_bytes import Reader, Torn


class Summary(NamedTuple):
    """What the head of a file record says."""

    size_bytes: int
    tag: str
    modified_us: int


def read_summary(record: bytes) -> Summary:
    """Read the head of a file record; raises Corrupt."""
    reader = Reader(record, 0)
    try:
        version, flags = reader.integer(), reader.integer()
        check_record_head(version, flags)
        size_bytes = reader.integer()
        if flags & HAS_HASH:
            reader.take(HASH_BYTES)
        return Summary(size_bytes, reader.bytes().decode(), reader.integer())
    except (Torn, UnicodeDecodeError):
        raise torn_record(reader.offset) from None


class FileHeads:
    """What a listing says of a leaf's files; see `sidegate.native._file_heads`."""

    level = 0

    def __init__(self, leaf: IndexNode) -> None:
        if leaf.level != 0:
            raise ValueError(f"a node of level {leaf.level} has no files")
        self.used = False
        self.keys = leaf.keys
        self.values = [read_summary(value) for value in leaf.values]
        self.memory_bytes = sum(map(len, self.keys)) + 300 * len(self.keys)

    def __len__(self) -> int:
        return len(self.keys)

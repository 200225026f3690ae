"""The bytes of a pack: header, records, footer index; docs/formats.md has the tables.

Knows no file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from operator import itemgetter
from typing import NamedTuple

from blake3 import blake3

from sidegate.pfs.compression import RAW
from sidegate.pfs.ids import ChunkId

PAGE_BYTES = 4096
ALIGNED_FROM_BYTES = 16 << 10
"""Raw payloads from this size on start on a page boundary: sendfile from an
unaligned offset costs three times as much (measured, Zen 4, Linux 6.18)."""

HEADER = struct.Struct("<8s16sQ28xI")
RECORD = struct.Struct("<4sB3xII32s12xI")
INDEX_ENTRY = struct.Struct("<32sQIIB7x")
TRAILER = struct.Struct("<8sQQ32s4xI")
PACK_MAGIC = b"SGPACK01"
RECORD_MAGIC = b"SGRC"
INDEX_MAGIC = b"SGPIDX01"
HEADER_BYTES = HEADER.size
RECORD_BYTES = RECORD.size

_CHUNK = itemgetter(0)


class PackRecord(NamedTuple):
    """One chunk in a pack: where its payload lies and how it is encoded."""

    chunk: ChunkId
    offset: int
    stored_bytes: int
    plain_bytes: int
    encoding: int


def sealed_by_crc(layout: struct.Struct, *fields: object) -> bytes:
    """Pack `fields` and a final CRC-32 of everything before it."""
    body = layout.pack(*fields, 0)[:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def crc_holds(data: bytes) -> bool:
    """Whether data ends with the CRC-32 of what is before."""
    return zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little")


def record_offset(position: int, encoding: int, stored_bytes: int) -> int:
    """Return where the record header goes when the pack ends at `position`."""
    start = -(-position // 8) * 8
    if encoding == RAW and stored_bytes >= ALIGNED_FROM_BYTES:
        return -(-(start + RECORD_BYTES) // PAGE_BYTES) * PAGE_BYTES - RECORD_BYTES
    return start


def encode_footer(records: list[PackRecord], offset: int) -> bytes:
    """Return the footer index of a pack whose records end at `offset`."""
    # Later ones of the same chunk lie behind.  By whole records it takes three times as long.
    index = encode_records(sorted(records, key=_CHUNK))
    trailer = sealed_by_crc(TRAILER, INDEX_MAGIC, offset, len(records), blake3(index).digest())
    return index + trailer


def encode_records(records: Iterable[PackRecord]) -> bytes:
    """Return records as entries of a footer index."""
    return b"".join([INDEX_ENTRY.pack(*record) for record in records])


def decode_records(entries: bytes) -> list[PackRecord]:
    """Return the records of entries of a footer index."""
    return list(map(PackRecord._make, INDEX_ENTRY.iter_unpack(entries)))

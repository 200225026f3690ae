"""Pack files as they are read: append-only, self-describing containers of chunks.

Decides how one is read, sealed or not, and how a torn one is recovered; knows nothing of
the catalog.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from sidegate.errors import Corrupt
from sidegate.pfs.compression import decode_payload
from sidegate.pfs.disk import sync_data
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.pack_format import (
    HEADER_BYTES,
    INDEX_ENTRY,
    INDEX_MAGIC,
    PACK_MAGIC,
    PAGE_BYTES,
    RECORD,
    RECORD_BYTES,
    RECORD_MAGIC,
    TRAILER,
    PackRecord,
    crc_holds,
    decode_records,
    encode_footer,
)

_SEARCH_BYTES = 1 << 20
"""A multiple of 8, like every record's place: no magic lies across two blocks."""


class PackMissing(Corrupt):
    """The file of a pack is not there."""


@dataclass(slots=True, weakref_slot=True)
class PackFile:
    """A pack open for reading; its descriptor closes with the last reference."""

    path: Path
    fd: int

    @classmethod
    def open(cls, path: Path) -> PackFile:
        """Open a pack; raises PackMissing when the file is gone."""
        try:
            return cls(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            raise PackMissing(
                f"pack file {path.name} is missing", remedy="run `sidegate fsck`", path=str(path)
            ) from None

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)

    @property
    def size_bytes(self) -> int:
        """How long the file is now."""
        return os.fstat(self.fd).st_size

    @property
    def is_removed(self) -> bool:
        """Whether no name leads to the file any more, so that its room is free once it is closed."""
        return os.fstat(self.fd).st_nlink == 0

    def read(self, offset: int, length: int) -> bytes:
        """Read exactly `length` bytes; raises Corrupt when the file is shorter."""
        data = os.pread(self.fd, length, offset)
        while len(data) < length:
            more = os.pread(self.fd, length - len(data), offset + len(data))
            if not more:
                raise Corrupt(f"pack file {self.path.name} ends before byte {offset + length}")
            data += more
        return data


def read_index(pack: PackFile) -> list[PackRecord] | None:
    """Return a sealed pack's records from its footer, None if it is unsealed."""
    size = pack.size_bytes
    if size < HEADER_BYTES + TRAILER.size:
        return None
    trailer = pack.read(size - TRAILER.size, TRAILER.size)
    magic, offset, count, digest, _ = TRAILER.unpack(trailer)
    if magic != INDEX_MAGIC or not crc_holds(trailer):
        return None
    index = pack.read(offset, count * INDEX_ENTRY.size)
    if blake3(index).digest() != digest:
        raise Corrupt(f"pack file {pack.path.name} has a damaged footer index")
    return decode_records(index)


def read_pack_name(pack: PackFile) -> str:
    """Return the name in a pack's header; raises Corrupt if there is none."""
    header = pack.read(0, HEADER_BYTES)
    if header[:8] != PACK_MAGIC or not crc_holds(header):
        raise Corrupt(f"{pack.path.name} is not a pack file of a version this release reads")
    return header[8:24].hex()


def scan(pack: PackFile) -> Iterator[PackRecord]:
    """Yield the whole records of a pack from its start, each checked by hash.

    Passes over a record whose payload does not match its id, and over bytes in
    which there is no record header.
    """
    size = pack.size_bytes
    if size < HEADER_BYTES:
        return
    read_pack_name(pack)
    position = HEADER_BYTES
    while (found := _next_record(pack, position, size)) is not None:
        position = found.offset + found.stored_bytes
        if position > size:
            return
        payload = pack.read(found.offset, found.stored_bytes)
        if payload_holds(found, payload):
            yield found


def payload_holds(record: PackRecord, payload: bytes) -> bool:
    """Whether a payload decodes to the bytes that its chunk id names."""
    try:
        plain = decode_payload(record.encoding, payload, record.plain_bytes)
    except Corrupt:
        return False
    return blake3(plain).digest() == record.chunk


def _next_record(pack: PackFile, position: int, size: int) -> PackRecord | None:
    """Return the first record from `position` on, wherever alignment or damage has put it."""
    start = -(-position // 8) * 8
    record = _record_at(pack, start, size)
    length = 2 * PAGE_BYTES  # enough unless something is damaged
    while record is None and start + RECORD_BYTES <= size:
        block = pack.read(start, min(length, size - start))
        at = block.find(RECORD_MAGIC)
        while record is None and at >= 0:
            record = _record_at(pack, start + at, size) if at % 8 == 0 else None
            at = block.find(RECORD_MAGIC, at + 1)
        start += length
        length = _SEARCH_BYTES
    return record


def _record_at(pack: PackFile, offset: int, size: int) -> PackRecord | None:
    if offset + RECORD_BYTES > size:
        return None
    header = pack.read(offset, RECORD_BYTES)
    magic, encoding, stored_bytes, plain_bytes, chunk, _ = RECORD.unpack(header)
    if magic != RECORD_MAGIC or not crc_holds(header):
        return None
    return PackRecord(ChunkId(chunk), offset + RECORD_BYTES, stored_bytes, plain_bytes, encoding)


def recover(path: Path) -> list[PackRecord] | None:
    """Cut an abandoned pack after its last whole record and seal it.

    Returns its records, or None while its writer is alive.  Calling it on a
    sealed pack only reads it.  Raises PackMissing, Corrupt.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise PackMissing(f"pack file {path.name} is missing", path=str(path)) from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        pack = PackFile(path, os.dup(fd))
        try:
            records = read_index(pack)
        except Corrupt:
            records = None  # torn while it was written: made anew below
        if records is not None:
            return records
        records = list(scan(pack))
        end = max((r.offset + r.stored_bytes for r in records), default=HEADER_BYTES)
        os.ftruncate(fd, end)
        os.pwrite(fd, encode_footer(records, end), end)
        sync_data(fd)
        return records
    finally:
        os.close(fd)

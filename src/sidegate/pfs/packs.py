"""Pack files: append-only, self-describing containers of chunks.

Decides the bytes of a pack and how a torn one is recovered; knows nothing of
the catalog.  One process writes a pack and holds an exclusive `flock` on it
until it is sealed, so whoever gets that lock on an unsealed pack knows its
writer is gone.  Format: docs/formats.md.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from sidegate.errors import Corrupt, SidegateError
from sidegate.pfs.compression import RAW, decode_payload
from sidegate.pfs.disk import begin_writing, explained_disk_errors, sync_data
from sidegate.pfs.ids import Buffer, ChunkId
from sidegate.pfs.pack_files import pack_path, sync_entry

PACK_BYTES = 64 << 20
PAGE_BYTES = 4096
ALIGNED_FROM_BYTES = 16 << 10
"""Raw payloads from this size on start on a page boundary: sendfile from an
unaligned offset costs three times as much (measured, Zen 4, Linux 6.18)."""

RESERVED_AHEAD_BYTES = 8 << 20
"""Writing chunks into reserved blocks costs 0.15 CPU-s/GB, without 0.23 (ext4, 2026-11).  A pack
that stays smaller than this reserves nothing; zeros after the last record mean nothing."""

_SEARCH_BYTES = 1 << 20
"""A multiple of 8, like every record's place: no magic lies across two blocks."""

_HEADER = struct.Struct("<8s16sQ28xI")
_RECORD = struct.Struct("<4sB3xII32s12xI")
_INDEX_ENTRY = struct.Struct("<32sQIIB7x")
_TRAILER = struct.Struct("<8sQQ32s4xI")
_PACK_MAGIC = b"SGPACK01"
_RECORD_MAGIC = b"SGRC"
_INDEX_MAGIC = b"SGPIDX01"
HEADER_BYTES = _HEADER.size
RECORD_BYTES = _RECORD.size


Payload = tuple[ChunkId, int, Sequence[Buffer], int]
"""A chunk to be written: its id, encoding, encoded bytes in pieces, plain size."""

_CHUNK = itemgetter(0)

_PIECES_AT_ONCE = 1000
"""The kernel takes 1024 buffers at once (IOV_MAX, limits.h)."""


class PackMissing(Corrupt):
    """The file of a pack is not there."""


class PackRecord(NamedTuple):
    """One chunk in a pack: where its payload lies and how it is encoded."""

    chunk: ChunkId
    offset: int
    stored_bytes: int
    plain_bytes: int
    encoding: int


def _sealed_by_crc(layout: struct.Struct, *fields: object) -> bytes:
    """Pack `fields` and a final CRC-32 of everything before it."""
    body = layout.pack(*fields, 0)[:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def _crc_holds(data: bytes) -> bool:
    return zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little")


def record_offset(position: int, encoding: int, stored_bytes: int) -> int:
    """Return where the record header goes when the pack ends at `position`."""
    start = -(-position // 8) * 8
    if encoding == RAW and stored_bytes >= ALIGNED_FROM_BYTES:
        return -(-(start + RECORD_BYTES) // PAGE_BYTES) * PAGE_BYTES - RECORD_BYTES
    return start


class PackWriter:
    """The one open pack of a writing process; safe to use from several threads."""

    def __init__(self, directory: Path, created_us: int) -> None:
        pack_id = secrets.token_bytes(16)
        self.name = pack_id.hex()
        self.path = pack_path(directory, self.name)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._records: list[PackRecord] = []
        self._lock = threading.Lock()
        self._synced_end = 0
        self._sealed = False
        self._failure: OSError | None = None
        header = _sealed_by_crc(_HEADER, _PACK_MAGIC, pack_id, created_us)
        os.pwrite(self._fd, header, 0)
        self.position = self._end = len(header)
        self._reserved_end = RESERVED_AHEAD_BYTES

    def append(
        self, chunk: ChunkId, encoding: int, payload: Sequence[Buffer], plain_bytes: int
    ) -> PackRecord:
        """Write one chunk, its payload in pieces; return its record.  In the page cache on return."""
        return self.append_many([(chunk, encoding, payload, plain_bytes)])[0]

    def append_many(self, payloads: Sequence[Payload]) -> list[PackRecord]:
        """Write chunks one after the other, all or none; return their records."""
        with self._lock:
            records, pieces = _place(self.position, payloads)
            first = records[0].offset - RECORD_BYTES
            self._reserve(records[-1].offset + records[-1].stored_bytes)
            try:
                with explained_disk_errors():
                    _write_all(self._fd, pieces, first)
            except (OSError, SidegateError):
                # A torn record in front of a later one would hide it from recovery.
                os.ftruncate(self._fd, self.position)
                self._reserved_end = self.position
                raise
            self.position = self._end = records[-1].offset + records[-1].stored_bytes
            self._records += records
        return records

    def _reserve(self, end: int) -> None:
        """Have the file system find room ahead, once the pack is no small one."""
        if end <= self._reserved_end:
            return
        start = self._reserved_end
        self._reserved_end = end + RESERVED_AHEAD_BYTES
        # The write itself tells of a disk that is full or broken, and finds room where this cannot.
        if hasattr(os, "posix_fallocate"):
            with suppress(OSError):
                os.posix_fallocate(self._fd, start, self._reserved_end - start)

    def sync(self) -> None:
        """Return once all that was written before the call is on disk.

        An error is raised again by every later call: the kernel tells it once.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            end = self._end
            if end == self._synced_end:
                return
            # Closing may close the descriptor meanwhile.
            fd = os.dup(self._fd)
            first = self._synced_end == 0
        try:
            sync_data(fd)
            if first:
                sync_entry(self.path)
        except OSError as error:
            self._failure = error
            raise
        finally:
            os.close(fd)
        with self._lock:
            self._synced_end = max(self._synced_end, end)

    def begin_sync(self) -> bool:
        """Have the kernel write all that was written, bit by bit; False where it cannot be asked."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            return begin_writing(fd, paced=True)
        finally:
            os.close(fd)

    @property
    def synced(self) -> bool:
        """Whether all that was written is on disk."""
        with self._lock:
            return self._synced_end == self._end

    @property
    def sealed(self) -> bool:
        """Whether the footer index is written."""
        return self._sealed

    def seal(self) -> None:
        """Write the footer index, once: the pack is immutable then, and durable after `sync`.

        Nothing may be appended any more.  The lock on it stays until `close`: the catalog may not
        know it yet.  Raises OSError, and may be tried again.
        """
        if self._sealed:
            return
        # Not under the lock, for which a `sync` would wait: 10 ms for 15 000 small chunks.
        footer = _footer(self._records, self.position)
        with self._lock:
            if not self._sealed:
                os.ftruncate(self._fd, self.position)
                _write_all(self._fd, (footer,), self.position)
                self._end = self.position + len(footer)
                self._sealed = True

    def close(self) -> None:
        """Give up the lock; whether sealed or not, the writer is done."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def _place(position: int, payloads: Sequence[Payload]) -> tuple[list[PackRecord], list[Buffer]]:
    """Return the records of payloads behind `position`, and what to write from the first header on."""
    records: list[PackRecord] = []
    pieces: list[Buffer] = []
    for chunk, encoding, payload, plain_bytes in payloads:
        stored_bytes = sum(map(len, payload))
        start = record_offset(position, encoding, stored_bytes)
        if records and start > position:
            pieces.append(bytes(start - position))
        pieces.append(_sealed_by_crc(_RECORD, _RECORD_MAGIC, encoding, stored_bytes, plain_bytes, chunk))
        pieces += payload
        records.append(PackRecord(chunk, start + RECORD_BYTES, stored_bytes, plain_bytes, encoding))
        position = start + RECORD_BYTES + stored_bytes
    return records, pieces


def _write_all(fd: int, pieces: Sequence[Buffer], offset: int) -> None:
    for first in range(0, len(pieces), _PIECES_AT_ONCE):
        offset += _write_some(fd, pieces[first : first + _PIECES_AT_ONCE], offset)


def _write_some(fd: int, pieces: Sequence[Buffer], offset: int) -> int:
    total = sum(map(len, pieces))
    written = os.pwritev(fd, pieces, offset)
    if written == total:
        return total
    for piece in pieces:
        skipped = min(written, len(piece))
        written -= skipped
        offset += skipped
        view = memoryview(piece)[skipped:]
        while view:
            count = os.pwrite(fd, view, offset)
            offset += count
            view = view[count:]
    return total


def _footer(records: list[PackRecord], offset: int) -> bytes:
    # Later ones of the same chunk lie behind.  By whole records it takes three times as long.
    index = encode_records(sorted(records, key=_CHUNK))
    trailer = _sealed_by_crc(_TRAILER, _INDEX_MAGIC, offset, len(records), blake3(index).digest())
    return index + trailer


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
    if size < HEADER_BYTES + _TRAILER.size:
        return None
    trailer = pack.read(size - _TRAILER.size, _TRAILER.size)
    magic, offset, count, digest, _ = _TRAILER.unpack(trailer)
    if magic != _INDEX_MAGIC or not _crc_holds(trailer):
        return None
    index = pack.read(offset, count * _INDEX_ENTRY.size)
    if blake3(index).digest() != digest:
        raise Corrupt(f"pack file {pack.path.name} has a damaged footer index")
    return decode_records(index)


def encode_records(records: Iterable[PackRecord]) -> bytes:
    """Return records as entries of a footer index."""
    return b"".join([_INDEX_ENTRY.pack(*record) for record in records])


def decode_records(entries: bytes) -> list[PackRecord]:
    """Return the records of entries of a footer index."""
    return list(map(PackRecord._make, _INDEX_ENTRY.iter_unpack(entries)))


def read_pack_name(pack: PackFile) -> str:
    """Return the name in a pack's header; raises Corrupt if there is none."""
    header = pack.read(0, HEADER_BYTES)
    if header[:8] != _PACK_MAGIC or not _crc_holds(header):
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
        at = block.find(_RECORD_MAGIC)
        while record is None and at >= 0:
            record = _record_at(pack, start + at, size) if at % 8 == 0 else None
            at = block.find(_RECORD_MAGIC, at + 1)
        start += length
        length = _SEARCH_BYTES
    return record


def _record_at(pack: PackFile, offset: int, size: int) -> PackRecord | None:
    if offset + RECORD_BYTES > size:
        return None
    header = pack.read(offset, RECORD_BYTES)
    magic, encoding, stored_bytes, plain_bytes, chunk, _ = _RECORD.unpack(header)
    if magic != _RECORD_MAGIC or not _crc_holds(header):
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
        os.pwrite(fd, _footer(records, end), end)
        sync_data(fd)
        return records
    finally:
        os.close(fd)

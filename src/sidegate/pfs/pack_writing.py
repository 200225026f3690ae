"""Writing packs: one process writes one, and appends.

It holds an exclusive `flock` on it until all of it is in the catalog, so whoever gets that lock on
an unsealed pack knows its writer is gone (`packs.recover`).
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from sidegate.errors import SidegateError
from sidegate.pfs.disk import begin_writing, explained_disk_errors, sync_data
from sidegate.pfs.ids import Buffer, ChunkId
from sidegate.pfs.pack_files import pack_path, sync_entry
from sidegate.pfs.pack_format import (
    HEADER,
    PACK_MAGIC,
    RECORD,
    RECORD_BYTES,
    RECORD_MAGIC,
    PackRecord,
    encode_footer,
    record_offset,
    sealed_by_crc,
)
from sidegate.scheduling import give_way, quick_answers

PACK_BYTES = 64 << 20

RESERVED_AHEAD_BYTES = 8 << 20
"""Writing chunks into reserved blocks costs 0.15 CPU-s/GB, without 0.23 (ext4, 2026-11).  A pack
that stays smaller than this reserves nothing; zeros after the last record mean nothing."""

Payload = tuple[ChunkId, int, Sequence[Buffer], int]
"""A chunk to be written: its id, encoding, encoded bytes in pieces, plain size."""

SHORT_WRITE_BYTES = 128 << 10
"""Written at a time while quick answers are given, some 40 us."""

_PIECES_AT_ONCE = 1000
"""The kernel takes 1024 buffers at once (IOV_MAX, limits.h)."""


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
        header = sealed_by_crc(HEADER, PACK_MAGIC, pack_id, created_us)
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
        footer = encode_footer(self._records, self.position)
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
        pieces.append(sealed_by_crc(RECORD, RECORD_MAGIC, encoding, stored_bytes, plain_bytes, chunk))
        pieces += payload
        records.append(PackRecord(chunk, start + RECORD_BYTES, stored_bytes, plain_bytes, encoding))
        position = start + RECORD_BYTES + stored_bytes
    return records, pieces


def _write_all(fd: int, pieces: Sequence[Buffer], offset: int) -> None:
    if sum(map(len, pieces)) > SHORT_WRITE_BYTES and quick_answers.are_expected():
        for step in _short_steps(pieces):
            offset += _write_some(fd, step, offset)
            give_way()
        return
    for first in range(0, len(pieces), _PIECES_AT_ONCE):
        offset += _write_some(fd, pieces[first : first + _PIECES_AT_ONCE], offset)


def _short_steps(pieces: Sequence[Buffer]) -> Iterator[list[Buffer]]:
    """Yield all bytes in order, a few pieces or parts of them at a time."""
    step: list[Buffer] = []
    room = SHORT_WRITE_BYTES
    for piece in pieces:
        rest = memoryview(piece)
        while len(rest):
            if not room or len(step) == _PIECES_AT_ONCE:
                yield step
                step, room = [], SHORT_WRITE_BYTES
            part, rest = rest[:room], rest[room:]
            step.append(part)
            room -= len(part)
    yield step


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

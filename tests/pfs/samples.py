"""What the tests of the store build with: a clock, bytes, chunks in memory, a crash."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from blake3 import blake3

from sidegate.errors import Corrupt
from sidegate.pfs.extent_lists import load_extents
from sidegate.pfs.extents import Extent
from sidegate.pfs.files import Attributes, FileRecord
from sidegate.pfs.ids import Buffer, ChunkId
from sidegate.pfs.store import Store

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US


class Clock:
    """A clock that moves by one microsecond a call, and by hand."""

    def __init__(self) -> None:
        self.now_us = time.time_ns() // 1000

    def __call__(self) -> int:
        self.now_us += 1
        return self.now_us

    def advance(self, microseconds: int) -> None:
        self.now_us += microseconds


class MemoryChunks:
    """A chunk store in memory, for what needs only put and get."""

    def __init__(self) -> None:
        self.stored: dict[ChunkId, bytes] = {}

    def put(self, plain: Buffer) -> ChunkId:
        chunk = ChunkId(blake3(plain).digest())
        self.stored[chunk] = bytes(plain)
        return chunk

    put_raw = put

    def get(self, chunk: ChunkId) -> bytes:
        if chunk not in self.stored:
            raise Corrupt(f"chunk {chunk.hex()} is not in the store")
        return self.stored[chunk]


def noise(size_bytes: int, seed: object = 0) -> bytes:
    """Return bytes that do not compress, the same for the same seed."""
    return blake3(repr(seed).encode()).digest(length=size_bytes) if size_bytes else b""


def put(store: Store, data: bytes, *, attributes: Attributes = (), parts: int = 1) -> FileRecord:
    """Store `data` cut in one go; return its record."""
    cutter = store.cutter()
    cutter.write(data)
    return store.record(cutter.finish(), attributes=attributes, parts=parts)


def content(store: Store, record: FileRecord, offset: int = 0, end: int | None = None) -> bytes:
    """Return a file's bytes."""
    return b"".join(store.read(record, offset, end))


def extents_of(store: Store, record: FileRecord) -> tuple[Extent, ...]:
    """Return all extents of a record, wherever they are kept."""
    return tuple(load_extents(store.chunks, record.extents))


def commit_files(store: Store, repo: str, files: dict[str, bytes | None], branch: str = "master"):
    """Write `files` (None removes) to a branch and finish; returns the commit."""
    changes = [(path, put(store, data) if data is not None else None) for path, data in files.items()]
    store.stagings.write_open(repo, branch, changes)
    return store.finish_open(repo, branch)[-1]


def crash(store: Store) -> None:
    """End a store as kill -9 would: nothing sealed, nothing flushed, no lock kept."""
    for thread in threading.enumerate():
        if thread.name == "pack-sync":  # it would hold the lock a little longer than a dead process
            thread.join()
    for writer in [store.chunks._writer, *store.chunks._full]:
        if writer is not None:
            writer.close()
    for name, fd in list(store.locks._held.items()):
        store.locks._held.pop(name)
        os.close(fd)
    store.database.close()


def undo_transaction(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a durable transaction fail because the disk does, with what was put into the store until now."""

    def broken() -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(store.chunks, "sync", broken)
        with pytest.raises(OSError, match="Input/output"):
            store.database.write(lambda connection: None, durable=True)


def pack_files(store: Store) -> list[Path]:
    """Return the pack files of a store."""
    return sorted((store.directory / "packs").rglob("*.pack"))

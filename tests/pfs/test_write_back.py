from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from pfs.samples import noise
from sidegate.pfs import chunks as chunks_module
from sidegate.pfs import disk, pack_writing
from sidegate.pfs.catalog.schema import PACKS
from sidegate.pfs.pack_writing import PackWriter
from sidegate.pfs.store import Store
from sidegate.pfs.write_back import SYNCED_TOGETHER, write_back


class Pack:
    """A full pack that notes what becomes of it."""

    def __init__(self, *, asks: bool = True, broken: bool = False) -> None:
        self.seals = 0
        self.events: list[str] = []
        self._asks = asks
        self._broken = broken

    def seal(self) -> None:
        assert not self.events
        self.seals += 1

    def begin_sync(self) -> bool:
        self.events.append("begin")
        return self._asks

    def sync(self) -> None:
        self.events.append("sync")
        if self._broken:
            raise OSError(5, "Input/output error")


def written_back(*unsynced: Pack) -> list[list[str]]:
    write_back(unsynced)  # type: ignore[arg-type]
    join_threads()
    assert [pack.seals for pack in unsynced] == [1] * len(unsynced)
    return [pack.events for pack in unsynced]


def join_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "pack-sync":
            thread.join()


@pytest.fixture
def no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_sync_file_range", lambda: None)


@pytest.mark.parametrize("count", [1, SYNCED_TOGETHER - 1, SYNCED_TOGETHER + 1])
def test_the_last_pack_begins_to_be_written(count: int) -> None:
    assert written_back(*[Pack() for _ in range(count)]) == [[]] * (count - 1) + [["begin"]]


@pytest.mark.parametrize("count", [SYNCED_TOGETHER, 2 * SYNCED_TOGETHER])
def test_several_are_synced_together(count: int) -> None:
    assert written_back(*[Pack() for _ in range(count)]) == [["sync"]] * count


def test_where_the_kernel_cannot_be_asked_all_are_synced() -> None:
    first, last = written_back(Pack(asks=False), Pack(asks=False))
    assert (first, last) == (["sync"], ["begin", "sync"])


def test_an_error_is_left_to_the_commit() -> None:
    assert written_back(*[Pack(broken=True) for _ in range(SYNCED_TOGETHER)])[0] == ["sync"]


def test_a_pack_that_begins_to_be_written_is_not_synced(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path, created_us=1)
    assert writer.begin_sync() is (disk._sync_file_range() is not None)
    assert not writer.synced
    writer.close()


def test_little_is_under_way_of_a_pack_that_nobody_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []

    def call(fd: int, offset: int, size_bytes: int, flags: int) -> int:
        calls.append((offset >> 20, flags))
        return 0

    monkeypatch.setattr(disk, "_sync_file_range", lambda: call)
    with open(tmp_path / "file", "wb") as file:
        file.truncate(5 << 20)
        assert disk.begin_writing(file.fileno())
        assert calls == [(number, 2) for number in range(5)]
        calls.clear()
        assert disk.begin_writing(file.fileno(), paced=True)
        assert calls == [(0, 2), (1, 2), (2, 2), (0, 1), (3, 2), (1, 1), (4, 2), (2, 1)]


@pytest.mark.usefixtures("no_call")
def test_without_the_call_nothing_is_begun(tmp_path: Path) -> None:
    writer = PackWriter(tmp_path, created_us=1)
    assert writer.begin_sync() is False


def test_an_error_of_the_call_is_raised(tmp_path: Path) -> None:
    if disk._sync_file_range() is None:
        pytest.skip("this system has no sync_file_range")
    with pytest.raises(OSError, match="Bad file descriptor"):
        disk.begin_writing(-1)


def test_a_commit_syncs_what_was_begun(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 50_000)
    synced: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (synced.append(fd), real(fd))[1])
    monkeypatch.setattr(PackWriter, "begin_sync", lambda self: True)
    for number in range(4):
        store.chunks.put(noise(40_000, number))
    join_threads()
    assert synced == []
    sealed = [writer for writer in store.chunks._full if not writer.synced]
    assert sealed
    store.database.write(lambda connection: None, durable=True)
    assert all(writer.synced for writer in sealed)


def test_a_full_pack_that_cannot_be_sealed_is_sealed_later(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 50_000)
    real = pack_writing.encode_footer

    def full(records: object, offset: int) -> bytes:
        raise OSError(28, "No space left on device")

    with Store.open(directory) as store:
        monkeypatch.setattr(pack_writing, "encode_footer", full)
        chunks = [store.chunks.put(noise(40_000, number)) for number in range(4)]
        join_threads()
        store.database.write(lambda connection: None, durable=True)
        assert [store.chunks.get(chunk) for chunk in chunks] == [noise(40_000, n) for n in range(4)]
        assert len(store.chunks._full) == 1
        assert not store.chunks._full[0].sealed
        monkeypatch.setattr(pack_writing, "encode_footer", real)
    with Store.open(directory) as store:
        with store.database.read() as connection:
            assert connection.execute(select(PACKS.c.sealed)).scalars().all() == [True, True]
        assert [store.chunks.get(chunk) for chunk in chunks] == [noise(40_000, n) for n in range(4)]

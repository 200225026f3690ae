"""A disk that is full or read-only is named, and nothing stored is lost."""

from __future__ import annotations

import errno
import gc
import os
import sqlite3
import weakref
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from pfs.samples import commit_files, content, noise, put
from sidegate.errors import Denied, SidegateError, Unavailable
from sidegate.pfs import chunks as chunks_module
from sidegate.pfs import disk, pack_writing
from sidegate.pfs.catalog.database import _explain
from sidegate.pfs.checking import check
from sidegate.pfs.disk import (
    StorageFull,
    explain_os_error,
    explained_disk_errors,
    find_room,
    sync_data,
)
from sidegate.pfs.reserve import RESERVE_BYTES
from sidegate.pfs.store import Store


def test_an_explained_error_keeps_nothing_in_memory_once_it_is_dealt_with() -> None:
    """In a cycle it would keep the body that was refused, until a collection finds it."""

    class Body:
        pass

    seen: list[weakref.ref[Body]] = []

    def refuse() -> None:
        body = Body()
        seen.append(weakref.ref(body))
        with explained_disk_errors():
            raise OSError(errno.ENOSPC, "no space left")

    gc.disable()
    try:
        with suppress(StorageFull):
            refuse()
        assert [body() for body in seen] == [None]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, Denied),
        (errno.EACCES, Denied),
        (errno.EMFILE, Unavailable),
        (errno.ENFILE, Unavailable),
    ],
)
def test_errors_of_the_system_are_explained(number: int, kind: type[SidegateError]) -> None:
    explained = explain_os_error(OSError(number, "refused"))
    assert isinstance(explained, kind)
    assert explained.remedy


def test_other_errors_are_not() -> None:
    assert explain_os_error(OSError(errno.EBADF, "bad")) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("database or disk is full", StorageFull),
        ("disk I/O error", StorageFull),
        ("attempt to write a readonly database", Denied),
        ("unable to open database file", Denied),
    ],
)
def test_errors_of_the_catalog_are_explained(text: str, kind: type[SidegateError]) -> None:
    assert isinstance(_explain(OperationalError("statement", {}, sqlite3.OperationalError(text))), kind)


def test_a_full_disk_stops_a_write_and_harms_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = commit_files(store, "labs", {"a": b"1"})

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", refuse)
        with pytest.raises(StorageFull, match="is full"):
            put(store, noise(100_000, "large"))
    record = store.tree(commit).get("a")
    assert record is not None
    assert content(store, record) == b"1"
    assert check(store).clean
    put(store, noise(100_000, "large"))


@pytest.fixture
def only_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    """What macOS does not have."""
    for name in ("posix_fallocate", "fdatasync", "sched_getaffinity", "memfd_create"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(disk, "_sync_file_range", lambda: None)


@pytest.mark.usefixtures("only_posix")
def test_a_durable_store_where_there_is_only_posix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 1 << 20)
    monkeypatch.setattr(pack_writing, "RESERVED_AHEAD_BYTES", 64 << 10)
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), real(fd))[1])
    Store.create(tmp_path / "store")
    assert (tmp_path / "store" / "reserve").stat().st_blocks * 512 >= RESERVE_BYTES
    with Store.open(tmp_path / "store", durability="disk") as store:
        store.repos.create("labs")
        commit_files(store, "labs", {f"{n}": noise(600_000, n) for n in range(4)})
    assert synced
    with Store.open(tmp_path / "store") as store:
        assert check(store).clean
        tree = store.tree(store.commits.head("labs", "master"))
        assert content(store, tree.get("3")) == noise(600_000, 3)


@pytest.mark.usefixtures("only_posix")
def test_room_is_found_by_writing(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w+b") as file:
        file.write(b"begin")
        file.flush()
        find_room(file.fileno(), 5, 200_000)
        sync_data(file.fileno())
        assert os.fstat(file.fileno()).st_blocks * 512 >= 200_000
        assert file.read() == bytes(200_000)

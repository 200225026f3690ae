"""A store on a disk without a free block: it can be looked into, checked and made smaller."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from faults.small_disk import fill, small_disk
from pfs.samples import commit_files, noise
from sidegate.cli import main
from sidegate.pfs import reserve as reserve_module
from sidegate.pfs.disk import StorageFull
from sidegate.pfs.reserve import OPENING_BYTES, RESERVE_BYTES
from sidegate.pfs.store import Store


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as place:
        yield place


def make_store(disk: Path, kept_bytes: int, unused_mib: int = 8) -> Path:
    """Return a store with one file, and as much that nothing refers to."""
    directory = disk / ".sidegate"
    Store.create(directory)
    with Store.open(directory) as store:
        store.repos.create("labs")
        commit_files(store, "labs", {"kept": noise(kept_bytes, "kept")})
        for number in range(unused_mib):
            store.chunks.put(noise(1 << 20, number))
    return directory


@pytest.fixture
def full(disk: Path) -> Path:
    """A full disk with a store, half of whose bytes nothing refers to."""
    directory = make_store(disk, kept_bytes=2 << 20)
    fill(disk)
    return directory


def sidegate(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main.sidegate, ["--store", str(directory), *arguments])


def test_it_can_be_read_again_and_again(full: Path) -> None:
    for arguments in (
        ["commit", "list", "labs"],
        ["fsck"],
        ["file", "cat", "labs@master:kept"],
        ["repo", "list"],
    ):
        for _ in range(3):
            result = sidegate(full, *arguments)
            assert result.exit_code == 0, result.output
    assert sidegate(full, "file", "cat", "labs@master:kept").stdout_bytes == noise(2 << 20, "kept")


def test_a_collection_gives_back_space(full: Path, disk: Path) -> None:
    for _ in range(2):
        result = sidegate(full, "gc", "--window", "0s")
        assert result.exit_code == 0, result.output
        fill(disk)
    assert "gave back" in result.output
    assert sum(path.stat().st_size for path in (full / "packs").rglob("*.pack")) < 4 << 20
    assert sidegate(full, "fsck").exit_code == 0
    assert sidegate(full, "file", "cat", "labs@master:kept").stdout_bytes == noise(2 << 20, "kept")


def test_a_collection_beside_a_store_that_is_open(full: Path, disk: Path) -> None:
    with Store.open(full):
        fill(disk)
        for _ in range(2):
            result = sidegate(full, "gc", "--window", "0s")
            assert result.exit_code == 0, result.output
    assert sum(path.stat().st_size for path in (full / "packs").rglob("*.pack")) < 4 << 20


def test_a_pack_that_cannot_be_moved_is_left_and_told(disk: Path) -> None:
    directory = make_store(disk, kept_bytes=9 << 20, unused_mib=12)
    for _ in range(2):
        fill(disk)
        result = sidegate(directory, "gc", "--window", "0s")
        assert result.exit_code == 0, result.output
    assert "no room on the disk to rewrite 1 half-empty pack" in result.stderr
    (disk / "filler").unlink()
    assert "no room" not in sidegate(directory, "gc", "--window", "0s").stderr
    assert sum(path.stat().st_size for path in (directory / "packs").rglob("*.pack")) < 11 << 20
    assert (directory / "reserve").stat().st_size == RESERVE_BYTES
    assert sidegate(directory, "file", "cat", "labs@master:kept").stdout_bytes == noise(9 << 20, "kept")


def test_writers_do_not_use_the_reserve_up(full: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(noise(1 << 20, "new"))
    for _ in range(20):
        result = sidegate(full, "file", "put", str(source), "labs@master:new")
        assert "the disk that holds the store is full" in result.output
        assert result.exit_code == 1
    assert (full / "reserve").stat().st_size >= RESERVE_BYTES - 2 * OPENING_BYTES
    assert sidegate(full, "commit", "list", "labs").exit_code == 0


def test_a_full_disk_without_a_reserve_is_told(full: Path, disk: Path) -> None:
    (full / "reserve").unlink()
    fill(disk)
    with pytest.raises(StorageFull):
        Store.open(full)
    result = sidegate(full, "gc")
    assert result.exit_code == 1
    assert "free space there" in result.output


def test_where_nothing_can_be_reserved_all_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(reserve_module, "_fill", refuse)
    Store.create(tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        store.repos.create("labs")

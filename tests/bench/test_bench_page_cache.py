"""What a round of a benchmark leaves in memory is given back before the next."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sidegate.bench.page_cache import DROPPED_BYTES, drop_written, write_back

WRITTEN_AT = 1_700_000_000

# Pages that the kernel is moving for somebody else stay where they are.
pytestmark = pytest.mark.alone


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, int], Path]:
    """Write files that are as old as is said."""

    def write(name: str, size_bytes: int, written_at: int = WRITTEN_AT) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size_bytes))
        os.utime(path, (written_at, written_at))
        if not is_cached(path):
            pytest.skip("this file system does not say what is in the page cache")
        return path

    return write


def is_cached(path: Path) -> bool:
    """Whether the file's first page can be read without waiting for the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT) == 1
    except OSError:
        return False
    finally:
        os.close(descriptor)


def test_what_was_written_leaves_the_page_cache(write: Callable[..., Path], tmp_path: Path) -> None:
    written = write("store/packs/new", DROPPED_BYTES)
    older = write("store/packs/old", DROPPED_BYTES, WRITTEN_AT - 1)
    small = write("store/small", DROPPED_BYTES - 1)
    index = write("store/catalog.db", DROPPED_BYTES)
    write_back()
    drop_written(tmp_path / "store", WRITTEN_AT)
    assert not is_cached(written)
    assert is_cached(index), "a database is in use all the time"
    assert is_cached(older), "what the cells read is older than what a round wrote"
    assert is_cached(small)
    assert written.read_bytes() == bytes(DROPPED_BYTES)


def test_a_store_may_be_one_file(write: Callable[..., Path]) -> None:
    written = write("written.bin", DROPPED_BYTES)
    write_back()
    drop_written(written, WRITTEN_AT)
    assert not is_cached(written)


def test_a_file_that_is_gone_meanwhile_is_left_out(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "gone").symlink_to(tmp_path / "never")
    written = write("store/new", DROPPED_BYTES)
    write_back()
    drop_written(tmp_path / "store", WRITTEN_AT)
    assert not is_cached(written)

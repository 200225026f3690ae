"""What a round of a benchmark leaves in memory is given back before the next."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidegate.bench.page_cache import DROPPED_BYTES, drop_written, write_back

WRITTEN_AT = 1_700_000_000

# They wait until all that other tests wrote has reached the disk.
pytestmark = pytest.mark.alone

HELD_SECONDS = 20.0
"""A page that the file system's journal holds at that moment stays; it is let go within 0.1 s here."""


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


def drop_until_gone(stored: Path, written: Path) -> None:
    """Drop what was written to `stored`, and again while the kernel holds the first page of `written`."""
    write_back()
    deadline = time.monotonic() + HELD_SECONDS
    drop_written(stored, WRITTEN_AT)
    while is_cached(written):
        assert time.monotonic() < deadline, f"{written} stays in the page cache"
        time.sleep(0.01)
        drop_written(stored, WRITTEN_AT)


def test_what_was_written_leaves_the_page_cache(write: Callable[..., Path], tmp_path: Path) -> None:
    written = write("store/packs/new", DROPPED_BYTES)
    older = write("store/packs/old", DROPPED_BYTES, WRITTEN_AT - 1)
    small = write("store/small", DROPPED_BYTES - 1)
    index = write("store/catalog.db", DROPPED_BYTES)
    drop_until_gone(tmp_path / "store", written)
    assert is_cached(index), "a database is in use all the time"
    assert is_cached(older), "what the cells read is older than what a round wrote"
    assert is_cached(small)
    assert written.read_bytes() == bytes(DROPPED_BYTES)


def test_a_store_may_be_one_file(write: Callable[..., Path]) -> None:
    written = write("written.bin", DROPPED_BYTES)
    drop_until_gone(written, written)


def test_a_file_that_is_gone_meanwhile_is_left_out(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "gone").symlink_to(tmp_path / "never")
    written = write("store/new", DROPPED_BYTES)
    drop_until_gone(tmp_path / "store", written)

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sidegate.errors import Conflict
from sidegate.pfs.locks import LockDirectory


@pytest.fixture
def locks(tmp_path: Path) -> LockDirectory:
    return LockDirectory(tmp_path / "locks")


def test_a_lock_is_held_by_one(locks: LockDirectory, tmp_path: Path) -> None:
    assert locks.is_free("a")
    assert locks.names() == []
    locks.acquire("a")
    assert not locks.is_free("a")
    assert locks.names() == ["a"]
    with pytest.raises(Conflict, match="'a' is locked") as caught:
        LockDirectory(tmp_path / "locks").acquire("a")
    assert caught.value.remedy == "try again later"
    locks.acquire("b")
    locks.release("a")
    locks.release("a")
    assert locks.is_free("a")
    assert locks.names() == ["b"]
    locks.close()
    assert locks.names() == []


def test_a_lock_is_held_for_a_while(locks: LockDirectory) -> None:
    with locks.holding("a"):
        assert not locks.is_free("a")
        assert not locks.remove_free("a")
    assert locks.is_free("a")


def test_a_removed_file_is_not_taken_for_the_lock(locks: LockDirectory, tmp_path: Path) -> None:
    locks.acquire("a")
    (tmp_path / "locks" / "a").unlink()
    other = LockDirectory(tmp_path / "locks")
    other.acquire("a")
    assert not other.is_free("a")


def test_the_lock_ends_with_its_process(locks: LockDirectory, tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, sidegate.pfs.locks as l\n"
        "l.LockDirectory(pathlib.Path(sys.argv[1])).acquire('a'); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "locks")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert not locks.is_free("a")
        os.kill(process.pid, 9)
    assert locks.is_free("a")
    assert locks.remove_free("a")
    assert locks.names() == []

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidegate.pfs.catalog.write_ahead_log import WriteAheadLog


@pytest.fixture(params=[512, 4096, 65536])
def connection(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    """A catalog with pages of several sizes, whose log no commit copies."""
    connection = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    for pragma in (f"page_size={request.param}", "journal_mode=WAL", "wal_autocheckpoint=0"):
        connection.execute(f"PRAGMA {pragma}")
    yield connection
    connection.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WriteAheadLog]:
    log = WriteAheadLog(tmp_path / "catalog.db-wal")
    yield log
    log.close()


def frames_copied(connection: sqlite3.Connection) -> int:
    busy, frames, copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert (busy, copied) == (0, frames)
    return int(frames)


def test_where_there_is_no_log(log: WriteAheadLog) -> None:
    assert log.salts() == b""
    assert not log.reaches(1)


def test_an_empty_log(log: WriteAheadLog, tmp_path: Path) -> None:
    (tmp_path / "catalog.db-wal").touch()
    assert log.salts() == b""
    assert not log.reaches(1)


def test_it_reaches_as_far_as_sqlite_says_and_no_farther(
    connection: sqlite3.Connection, log: WriteAheadLog
) -> None:
    connection.execute("CREATE TABLE t (a)")
    reached = 0
    for number in range(20):
        connection.execute("INSERT INTO t VALUES (zeroblob(?))", (number * 1000,))
        while log.reaches(reached + 1):
            reached += 1
    assert reached == frames_copied(connection) > 20


def test_one_that_begins_anew_has_other_salts_and_is_short(
    connection: sqlite3.Connection, log: WriteAheadLog
) -> None:
    connection.execute("CREATE TABLE t (a)")
    for number in range(30):
        connection.execute("INSERT INTO t VALUES (?)", (number,))
    before = log.salts()
    frames = frames_copied(connection)
    assert (log.salts(), log.reaches(frames)) == (before, True), "until something is written"
    connection.execute("INSERT INTO t VALUES (0)")
    assert log.salts() != before
    assert log.reaches(1)
    assert not log.reaches(frames)

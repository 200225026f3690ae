from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from sidegate.errors import Conflict, Unavailable
from sidegate.pfs.catalog import database as database_module
from sidegate.pfs.disk import StorageFull
from sidegate.pfs.store import Store


def insert(connection: Connection, name: str) -> str:
    connection.execute(text("INSERT INTO repos VALUES (:name, 'user', '', 0)"), {"name": name})
    return name


def names(store: Store) -> set[str]:
    return {repo.name for repo in store.repos.list()} - {"labs"}


def test_concurrent_writers_share_transactions_and_fail_alone(store: Store) -> None:
    commits: list[int] = []
    flushed = store.chunks.index_flushed
    store.chunks.index_flushed = lambda: (commits.append(1), flushed())
    outcomes: dict[int, object] = {}
    gate, entered = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        entered.set()
        gate.wait(10)

    def work(number: int) -> None:
        def operation(connection: Connection) -> str:
            name = insert(connection, f"r{number}")
            if number % 5 == 0:
                raise Conflict(name)
            return name

        try:
            outcomes[number] = store.database.write(operation)
        except Conflict as error:
            outcomes[number] = error.message

    first = threading.Thread(target=store.database.write, args=(slow,))
    first.start()
    assert entered.wait(10)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    while len(store.database._queue) < 20:
        threading.Event().wait(0.001)
    gate.set()
    for thread in [first, *threads]:
        thread.join()
    assert outcomes == {number: f"r{number}" for number in range(20)}
    assert names(store) == {f"r{number}" for number in range(20) if number % 5}
    assert len(commits) == 2, "one for the slow writer, one for all that waited"


def test_readers_see_a_snapshot_and_never_block(store: Store) -> None:
    with store.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM repos")).scalar() == 1
        store.repos.create("later")
        assert connection.execute(text("SELECT count(*) FROM repos")).scalar() == 1


def test_a_busy_catalog_is_told(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_SECONDS", 0)
    with Store.open(directory) as store:
        other = store.database.engine.connect()
        other.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="catalog was busy"):
            store.repos.create("labs")
        other.close()
        store.repos.create("labs")


def test_other_failures_of_sql_are_not_disguised(store: Store) -> None:
    with pytest.raises(OperationalError, match="no such table"):
        store.database.write(lambda connection: connection.execute(text("DELETE FROM absent")))


def test_what_a_write_of_a_group_ran_into_is_explained(store: Store) -> None:
    def operation(connection: Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(StorageFull):
        store.database.write(operation)


def test_a_disk_that_is_full_within_a_statement_is_told(store: Store) -> None:
    """SQLite undoes the whole transaction then, with the savepoint that would be gone back to."""
    pages = store.database.write(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar())

    def grow(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        for number in range(200):
            insert(connection, f"{number}{'x' * 1000}")

    with pytest.raises(StorageFull):
        store.database.write(grow)
    assert names(store) == set()
    store.database.write(lambda connection: insert(connection, "after"))
    assert names(store) == {"after"}


def test_a_removal_that_finds_the_disk_full_is_lent_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent: list[int] = []
    monkeypatch.setattr(store.database._room, "lend", lambda *size: lent.append(1) or len(lent) < 4)
    calls: list[int] = []

    def refuse(connection: Connection) -> None:
        calls.append(1)
        raise sqlite3.OperationalError("database or disk is full")

    for removes, count in ((False, 1), (True, 5)):
        calls.clear()
        with pytest.raises(StorageFull):
            store.database.write(refuse, removes=removes)
        assert len(calls) == count


def test_a_durable_write_is_full_sync(store: Store) -> None:
    def level(connection: Connection) -> int:
        return int(connection.exec_driver_sql("PRAGMA synchronous").scalar() or 0)

    assert store.database.write(level) == 1
    assert store.database.write(level, durable=True) == 2
    assert store.database.write(level) == 1


def test_lookups_of_many_threads_and_of_many_ended_ones(store: Store) -> None:
    statement = text("SELECT name FROM repos WHERE name = :name")
    found: list[str] = []

    def work() -> None:
        found.extend(row.name for row in store.database.lookup(statement, {"name": "labs"}))

    for _ in range(60):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert store.database.engine.pool.checkedout() <= 4, "a thread's connection ends with it"

    barrier = threading.Barrier(60)

    def work_together() -> None:
        work()
        barrier.wait(30)
        with store.database.read() as connection:
            connection.execute(text("SELECT 1")).all()

    threads = [threading.Thread(target=work_together) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["labs"] * 120


def test_a_lookup_sees_what_is_committed_and_keeps_no_snapshot(store: Store) -> None:
    statement = text("SELECT count(*) FROM repos WHERE name != :name")
    for number in range(3):
        assert store.database.lookup(statement, {"name": "labs"})[0][0] == number
        store.repos.create(f"r{number}")


def test_an_interrupt_that_invalidates_the_connection_is_what_is_raised(store: Store) -> None:
    """Ctrl-C within a statement: SQLAlchemy gives the connection up, and the next write has another."""

    def interrupted(connection: Connection) -> None:
        insert(connection, "half")
        connection.invalidate()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.database.write(interrupted)
    assert store.database.write(lambda connection: insert(connection, "whole")) == "whole"
    assert names(store) == {"whole"}

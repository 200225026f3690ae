from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from sidegate.errors import Conflict, Unavailable
from sidegate.pfs.catalog import database as database_module
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


def test_a_durable_write_is_full_sync(store: Store) -> None:
    def level(connection: Connection) -> int:
        return int(connection.exec_driver_sql("PRAGMA synchronous").scalar() or 0)

    assert store.database.write(level) == 1
    assert store.database.write(level, durable=True) == 2
    assert store.database.write(level) == 1

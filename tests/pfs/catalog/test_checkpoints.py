"""The log of the catalog stays short, whoever reads and whatever fails, and holds up no writer."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from sidegate.pfs.catalog import checkpoints as module
from sidegate.pfs.catalog import database as database_module
from sidegate.pfs.catalog.checkpoints import Checkpoints
from sidegate.pfs.store import Store

COPIED, WAITED = 40, 80
FRAME_BYTES = 4096 + 24


@pytest.fixture(autouse=True)
def short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COPIED_FROM_FRAMES", COPIED)
    monkeypatch.setattr(module, "WAITED_FROM_FRAMES", WAITED)
    monkeypatch.setattr(module, "_LOOK_EVERY", 2)


def log_frames(store: Store) -> int:
    return (store.directory / "catalog.db-wal").stat().st_size // FRAME_BYTES


def write(store: Store, number: int) -> None:
    def insert(connection: Connection) -> None:
        statement = text("INSERT INTO repos VALUES (:name, 'user', :text, 0)")
        connection.execute(statement, {"name": f"r{number}", "text": "x" * 3000})

    store.database.write(insert)


def count(store: Store) -> int:
    with store.database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM repos WHERE name != 'labs'")).scalar() or 0)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "catalog-checkpoint"]


def sound(directory: Path) -> bool:
    connection = sqlite3.connect(directory / "catalog.db")
    answer = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return bool(answer == ("ok",))


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_the_log_begins_anew_again_and_again(directory: Path, durability: database_module.Any) -> None:
    with Store.open(directory, durability=durability) as store:
        salts = set()
        for number in range(600):
            write(store, number)
            salts.add(store.database._checkpoints._log.salts())
        assert count(store) == 600
        assert log_frames(store) < WAITED + 40
        assert len(salts) > 10
    assert threads() == []
    assert sound(directory)


def test_what_is_copied_is_in_the_file(directory: Path) -> None:
    """As a process would find it that never saw the log."""
    with Store.open(directory) as store:
        for number in range(300):
            write(store, number)
        for thread in threads():
            thread.join()
        alone = directory / "alone.db"
        alone.write_bytes((directory / "catalog.db").read_bytes())
        connection = sqlite3.connect(alone)
        (found,) = connection.execute("SELECT count(*) FROM repos").fetchone()
        connection.close()
        assert found > 200


def test_a_reader_keeps_the_log_and_is_not_waited_for(store: Store) -> None:
    with store.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM repos")).scalar() == 1
        for number in range(200):
            write(store, number)
        assert connection.execute(text("SELECT count(*) FROM repos")).scalar() == 1
        assert store.database._checkpoints._held_frames > 0, "given up, until it is longer by as much"
    held = log_frames(store)
    assert held > WAITED
    for number in range(200, 600):
        write(store, number)
    assert log_frames(store) <= held + WAITED
    assert count(store) == 600


def test_the_writer_waits_for_a_thread_that_is_slow(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, gate = threading.Event(), threading.Event()

    def slow(self: Checkpoints) -> None:
        begun.set()
        gate.wait(30)

    monkeypatch.setattr(Checkpoints, "_copy", slow)
    done: list[int] = []

    def work() -> None:
        for number in range(200):
            write(store, number)
            done.append(number)

    writer = threading.Thread(target=work)
    writer.start()
    assert begun.wait(30)
    while log_frames(store) < WAITED:
        threading.Event().wait(0.001)
    writer.join(0.3)
    assert writer.is_alive(), "it waits"
    assert log_frames(store) < WAITED + 20
    gate.set()
    writer.join()
    assert count(store) == 200
    assert log_frames(store) < WAITED + 40


def test_a_checkpoint_that_fails_fails_nobody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "_PASSIVE", "SELECT * FROM absent")
        for number in range(200):
            write(store, number)
        assert log_frames(store) > 2 * WAITED
    for number in range(200, 500):
        write(store, number)
    assert count(store) == 500
    assert store.database._checkpoints._held_frames == 0, "later ones have done it all"


def test_two_processes_share_a_log(store: Store, directory: Path) -> None:
    with Store.open(directory) as other:
        for number in range(600):
            write((store, other)[number % 2], number)
        assert count(store) == count(other) == 600
        assert log_frames(store) < 2 * WAITED + 40


def test_a_store_that_writes_nothing_has_no_thread(store: Store) -> None:
    for _ in range(10):
        count(store)
    assert threads() == []

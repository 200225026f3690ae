"""Migrations: all of one happens or nothing, also when processes open a store together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, inspect, text

from sidegate.pfs.catalog.database import open_engine
from sidegate.pfs.catalog.migration import HEAD_REVISION, migrate

OPENERS = 4


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(tmp_path / "catalog.db")
    yield engine
    engine.dispose()


def revision(engine: Engine) -> str:
    with engine.connect() as connection:
        found: str = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    return found


def stopped_at(engine: Engine, number: int) -> bool:
    """Migrate, but fail after so many statements; return whether it came to that."""
    count = 0

    def stop(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise InterruptedError

    event.listen(engine, "after_cursor_execute", stop)
    try:
        migrate(engine)
    except InterruptedError:
        return True
    finally:
        event.remove(engine, "after_cursor_execute", stop)
    return False


def test_what_ends_at_any_statement_leaves_nothing_behind(tmp_path: Path) -> None:
    number = 1
    stopped = True
    while stopped:
        engine = open_engine(tmp_path / f"{number}.db")
        stopped = stopped_at(engine, number)
        if stopped:
            assert inspect(engine).get_table_names() == []
            migrate(engine)
        assert revision(engine) == HEAD_REVISION
        engine.dispose()
        number += 7  # a sample: each takes a whole migration
    assert number > 20


def test_who_opens_an_old_store_together_migrates_it_once(engine: Engine, tmp_path: Path) -> None:
    together = threading.Barrier(OPENERS)
    failures: list[Exception] = []

    def open_it() -> None:
        own = open_engine(tmp_path / "catalog.db")
        with own.connect():  # in the journal mode of all, before they begin
            together.wait()
        try:
            migrate(own)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to show it
            failures.append(error)
        own.dispose()

    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE something (id INTEGER)")
    openers = [threading.Thread(target=open_it) for _ in range(OPENERS)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join()
    assert failures == []
    assert revision(engine) == HEAD_REVISION

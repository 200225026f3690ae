from __future__ import annotations

import pytest
from sqlalchemy import Connection, Insert, Select, bindparam, literal_column, select
from sqlalchemy.dialects.sqlite import insert

from sidegate.pfs.catalog import bulk
from sidegate.pfs.catalog.bulk import BulkStatement
from sidegate.pfs.catalog.schema import REPOS
from sidegate.pfs.store import Store


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 21])
def test_any_number_of_rows_in_order(store: Store, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MAX_ROWS", 8)
    statement = BulkStatement(
        lambda rows: insert(REPOS).values([dict.fromkeys(REPOS.c.keys()) for _ in range(rows)]), 4
    )
    rows = [(f"r{number:02}", "user", "", number) for number in range(count)]
    store.database.write(lambda connection: statement.execute(connection, rows))

    def created(connection: Connection) -> list[tuple[str, int]]:
        query = select(REPOS.c.name, REPOS.c.created_us).where(REPOS.c.name != "labs")
        return [(row.name, row.created_us) for row in connection.execute(query.order_by(REPOS.c.name))]

    assert store.database.write(created) == [(f"r{number:02}", number) for number in range(count)]


def test_a_statement_of_another_width_is_a_mistake(store: Store) -> None:
    statement = BulkStatement(lambda rows: insert(REPOS).values([{"name": "x"}] * rows), 4)
    with pytest.raises(RuntimeError, match="4 values a row"):
        store.database.write(lambda connection: statement.execute(connection, [("a", "user", "", 0)]))


def test_each_row_adds_the_text_that_the_compiler_adds(store: Store) -> None:
    made = []

    def build(rows: int) -> Insert:
        made.append(rows)
        return insert(REPOS).values([dict.fromkeys(REPOS.c.keys()) for _ in range(rows)])

    statement = BulkStatement(build, 4)
    rows = [(f"r{number:02}", "user", "", number) for number in range(64)]
    said: list[str] = []
    with store.database.engine.connect() as connection:
        connection.connection.dbapi_connection.set_trace_callback(said.append)  # type: ignore[union-attr]
        statement.execute(connection, rows)
        expected = str(build(64).compile(dialect=connection.dialect))
    assert said[0].count("(") == expected.count("(") == 65
    assert made == [1, 2, 3, 64]


def test_rows_that_add_different_text_are_a_mistake(store: Store) -> None:
    def build(rows: int) -> Select[tuple[object]]:
        wanted = [bindparam(f"name{number}") for number in range(rows)]
        return select(REPOS.c.name.in_(wanted), *[literal_column("1")] * (rows == 3))

    with pytest.raises(RuntimeError, match="by the same text"):
        store.database.write(lambda connection: BulkStatement(build, 1).execute(connection, [("a",)]))

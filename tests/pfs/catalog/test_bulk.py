from __future__ import annotations

import pytest
from sqlalchemy import Connection, select
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

from __future__ import annotations

from sqlalchemy import Connection, select

from sidegate.pfs.catalog.schema import PACKS
from sidegate.pfs.pack_rows import mark_sealed, register_packs
from sidegate.pfs.store import Store

FIRST, SECOND = "0" * 32, "1" * 32


def rows(connection: Connection) -> list[tuple[str, bool, int]]:
    query = select(PACKS.c.name, PACKS.c.sealed, PACKS.c.created_us).order_by(PACKS.c.name)
    return [(row.name, row.sealed, row.created_us) for row in connection.execute(query)]


def test_a_pack_is_registered_once(store: Store) -> None:
    ids = store.database.write(lambda connection: register_packs(connection, (FIRST,), 5))
    again = store.database.write(lambda connection: register_packs(connection, (SECOND, FIRST), 9))
    assert again[FIRST] == ids[FIRST] != again[SECOND]
    assert store.database.write(rows) == [(FIRST, False, 5), (SECOND, False, 9)]


def test_only_the_named_are_sealed(store: Store) -> None:
    store.database.write(lambda connection: register_packs(connection, (FIRST, SECOND), 5))
    store.database.write(lambda connection: mark_sealed(connection, (SECOND,)))
    assert store.database.write(rows) == [(FIRST, False, 5), (SECOND, True, 5)]

"""Rows of packs: how one becomes known to the catalog, and that it is sealed.

Both happen once in 64 MiB of an upload, within the transaction of somebody's small file:
compiled once, a pack costs 30 us there in the place of 900.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, false, select, true, update
from sqlalchemy.dialects.sqlite import insert

from sidegate.pfs.catalog.prepared import Prepared
from sidegate.pfs.catalog.schema import PACKS

_REGISTER = Prepared(
    insert(PACKS)
    .values(name=bindparam("pack"), sealed=false(), created_us=bindparam("now_us"))
    .on_conflict_do_nothing(index_elements=["name"])
)
_ID = Prepared(select(PACKS.c.id).where(PACKS.c.name == bindparam("pack")))
_SEALED = Prepared(update(PACKS).where(PACKS.c.name == bindparam("pack")).values(sealed=true()))


def register_packs(connection: Connection, names: Iterable[str], now_us: int) -> dict[str, int]:
    """Return the ids of packs; those that the catalog does not know yet get a row."""
    ids = {}
    for name in names:
        _REGISTER.fetch(connection, {"pack": name, "now_us": now_us})
        ids[name] = _ID.fetch(connection, {"pack": name})[0][0]
    return ids


def known_pack_ids(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Return the ids of packs that the catalog knows."""
    return {name: _ID.fetch(connection, {"pack": name})[0][0] for name in names}


def mark_sealed(connection: Connection, names: Iterable[str]) -> None:
    """Note that nobody writes to these packs any more, and that they are on disk."""
    for name in names:
        _SEALED.fetch(connection, {"pack": name})

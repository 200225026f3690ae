"""Rows of the chunk index that were merged: how they are asked for and made.

Statements are built once: building one costs more than running it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Executable, bindparam, select

from sidegate.pfs.catalog.bulk import BulkStatement
from sidegate.pfs.catalog.prepared import Prepared
from sidegate.pfs.catalog.schema import CHUNKS, PACKS
from sidegate.pfs.pack_format import PackRecord

_PLACE = (
    CHUNKS.c.id,
    PACKS.c.name,
    CHUNKS.c.offset,
    CHUNKS.c.stored_bytes,
    CHUNKS.c.plain_bytes,
    CHUNKS.c.encoding,
)
PLACES = (
    select(*_PLACE)
    .join(PACKS, PACKS.c.id == CHUNKS.c.pack)
    .where(CHUNKS.c.id.in_(bindparam("chunks", expanding=True)))
)
PLACE_OF_ONE = Prepared(
    select(*_PLACE).join(PACKS, PACKS.c.id == CHUNKS.c.pack).where(CHUNKS.c.id == bindparam("chunk"))
)
"""For small files, which have one chunk and are many."""


def index_row(pack: int, record: PackRecord) -> dict[str, object]:
    """Return the index row of a record."""
    return {
        "id": record.chunk,
        "pack": pack,
        "offset": record.offset,
        "stored_bytes": record.stored_bytes,
        "plain_bytes": record.plain_bytes,
        "encoding": record.encoding,
        "condemned_us": None,
    }


def _condemned_of_many(count: int) -> Executable:
    wanted: list[Any] = [bindparam(f"chunk{number}") for number in range(count)]
    return select(CHUNKS.c.id, CHUNKS.c.condemned_us).where(CHUNKS.c.id.in_(wanted))


CONDEMNED_OF_MANY = BulkStatement(_condemned_of_many, 1)

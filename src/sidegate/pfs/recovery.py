"""What a killed writer left: packs that are sealed for it, and whose chunks come into the index.

Decides whose packs these are by the lock on them (`packs`); what is in a torn one is found there.
"""

from __future__ import annotations

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from sidegate.errors import Corrupt
from sidegate.pfs.catalog.schema import CHUNKS, PACKS
from sidegate.pfs.chunk_rows import index_row
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.fresh_chunks import merge_fresh, take_number
from sidegate.pfs.pack_files import pack_path
from sidegate.pfs.pack_format import PackRecord
from sidegate.pfs.pack_rows import mark_sealed, register_packs
from sidegate.pfs.packs import recover


def recover_abandoned(chunks: ChunkStore) -> int:
    """Seal packs whose writer died and index their chunks; return how many.

    A pack that the catalog has never heard of holds nothing acknowledged;
    collection removes it.  One that is missing or damaged stays unsealed,
    for `checking` to report.
    """
    with chunks.database.read() as connection:
        unsealed = connection.execute(select(PACKS.c.name).where(~PACKS.c.sealed)).scalars().all()
    recovered = 0
    for name in unsealed:
        if chunks.writes_to(name):
            continue
        try:
            records = recover(pack_path(chunks.directory, name))
        except Corrupt:
            continue
        if records is not None:
            _adopt(chunks, name, records)
            recovered += 1
    return recovered


def _adopt(chunks: ChunkStore, name: str, records: list[PackRecord]) -> None:
    def adopt(connection: Connection) -> None:
        merge_fresh(connection)
        pack = register_packs(connection, (name,), chunks.clock())[name]
        if records:
            rows = [index_row(pack, record) for record in records]
            connection.execute(insert(CHUNKS).on_conflict_do_nothing(index_elements=["id"]), rows)
            take_number(connection, pack)
        mark_sealed(connection, (name,))

    chunks.database.write(adopt)
    chunks.forget_index()

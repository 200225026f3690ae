"""Rebuilding the chunk index from the packs, the only thing a repair changes.

Rows without a whole record behind them go, records without a row get one.  A
chunk that is in several packs is found in any of them.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from sidegate.errors import Corrupt
from sidegate.pfs.catalog.schema import CHUNKS, PACKS
from sidegate.pfs.chunk_rows import index_row
from sidegate.pfs.collection import pack_files
from sidegate.pfs.fresh_chunks import merge_fresh, take_number
from sidegate.pfs.index_checking import pack_rows, scan_whatever
from sidegate.pfs.pack_files import is_abandoned, pack_path
from sidegate.pfs.pack_format import PackRecord
from sidegate.pfs.pack_rows import mark_sealed, register_packs
from sidegate.pfs.packs import PackFile, PackMissing, payload_holds, recover
from sidegate.pfs.store import Store


def rebuild_index(store: Store) -> None:
    """Make the index match the packs; runs under the collection's lock."""
    directory = store.directory / "packs"
    store.database.write(partial(_forget_missing, directory))
    # Bad rows must go everywhere before a good copy in another pack can take their place.
    spare: list[tuple[str, PackRecord]] = []
    for path in pack_files(directory):
        # Asked first: what is abandoned before it is read grows no more.
        abandoned = is_abandoned(path)
        records = _whole_records(path, abandoned)
        operation = partial(_prune, path.stem, set(records), abandoned, store.clock())
        kept = store.database.write(operation)
        spare += [(path.stem, record) for record in records if record not in kept]
    store.database.write(partial(_adopt, spare), durable=True)
    store.chunks.merge_index()


def _whole_records(path: Path, abandoned: bool) -> list[PackRecord]:
    """Return the records that can be read; seals a pack that its writer left open."""
    records = None
    try:
        pack = PackFile.open(path)
        records = recover(path) if abandoned else None
    except PackMissing:
        return []
    except Corrupt:
        pass  # not even a header: what it holds is scanned as far as possible
    if records is None:
        return scan_whatever(pack)
    return [record for record in records if _is_whole(pack, record)]


def _is_whole(pack: PackFile, record: PackRecord) -> bool:
    try:
        return payload_holds(record, pack.read(record.offset, record.stored_bytes))
    except Corrupt:
        return False


def _forget_missing(directory: Path, connection: Connection) -> None:
    merge_fresh(connection)
    for row in connection.execute(select(PACKS)).all():
        if not pack_path(directory, row.name).exists():
            connection.execute(delete(CHUNKS).where(CHUNKS.c.pack == row.id))
            connection.execute(delete(PACKS).where(PACKS.c.id == row.id))


def _prune(
    name: str, records: set[PackRecord], abandoned: bool, now_us: int, connection: Connection
) -> set[PackRecord]:
    """Remove a pack's rows that match no whole record; return the rows that do."""
    merge_fresh(connection)
    pack_id = register_packs(connection, (name,), now_us)[name]
    if abandoned:
        mark_sealed(connection, (name,))
    rows = set(pack_rows(connection, pack_id))
    for row in rows - records if abandoned else ():
        connection.execute(delete(CHUNKS).where(CHUNKS.c.id == row.chunk, CHUNKS.c.pack == pack_id))
    return rows & records


def _adopt(spare: list[tuple[str, PackRecord]], connection: Connection) -> None:
    ids = {row.name: row.id for row in connection.execute(select(PACKS))}
    rows = [index_row(ids[name], record) for name, record in spare]
    if rows:
        connection.execute(insert(CHUNKS).on_conflict_do_nothing(index_elements=["id"]), rows)
        take_number(connection, next(iter(ids.values())))

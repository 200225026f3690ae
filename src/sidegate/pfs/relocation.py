"""Chunks that move to another pack, so that theirs can be removed."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, update

from sidegate.pfs.catalog.schema import CHUNKS
from sidegate.pfs.chunks import ChunkStore, damaged
from sidegate.pfs.pack_files import pack_path
from sidegate.pfs.pack_format import PackRecord
from sidegate.pfs.pack_rows import register_packs
from sidegate.pfs.packs import PackFile, payload_holds


def relocate(chunks: ChunkStore, pack: str, records: list[PackRecord]) -> None:
    """Copy chunks out of `pack` and point the index at the copies, durably.

    Raises Corrupt, with the index as it was, when one is damaged, and StorageFull.
    """
    source = PackFile.open(pack_path(chunks.directory, pack))
    copies: list[tuple[str, PackRecord]] = []
    for record in records:
        payload = source.read(record.offset, record.stored_bytes)
        if not payload_holds(record, payload):
            raise damaged(record.chunk, pack)
        copies.append(chunks.append_copy(record, payload))

    def repoint(connection: Connection) -> None:
        ids = register_packs(connection, {pack} | {name for name, _ in copies}, chunks.clock())
        statement = (
            update(CHUNKS)
            .where(CHUNKS.c.id == bindparam("chunk"), CHUNKS.c.pack == ids[pack])
            .values(pack=bindparam("new_pack"), offset=bindparam("new_offset"))
        )
        rows = [
            {"chunk": copy.chunk, "new_pack": ids[name], "new_offset": copy.offset} for name, copy in copies
        ]
        connection.execute(statement, rows)

    chunks.database.write(repoint, durable=True)

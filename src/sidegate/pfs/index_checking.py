"""Checking the chunk index against the packs.

Every row must match a record in its pack, and every payload its id.  Knows
nothing of who refers to a chunk.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from sidegate.errors import Corrupt
from sidegate.pfs.catalog.schema import CHUNKS, PACKS
from sidegate.pfs.fresh_chunks import fresh_records
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.pack_files import pack_path
from sidegate.pfs.pack_format import PackRecord
from sidegate.pfs.packs import PackFile, PackMissing, payload_holds, read_index, read_pack_name, scan
from sidegate.pfs.store import Store


class Fault(NamedTuple):
    """One thing that is wrong, by the name of a pack or of a chunk."""

    subject: str
    message: str


class IndexCheck:
    """Checks every pack of a store; the attributes are what it found."""

    def __init__(self, store: Store, *, quick: bool) -> None:
        self._store = store
        self._quick = quick
        self.sizes: dict[ChunkId, int] = {}
        """The plain size of every chunk in the index."""
        self.lost: dict[ChunkId, str] = {}
        """The chunks in the index that cannot be read, and why."""
        self.pack_faults: list[Fault] = []
        self.row_faults: list[Fault] = []
        self.packs = 0
        self.payloads = 0

    def run(self) -> None:
        """Check all packs that the catalog knows, as of one moment."""
        with self._store.database.read() as connection:
            for row in connection.execute(select(PACKS).order_by(PACKS.c.id)).all():
                self._check_pack(row.name, row.sealed, pack_rows(connection, row.id))
                self.packs += 1

    def _check_pack(self, name: str, sealed: bool, rows: list[PackRecord]) -> None:
        self.sizes.update((row.chunk, row.plain_bytes) for row in rows)
        try:
            pack = PackFile.open(pack_path(self._store.directory / "packs", name))
        except PackMissing:
            self.pack_faults.append(Fault(name, f"its file is missing, {len(rows)} chunks are in the index"))
            self.lost.update((row.chunk, f"it was in pack {name}, whose file is missing") for row in rows)
            return
        records = self._read_records(pack, name, sealed)
        for row in rows:
            if row not in records:
                message = f"its row in the index matches no whole record of pack {name}"
                self.row_faults.append(Fault(row.chunk.hex(), message))
                self.lost[row.chunk] = f"it is not where the index says, in pack {name}"
            elif not self._quick:
                self._check_payload(pack, name, row)

    def _read_records(self, pack: PackFile, name: str, sealed: bool) -> set[PackRecord]:
        records = None
        try:
            if read_pack_name(pack) != name:
                self.pack_faults.append(Fault(name, "its header has another name"))
        except Corrupt:
            self.pack_faults.append(Fault(name, "its header is damaged"))
        try:
            records = read_index(pack)
            if records is None and sealed:
                self.pack_faults.append(Fault(name, "its footer is missing"))
        except Corrupt:
            self.pack_faults.append(Fault(name, "its footer is damaged"))
        return set(records) if records is not None else set(scan_whatever(pack))

    def _check_payload(self, pack: PackFile, name: str, row: PackRecord) -> None:
        self.payloads += 1
        try:
            if payload_holds(row, pack.read(row.offset, row.stored_bytes)):
                return
        except Corrupt:
            pass  # the pack ends early: damaged all the same
        self.pack_faults.append(Fault(row.chunk.hex(), f"its payload in pack {name} is damaged"))
        self.lost[row.chunk] = f"it is damaged in pack {name}"


def scan_whatever(pack: PackFile) -> list[PackRecord]:
    """Return the whole records of a pack, none when even its header is gone."""
    try:
        return list(scan(pack))
    except Corrupt:
        return []


def pack_rows(connection: Connection, pack: int) -> list[PackRecord]:
    """Return the index rows of a pack: those of `chunks` by offset, then those that are only fresh."""
    columns = (CHUNKS.c.id, CHUNKS.c.offset, CHUNKS.c.stored_bytes, CHUNKS.c.plain_bytes, CHUNKS.c.encoding)
    query = select(*columns).where(CHUNKS.c.pack == pack).order_by(CHUNKS.c.offset)
    merged = [PackRecord(*row) for row in connection.execute(query)]
    known = set(merged)
    return merged + [record for record in fresh_records(connection, pack) if record not in known]

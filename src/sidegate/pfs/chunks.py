"""The chunk store: content-addressed bytes over packs and the catalog's index.

Puts a chunk once however often it comes, finds it again, reads it.  What is put is in the page cache when
`put` returns and visible to this process; the index row follows with the next catalog transaction
(`flush_index` runs inside it), so a committed row never names a chunk that the index does not have.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from sqlalchemy import Connection, select, update

from sidegate.errors import Corrupt, Unavailable
from sidegate.pfs.absent_chunks import AbsentChunks
from sidegate.pfs.catalog.database import note_change
from sidegate.pfs.catalog.schema import CHUNKS, PACKS
from sidegate.pfs.changes import INDEX_SCOPE, Changes
from sidegate.pfs.chunk_rows import CONDEMNED_OF_MANY, PLACE_OF_ONE, PLACES
from sidegate.pfs.compression import RAW, SampleHabit, decode_payload, encode_payload
from sidegate.pfs.disk import explained_disk_errors
from sidegate.pfs.fresh_chunks import TAIL, TAIL_AND_ONE, FreshChunks, merge_fresh
from sidegate.pfs.ids import Buffer, ChunkId
from sidegate.pfs.open_packs import Location, OpenPacks
from sidegate.pfs.pack_files import pack_path, sync_pack
from sidegate.pfs.pack_format import PackRecord
from sidegate.pfs.pack_rows import mark_sealed, register_packs
from sidegate.pfs.pack_writing import PACK_BYTES, PackWriter, Payload
from sidegate.pfs.packs import PackMissing
from sidegate.pfs.plain_cache import PlainCache
from sidegate.pfs.write_back import write_back

if TYPE_CHECKING:
    from sidegate.pfs.catalog.database import Database

PLAIN_CACHE_BYTES = 32 << 20
"""Decompressed chunks kept, so that small ranges do not decompress 1 MiB each."""

LIST_BYTES = 1 << 20
"""What a full pack still takes of lists.  Who completes an upload has often just filled one, and
beginning another takes 0.7 ms (Zen 4, ext4, 2026-11): the next body waits for that instead."""

_LOOKUP_BATCH = 500


class ChunkStore:
    """All chunks of one store; safe to use from several threads."""

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        self.directory = directory
        self.clock = clock
        self._database: Database | None = None
        self._lock = threading.Lock()
        self._writer: PackWriter | None = None
        self._unindexed: dict[ChunkId, tuple[str, PackRecord]] = {}
        self._full: list[PackWriter] = []
        self._closed = False  # to writers; what they put before is still to be merged
        self._closing = False
        self._absent = AbsentChunks()
        self._fresh = FreshChunks(self._absent)
        self._flushing: dict[ChunkId, tuple[str, PackRecord]] = {}
        self._flushing_sealed: list[PackWriter] = []
        self._flushing_packs: dict[str, int] = {}
        self._pack_ids: dict[str, int] = {}
        self.packs = OpenPacks(directory)
        """Those that are open for reading."""
        self._plain = PlainCache(PLAIN_CACHE_BYTES)

    def attach(self, database: Database, changes: Changes) -> None:
        """Give the store its catalog, the two refer to each other, and the word of other processes."""
        self._database = database
        self._absent.last_word_is_ours = changes.index_is_ours

    @property
    def database(self) -> Database:
        """The catalog that holds the index."""
        if self._database is None:
            raise RuntimeError("the chunk store has no catalog yet")
        return self._database

    # -- writing ---------------------------------------------------------

    def put(self, plain: Buffer) -> ChunkId:
        """Store `plain` unless it is there already; return its id."""
        chunk = ChunkId(blake3(plain).digest())
        self.put_pieces(chunk, (plain,), len(plain))
        return chunk

    def put_raw(self, plain: Buffer) -> ChunkId:
        """Store `plain` as `put` does, without asking whether it compresses: lists of ids do not."""
        chunk = ChunkId(blake3(plain).digest())
        if not self._known(chunk):
            self._append((chunk, RAW, (plain,), len(plain)), LIST_BYTES)
        return chunk

    def put_pieces(
        self, chunk: ChunkId, pieces: Sequence[Buffer], plain_bytes: int, habit: SampleHabit | None = None
    ) -> None:
        """Store a chunk whose id the caller has computed, unless it is there already."""
        if not self._known(chunk):
            encoding, payload = encode_payload(pieces, plain_bytes, habit)
            self._append((chunk, encoding, payload, plain_bytes))

    def put_many(self, plains: Sequence[Buffer], connection: Connection) -> list[ChunkId]:
        """Store several small chunks with one look into the index and one write.

        `connection` is the caller's, so that its cache of the catalog is used.
        """
        ids = [ChunkId(blake3(plain).digest()) for plain in plains]
        fresh = {
            chunk: plain for chunk, plain in zip(ids, plains, strict=True) if chunk not in self._unindexed
        }
        for chunk in self._known_of([chunk for chunk in fresh if not self._absent.has(chunk)], connection):
            del fresh[chunk]
        payloads = [
            (chunk, *encode_payload((plain,), len(plain)), len(plain)) for chunk, plain in fresh.items()
        ]
        if payloads:
            with self._lock:
                writer = self._writable_pack()
                for record in writer.append_many(payloads):
                    self._unindexed[record.chunk] = (writer.name, record)
        return ids

    def _known(self, chunk: ChunkId) -> bool:
        if chunk in self._unindexed:
            return True
        if self._absent.has(chunk):
            return False
        self._absent.looked_up(self.database)
        return self._fresh.knows(chunk, lambda values: self.database.fetch(TAIL_AND_ONE, values))

    def _known_of(self, chunks: list[ChunkId], connection: Connection) -> list[ChunkId]:
        """Return those chunks that are in the index and not condemned."""
        if not chunks:
            return []
        self._absent.looked_up(self.database)
        self._fresh.refresh(lambda values: TAIL.fetch(connection, values))
        unmerged = {chunk for chunk in chunks if self._fresh.get(chunk) is not None}
        rest = [(chunk,) for chunk in chunks if chunk not in unmerged]
        merged = CONDEMNED_OF_MANY.execute(connection, rest)
        return [*unmerged, *(ChunkId(chunk) for chunk, condemned_us in merged if condemned_us is None)]

    def _fetch_tail(self, values: Mapping[str, object]) -> Sequence[tuple[Any, ...]]:
        return self.database.fetch(TAIL, values)

    def _append(self, payload: Payload, more_bytes: int = 0) -> None:
        with self._lock:
            writer = self._writable_pack(more_bytes)
            record = writer.append(*payload)
            self._unindexed[record.chunk] = (writer.name, record)

    def _writable_pack(self, more_bytes: int = 0) -> PackWriter:
        writer = self._writer
        if self._closed:
            raise Unavailable("the store is closed", remedy="open it again, then write once more")
        if writer is not None and writer.position < PACK_BYTES + more_bytes:
            return writer
        with explained_disk_errors():
            fresh = PackWriter(self.directory, self.clock())
        if writer is not None:
            self._full.append(writer)
            write_back([full for full in self._full if not (full.sealed and full.synced)])
        self._writer = fresh
        return fresh

    def keep(self, chunks: Iterable[ChunkId]) -> None:
        """Make sure that chunks put long ago are still there and stay.

        A collection removes what nothing refers to for longer than its window;
        a write that takes as long must call this before it is referred to.
        Raises Unavailable when it comes too late.
        """
        wanted = list(dict.fromkeys(chunks))

        def operation(connection: Connection) -> None:
            merge_fresh(connection)
            for start in range(0, len(wanted), _LOOKUP_BATCH):
                batch = wanted[start : start + _LOOKUP_BATCH]
                connection.execute(update(CHUNKS).where(CHUNKS.c.id.in_(batch)).values(condemned_us=None))
                there = connection.execute(select(CHUNKS.c.id).where(CHUNKS.c.id.in_(batch))).all()
                if len(there) < len(batch):
                    raise Unavailable("a collection ran while this was written", remedy="write it again")

        self.database.write(operation)

    def flush_index(self, connection: Connection) -> None:
        """Write the index rows of all that was put; runs inside each transaction, before all else.

        What is read of them here must be there after a rollback too, so nothing may be merged before.
        """
        with self._lock:
            self._flushing = dict(self._unindexed)
            self._flushing_sealed = [full for full in self._full if full.sealed and full.synced]
        synced = {writer.name for writer in self._flushing_sealed}
        names = {name for name, _ in self._flushing.values()} | synced
        if not names:
            return
        ids = self._flushing_packs = self._packs_known_to(connection, names)
        if self._flushing:
            note_change(connection, INDEX_SCOPE)
        places = list(self._flushing.values())
        sealed = self._fresh.flush(connection, places, ids, sealed=synced, whole=self._closing)
        if synced:
            mark_sealed(connection, sealed)
            self._flushing_sealed = [writer for writer in self._flushing_sealed if writer.name in sealed]

    def append_copy(self, record: PackRecord, payload: bytes) -> tuple[str, PackRecord]:
        """Write a chunk once more; return in which pack and where.  The index names the other one."""
        with self._lock:
            writer = self._writable_pack()
            return writer.name, writer.append(record.chunk, record.encoding, (payload,), record.plain_bytes)

    def writes_to(self, pack: str) -> bool:
        """Whether this process has a pack open for writing."""
        return self._writer is not None and pack == self._writer.name

    def merge_index(self) -> None:
        """Have all index rows in `chunks`, also those that other processes wrote until now."""
        self.database.write(merge_fresh)
        self.forget_index()

    def forget_index(self) -> None:
        """Note that rows came into the index, or went, by another way than by being put."""
        self._fresh.forget()

    def index_flushed(self) -> None:
        """The transaction of the last `flush_index` is committed: others see its rows."""
        self._fresh.flushed()
        with self._lock:
            for chunk in self._flushing:
                self._unindexed.pop(chunk, None)
            for writer in self._flushing_sealed:
                self._full.remove(writer)
                writer.close()
            self._pack_ids.update(self._flushing_packs)
            self._flushing, self._flushing_sealed, self._flushing_packs = {}, [], {}

    def _packs_known_to(self, connection: Connection, names: set[str]) -> dict[str, int]:
        """Return the ids of packs, registering those that no committed row names."""
        ids = {name: self._pack_ids[name] for name in names if name in self._pack_ids}
        unknown = names - ids.keys()
        return ids | register_packs(connection, sorted(unknown), self.clock()) if unknown else ids

    def sync(self) -> None:
        """Return once every chunk that this process put so far is on disk."""
        with self._lock:
            writers = [*self._full, *([self._writer] if self._writer is not None else [])]
        for writer in writers:
            writer.sync()

    def sync_all(self) -> None:
        """Return once every indexed chunk is on disk, whichever process put it."""
        with self.database.read() as connection:
            unsealed = connection.execute(select(PACKS.c.name).where(~PACKS.c.sealed)).scalars().all()
        for name in unsealed:
            sync_pack(pack_path(self.directory, name))

    def close(self) -> None:
        """Seal the open pack; the index rows must have been flushed.

        Nothing can be put from then on: it would be in a pack that nobody seals.
        """
        with self._lock:
            self._closed = True
            if self._writer is not None:
                self._full.append(self._writer)
                self._writer = None
            # A commit takes packs away from the list itself; nobody writes to one that is in it.
            unsealed = list(self._full)
        if unsealed:
            for writer in unsealed:
                writer.seal()
            self.sync()
            self._closing = True
            self.database.write(lambda connection: None)
        self.packs.clear()

    # -- reading ---------------------------------------------------------

    def locate(self, chunks: Iterable[ChunkId]) -> dict[ChunkId, Location]:
        """Return where each chunk lies; raises Corrupt for one that is lost."""
        wanted = list(dict.fromkeys(chunks))
        try:
            return self._locate(wanted)
        except PackMissing:
            # A collection has moved the chunks and removed their pack since the lookup.
            self._fresh.forget()
            return self._locate(wanted)

    def _locate(self, wanted: list[ChunkId]) -> dict[ChunkId, Location]:
        found: dict[ChunkId, Location] = {}
        missing = []
        for chunk in wanted:
            entry = self._unindexed.get(chunk) or self._fresh.get(chunk)
            if entry is None:
                missing.append(chunk)
            else:
                found[chunk] = self._location(entry[0], *entry[1][1:])
        self._locate_indexed(missing, found)
        missing = [chunk for chunk in missing if chunk not in found]
        if missing:
            self._locate_fresh(missing, found)
        for chunk in missing:
            if chunk not in found:
                raise Corrupt(f"chunk {chunk.hex()} is not in the store", remedy="run `sidegate fsck`")
        return found

    def _locate_indexed(self, chunks: list[ChunkId], found: dict[ChunkId, Location]) -> None:
        rows: Sequence[Any]
        for start in range(0, len(chunks), _LOOKUP_BATCH):
            batch = chunks[start : start + _LOOKUP_BATCH]
            if len(batch) == 1:
                rows = self.database.fetch(PLACE_OF_ONE, {"chunk": batch[0]})
            else:
                rows = self.database.lookup(PLACES, {"chunks": batch})
            for chunk, name, offset, stored_bytes, plain_bytes, encoding in rows:
                found[ChunkId(chunk)] = self._location(name, offset, stored_bytes, plain_bytes, encoding)

    def _locate_fresh(self, chunks: list[ChunkId], found: dict[ChunkId, Location]) -> None:
        """Find what other processes put lately, or have merged while we looked."""
        self._fresh.refresh(self._fetch_tail)
        merged = []
        for chunk in chunks:
            entry = self._fresh.get(chunk)
            if entry is None:
                merged.append(chunk)
            else:
                found[chunk] = self._location(entry[0], *entry[1][1:])
        self._locate_indexed(merged, found)

    def _location(self, name: str, offset: int, stored: int, plain: int, encoding: int) -> Location:
        return Location(self.packs.get(name), offset, stored, plain, encoding)

    def load(self, chunk: ChunkId, location: Location) -> bytes:
        """Return a chunk's plain bytes, from the cache where it was compressed."""
        if location.raw:
            return location.pack.read(location.offset, location.stored_bytes)
        plain = self._plain.get(chunk)
        if plain is None:
            payload = location.pack.read(location.offset, location.stored_bytes)
            plain = decode_payload(location.encoding, payload, location.plain_bytes)
            self._plain.put(chunk, plain)
        return plain

    def get(self, chunk: ChunkId) -> bytes:
        """Return a chunk's plain bytes, checked against its id."""
        location = self.locate((chunk,))[chunk]
        plain = self.load(chunk, location)
        if blake3(plain).digest() != chunk:
            raise damaged(chunk, location.pack.path.stem)
        return plain


def damaged(chunk: ChunkId, pack: str) -> Corrupt:
    """Return what a chunk raises that is not what its id names."""
    return Corrupt(f"chunk {chunk.hex()} in pack {pack} is damaged", remedy="run `sidegate fsck`")

"""Index rows of chunks that were put lately: appended as they come, sorted in by thousands.

A chunk's id is random, so each row of `chunks` makes a page of its own dirty: 20 of the 28 us
of SQL that a small file took.  What a transaction puts is one row of `fresh_chunks` instead;
every process reads what others appended since it last looked, and whoever finds very many
merges them into `chunks`: a step with each of its next transactions, in order of ids, and with
the last one the rows go from here.

A chunk is in the one table, in the other, or while it is merged in both, at the same place.  Rows
only move from here to there: who does not find a chunk here looks there afterwards, never before.
Rows go from the first one on, so whoever finds another first one knows that some were merged.
A sealed pack has no rows here, so whatever is decided about such a pack needs only `chunks`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, delete, func, literal, null, select, union_all
from sqlalchemy.dialects.sqlite import insert

from sidegate.pfs.absent_chunks import AbsentChunks
from sidegate.pfs.catalog.bulk import BulkStatement
from sidegate.pfs.catalog.database import note_change
from sidegate.pfs.catalog.prepared import Prepared
from sidegate.pfs.catalog.schema import CHUNKS, FRESH_CHUNKS, PACKS
from sidegate.pfs.changes import INDEX_SCOPE
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.pack_format import PackRecord, decode_records, encode_records
from sidegate.pfs.pack_rows import known_pack_ids

MERGE_COUNT = 8192
"""A merge of so many makes a third of a page dirty per chunk at 150 000 rows; 2048 nearly one."""

STEP_COUNT = 256
"""Merged with one transaction: 1 to 2 ms, where all 8192 took 40 (Zen 4, 2026-11)."""

FEW_COUNT = 8
PASSED_COUNT = 3
"""Transactions that put fewer than `FEW_COUNT` leave a step to those behind them, so many in a row: a
Complete comes after parts, and waited for chunks that it has nothing to do with, and for a longer commit
while the disk still writes the data: after 5 GiB 3 to 36 ms in the place of 1 (Zen 4, 2026-11)."""

Place = tuple[str, PackRecord]
"""The name of a pack, and where a chunk lies in it."""

FetchTail = Callable[[Mapping[str, object]], Sequence[tuple[Any, ...]]]
"""Runs `TAIL` and returns its rows."""

_SELECT_TAIL = (
    select(FRESH_CHUNKS.c.id, PACKS.c.name, FRESH_CHUNKS.c.records)
    .join(PACKS, PACKS.c.id == FRESH_CHUNKS.c.pack)
    .where(FRESH_CHUNKS.c.id > bindparam("after")),
    select(func.min(FRESH_CHUNKS.c.id), literal(""), null()).select_from(FRESH_CHUNKS),
)
TAIL = Prepared(union_all(*_SELECT_TAIL))
"""What was appended `after` an id, and in the row without records the lowest id there is."""

_MERGED = "merged"
"""Is no name of a pack."""

TAIL_AND_ONE = Prepared(
    union_all(
        *_SELECT_TAIL,
        select(literal(0), literal(_MERGED), CHUNKS.c.id).where(
            CHUNKS.c.id == bindparam("chunk"), CHUNKS.c.condemned_us.is_(None)
        ),
    )
)
"""The same, and whether a `chunk` is merged and not condemned: one look instead of two."""


@dataclass(slots=True)
class _Merge:
    """The rows from `first` to `last` on their way into `chunks`, which some of their chunks have reached."""

    first: int
    last: int
    places: Mapping[ChunkId, Place]
    order: Sequence[ChunkId]
    sealed: Collection[str]
    """Packs that are written to no more: none of their rows comes after the last."""
    merged_count: int = 0

    def step(self, connection: Connection, count: int) -> int:
        """Merge the next `count` chunks within a transaction; return how many are merged then."""
        chunks = self.order[self.merged_count : self.merged_count + count]
        ids = known_pack_ids(connection, {self.places[chunk][0] for chunk in chunks})
        rows = []
        for chunk in chunks:
            name, record = self.places[chunk]
            rows.append((chunk, ids[name], *record[1:], None))
        _INDEX_CHUNKS.execute(connection, rows)
        return self.merged_count + len(chunks)


class FreshChunks:
    """What this process knows of the rows that are not merged; safe to use from several threads.

    What `get` says without a `refresh` may have been merged since, but is as true as it was.
    """

    def __init__(self, absent: AbsentChunks) -> None:
        self._absent = absent
        self._lock = threading.Lock()
        self._places: dict[ChunkId, Place] = {}
        # Ids of the first and the last row that is known.
        self._first: int | None = None
        self._last = 0
        self._flushing: dict[int, list[Place]] = {}
        self._flushing_merged = False
        self._merge: _Merge | None = None
        self._passed_count = 0
        self._flushing_merge: tuple[_Merge, int] | None = None

    def get(self, chunk: ChunkId) -> Place | None:
        """Return where a chunk lies, if that is known here."""
        return self._places.get(chunk)

    def knows(self, chunk: ChunkId, fetch: FetchTail) -> bool:
        """Whether a chunk is in the index now, merged or not; `fetch` runs `TAIL_AND_ONE`."""
        rows = self._refreshed(fetch, {"chunk": chunk})
        return chunk in self._places or any(name == _MERGED for _, name, _ in rows)

    def refresh(self, fetch: FetchTail) -> None:
        """Know of all rows that are there now, and of no other."""
        self._refreshed(fetch, {})

    def _refreshed(self, fetch: FetchTail, values: Mapping[str, object]) -> Sequence[tuple[Any, ...]]:
        with self._lock:
            rows = fetch({"after": self._last, **values})
            first = _first_of(rows)
            while self._first is not None and first != self._first:
                self._places, self._first = {}, first
                if first is not None and first <= self._last:
                    # What is left of those that were known is read again.
                    self._last = first - 1
                    rows = fetch({"after": self._last, **values})
                    first = _first_of(rows)
            self._first = first
            for row_id, name, records in rows:
                if records is not None and name != _MERGED:
                    found = decode_records(records)
                    self._places.update((record.chunk, (name, record)) for record in found)
                    self._absent.note_row(row_id, [record.chunk for record in found])
                    self._last = max(self._last, row_id)
            return rows

    def forget(self) -> None:
        """Know nothing: the next `refresh` reads all rows."""
        with self._lock:
            self._places, self._first, self._last = {}, None, 0
        self._absent.forget()

    def flush(
        self,
        connection: Connection,
        places: Sequence[Place],
        pack_ids: Mapping[str, int],
        *,
        sealed: Collection[str] = (),
        whole: bool = False,
    ) -> Collection[str]:
        """Append rows within a transaction, and merge some of those there are, or the `whole` of them.

        That begins when they are many or there are `sealed` packs; returns those of these packs
        that have no rows any more.
        """
        self.refresh(lambda values: TAIL.fetch(connection, values))
        by_pack: dict[str, list[PackRecord]] = {}
        for name, record in places:
            by_pack.setdefault(name, []).append(record)
        rows = [(pack_ids[name], encode_records(records)) for name, records in by_pack.items()]
        ids = [row_id for (row_id,) in _APPEND.execute(connection, rows)]
        self._flushing = {
            row_id: [(name, record) for record in records]
            for row_id, (name, records) in zip(ids, by_pack.items(), strict=True)
        }
        if ids:
            self._absent.note_transaction(ids[0], [record.chunk for _, record in places])
        if whole or self._takes_step(len(places), sealed):
            return self._merge_some(connection, places, ids, sealed, whole=whole)
        self._flushing_merge, self._flushing_merged = None, False  # as nearly always
        return ()

    def _takes_step(self, count: int, sealed: Collection[str]) -> bool:
        """Whether a transaction that puts so many chunks is to do something of a merge."""
        due = len(self._places) + count
        if self._merge is None and not sealed and due < MERGE_COUNT:
            return False
        if count < FEW_COUNT <= due and self._passed_count < PASSED_COUNT:
            self._passed_count += 1
            return False
        self._passed_count = 0
        return True

    def _merge_some(
        self,
        connection: Connection,
        places: Sequence[Place],
        ids: Sequence[int],
        sealed: Collection[str],
        *,
        whole: bool,
    ) -> Collection[str]:
        """Do what is due of a merge, after `places` were appended in rows with these ids."""
        count = len(self._places) + len(places)
        self._flushing_merge = None
        self._flushing_merged = whole or (bool(sealed) and count <= STEP_COUNT)
        if self._flushing_merged:
            merge_fresh(connection)
            return sealed
        if self._merge is not None and self._merge.first != self._first:
            self._merge = None  # another process was faster
        if self._merge is None and count < MERGE_COUNT and not sealed:
            return ()
        merge = self._merge or self._begin_merge(places, ids, sealed)
        # Faster than rows come, so that it ends.
        merged_count = merge.step(connection, max(STEP_COUNT, 2 * len(places)))
        self._flushing_merge = merge, merged_count
        if merged_count < len(merge.order):
            return ()
        _CLEAR_UP_TO.fetch(connection, {"last": merge.last})
        return [name for name in sealed if name in merge.sealed]

    def _begin_merge(self, places: Sequence[Place], ids: Sequence[int], sealed: Collection[str]) -> _Merge:
        found = {**self._places, **{place[1].chunk: place for place in places}}
        first = self._first if self._first is not None else ids[0]
        return _Merge(first, max([self._last, *ids]), found, sorted(found), frozenset(sealed))

    def flushed(self) -> None:
        """The transaction of the last `flush` is committed."""
        with self._lock:
            for row_id, places in self._flushing.items():
                self._absent.note_row(row_id, [record.chunk for _, record in places])
                if not self._flushing_merged:
                    self._places.update((place[1].chunk, place) for place in places)
                    self._first = row_id if self._first is None else self._first
                    self._last = max(self._last, row_id)
            self._flushing = {}
        if self._flushing_merge is not None:
            merge, merged_count = self._flushing_merge
            merge.merged_count = merged_count
            self._merge = merge if merge.merged_count < len(merge.order) else None
            self._flushing_merge = None


def _first_of(rows: Sequence[tuple[Any, ...]]) -> int | None:
    """Return the id of the first row there is, of what `TAIL` found."""
    first: int | None = next(row_id for row_id, _, records in rows if records is None)
    return first


def merge_fresh(connection: Connection) -> None:
    """Move all rows into `chunks`; a condemned chunk moves to its new place."""
    found: dict[ChunkId, tuple[Any, ...]] = {}
    for pack, records in _ALL.fetch(connection, {}):
        for chunk, *place in decode_records(records):
            found.setdefault(chunk, (chunk, pack, *place, None))
    if found:
        # In order of ids, so that a page is made dirty once for all its rows.
        _INDEX_CHUNKS.execute(connection, sorted(found.values()))
    _CLEAR.fetch(connection, {})


def take_number(connection: Connection, pack: int) -> None:
    """Have other processes look again: chunks came into the index by another way.  Merges all rows.

    This one must `forget` once that is committed.
    """
    note_change(connection, INDEX_SCOPE)
    _APPEND.execute(connection, [(pack, b"")])
    merge_fresh(connection)


def fresh_records(connection: Connection, pack: int) -> list[PackRecord]:
    """Return the records of a pack that are not merged, by offset."""
    query = select(FRESH_CHUNKS.c.records).where(FRESH_CHUNKS.c.pack == pack)
    found = [record for data in connection.execute(query).scalars() for record in decode_records(data)]
    return sorted(found, key=lambda record: record.offset)


def _append(count: int) -> Executable:
    rows = [{"pack": None, "records": None} for _ in range(count)]
    return insert(FRESH_CHUNKS).values(rows).returning(FRESH_CHUNKS.c.id)


_APPEND = BulkStatement(_append, 2)


def _index_chunks(count: int) -> Executable:
    statement = insert(CHUNKS).values([dict.fromkeys(CHUNKS.c.keys()) for _ in range(count)])
    return statement.on_conflict_do_update(
        index_elements=["id"],
        set_={column.name: statement.excluded[column.name] for column in CHUNKS.c if column.name != "id"},
        where=CHUNKS.c.condemned_us.is_not(None),
    )


_INDEX_CHUNKS = BulkStatement(_index_chunks, len(CHUNKS.c))
_ALL = Prepared(select(FRESH_CHUNKS.c.pack, FRESH_CHUNKS.c.records).order_by(FRESH_CHUNKS.c.id))
_CLEAR = Prepared(delete(FRESH_CHUNKS))
_CLEAR_UP_TO = Prepared(delete(FRESH_CHUNKS).where(FRESH_CHUNKS.c.id <= bindparam("last")))

"""Which chunks are certainly not in the index: an answer without asking it.

Most of what is uploaded is new, and to be told so by the catalog costs 35 us a chunk.  Here is a
mark for the start of each id that is in the index or ever was: what has no mark is not there.

That holds as long as nobody else adds to the index.  Who adds puts a number into common memory
(`changes`), so this process knows that it was the last one to do so; and in each transaction of
its own, when nobody else can commit, it has read all rows of others.  Rows are numbered without
a gap: one that was merged before it could be read here shows as a gap, and the marks are made
anew.  Whoever is in doubt asks the catalog.  A wrong answer, which takes two processes within
microseconds, would store a chunk twice, as two that put it at the same moment do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, column, select, table

from sidegate.pfs.catalog.prepared import Prepared
from sidegate.pfs.catalog.schema import CHUNKS, FRESH_CHUNKS
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.pack_format import decode_records

if TYPE_CHECKING:
    from sidegate.pfs.catalog.database import Database

SLOT_BITS = 22
"""4 MiB.  A byte each, not a bit: two threads that set neighbours must not undo each other's."""

MOST_CHUNKS = 1 << 18
"""Of a store with more nothing is known here: one new chunk in sixteen would meet a mark by then."""

FIRST_LOOK_UPS = 64
ROWS_PER_LOOK_UP = 64
"""What reading the index may cost: half a microsecond a row, about what the look-ups before it took."""

_IDS = Prepared(select(CHUNKS.c.id).limit(bindparam("most")))
_FRESH = Prepared(select(FRESH_CHUNKS.c.records))
# https://www.sqlite.org/autoinc.html; it is there with the first table that counts so.
_SEQUENCE = table("sqlite_sequence", column("name"), column("seq"))
_LAST_ROW = Prepared(select(_SEQUENCE.c.seq).where(_SEQUENCE.c.name == FRESH_CHUNKS.name))


def _slot(chunk: ChunkId) -> int:
    return int.from_bytes(chunk[:4]) >> 32 - SLOT_BITS


class AbsentChunks:
    """What one process knows of chunks that are not there; safe to use from several threads."""

    def __init__(self) -> None:
        self.last_word_is_ours: Callable[[], bool] = lambda: False
        """Whether no other process has added to the index since this one did."""
        self._lock = threading.Lock()
        self._marks: bytearray | None = None
        # Rows from the first to the last of these ids are marked, and, when complete, all before.
        self._first_row: int | None = None
        self._last_row = 0
        self._complete = False
        # Whether all rows that there were in the last transaction of this process are marked.
        self._holds = False
        self._look_ups = 0
        self._wanted_look_ups = FIRST_LOOK_UPS

    def has(self, chunk: ChunkId) -> bool:
        """Whether it is certain that a chunk is not in the index."""
        marks = self._marks
        return self._holds and marks is not None and not marks[_slot(chunk)] and self.last_word_is_ours()

    def forget(self) -> None:
        """Be certain of nothing until the index has been read again."""
        with self._lock:
            self._marks = None
            self._complete = self._holds = False

    def note_row(self, row_id: int, chunks: Iterable[ChunkId]) -> None:
        """Note a row of `fresh_chunks` that was read, or that this process has committed."""
        with self._lock:
            self._mark(chunks)
            if row_id > self._last_row + 1 or self._first_row is None:
                self._first_row = row_id
                self._complete = self._holds = False
            self._last_row = max(self._last_row, row_id)

    def note_transaction(self, first_row: int, chunks: Iterable[ChunkId]) -> None:
        """Note what is added within a transaction, and its first row; all others have been read."""
        with self._lock:
            self._mark(chunks)
            self._complete = self._holds = self._complete and first_row == self._last_row + 1

    def _mark(self, chunks: Iterable[ChunkId]) -> None:
        if self._marks is not None:
            for chunk in chunks:
                self._marks[_slot(chunk)] = 1

    def looked_up(self, database: Database) -> None:
        """Note that the index had to be asked; reads all of it when that has happened often."""
        self._look_ups += 1
        if self._complete or self._look_ups < self._wanted_look_ups:
            return
        self._look_ups = 0
        limit = self._wanted_look_ups * ROWS_PER_LOOK_UP
        if self._read_all(database, min(limit, MOST_CHUNKS)):
            self._wanted_look_ups = FIRST_LOOK_UPS
        else:
            self._wanted_look_ups *= 2

    def _read_all(self, database: Database, most: int) -> bool:
        """Mark all that is in the index; False when that is too much."""
        with self._lock:
            marks = self._marks = bytearray(1 << SLOT_BITS)
            self._first_row, self._last_row, self._complete, self._holds = None, 0, False, False
        with database.read() as connection:
            found = _LAST_ROW.fetch(connection, {})
            merged = _IDS.fetch(connection, {"most": most + 1})
            fresh = _FRESH.fetch(connection, {})
        if len(merged) > most:
            self._marks = None
            return False
        for (chunk,) in merged:
            marks[_slot(chunk)] = 1
        for (records,) in fresh:
            for record in decode_records(records):
                marks[_slot(record.chunk)] = 1
        self._complete_up_to(found[0][0] if found else 0, marks)
        return True

    def _complete_up_to(self, row_id: int, marks: bytearray) -> None:
        """All rows up to this one are marked; those noted meanwhile may go on from there."""
        with self._lock:
            if marks is not self._marks:
                return
            # Else a transaction that was under way has not been noted: the next time, then.
            self._complete = self._first_row is None or self._first_row <= row_id + 1
            if self._first_row is None:
                self._first_row = row_id
            self._last_row = max(self._last_row, row_id)

"""Uploads in parts: pieces of a future file, each stored as it arrives.

An upload belongs to a scope (a staging, or a branch) and outlives its
completion, so that repeating a completion whose answer was lost gives the same
answer again.  The parts of a completed one mean nothing any more; a collection
removes them, because removing 640 takes longer than completing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, Integer, LargeBinary, Text, bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from sidegate.errors import NotFound
from sidegate.native.part_columns import PartColumns
from sidegate.pfs.catalog.database import Database, note_change
from sidegate.pfs.catalog.groups import OperationTicket, Ticket
from sidegate.pfs.catalog.prepared import Prepared
from sidegate.pfs.catalog.schema import PARTS, UPLOADS
from sidegate.pfs.changes import Changes, upload_scope
from sidegate.pfs.compression import SampleHabit
from sidegate.pfs.files import INLINE_EXTENTS, FileRecord, decode_record, encode_record
from sidegate.pfs.remembered_parts import RememberedParts


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload; `details` are the caller's, `result` is set once completed.

    `habit` is what samples said of the parts that this process stored: one stream, of which
    each part would be asked anew.
    """

    id: str
    scope: str
    path: str
    created_us: int
    details: dict[str, Any]
    result: dict[str, Any] | None
    habit: SampleHabit = field(default_factory=SampleHabit, compare=False, repr=False)


class Part(NamedTuple):
    """One stored part; its record's extents are cut on their own."""

    number: int
    record: FileRecord


PART_EXTENTS = 24
"""Extents that the record of a part holds itself: 37 bytes each, so that its row stays below the
1002 bytes that SQLite keeps of one in a page of 4 KiB (https://www.sqlite.org/fileformat2.html#payload).
A part of 8 MiB has 8."""

INLINE_PARTS = 64
"""Parts up to this number do so.  To store a list apart is 0.15 ms of a part; to read those of all
of 640 parts makes 2.0 ms of their Complete 2.7 (Zen 4, 2026-11)."""

REMEMBERED_COUNT = 1024
"""Open uploads kept in memory, about 1 KB each."""


def inline_count(number: int) -> int:
    """Return how many extents the record of a part of this number holds at most."""
    return PART_EXTENTS if number <= INLINE_PARTS else INLINE_EXTENTS


class _PartWrite(Ticket[None]):
    """The write that stores a part."""

    __slots__ = ("_uploads", "number", "record", "upload")

    def __init__(self, uploads: Uploads, upload: str, number: int, record: bytes) -> None:
        super().__init__()
        self._uploads = uploads
        self.upload = upload
        self.number = number
        self.record = record

    def operation(self, connection: Connection) -> None:
        """Store it; raises NotFound."""
        self._uploads._store_part(connection, self)


class Uploads:
    """The uploads of one store."""

    def __init__(self, database: Database, changes: Changes, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._parts = RememberedParts(changes)
        # Uploads that were open when this process last saw them, the oldest first.
        self._open: dict[str, Upload] = {}

    def create(self, scope: str, path: str, details: dict[str, Any]) -> Upload:
        """Begin an upload of `path`."""
        return self._database.carry_out(self.creation(scope, path, details))

    def creation(self, scope: str, path: str, details: dict[str, Any]) -> Ticket[Upload]:
        """Return the write that begins an upload of `path`; its value is the upload."""
        upload = Upload(secrets.token_hex(16), scope, path, self._clock(), details, None)
        values = {
            "upload_id": upload.id,
            "scope": scope,
            "path": path.encode(),
            "created_us": upload.created_us,
            "details": json.dumps(details),
        }

        def operation(connection: Connection) -> Upload:
            _INSERT.fetch(connection, values)
            # Should it not be committed, nobody will know its id.
            self._remember(upload)
            note_change(connection, upload_scope(upload.id))
            self._parts.begin(upload.id)
            return upload

        return OperationTicket(operation)

    def get(self, upload: str) -> Upload:
        """Return an upload, completed or not; raises NotFound."""
        found = _only(self._database.fetch(_UPLOAD, {"upload_id": upload}), upload)
        if found.result is None:
            self._remember(found)
        else:
            self.forget(upload)
        return found

    def recall(self, upload: str) -> Upload | None:
        """Return an upload that was open when this process last saw it.

        Nothing of it but that can have changed, and whoever adds a part is told so.
        """
        return self._open.get(upload)

    def _remember(self, upload: Upload) -> None:
        known = self._open
        known[upload.id] = upload
        while len(known) > REMEMBERED_COUNT:
            # Another thread may take the same one away.
            self.forget(next(iter(list(known))))

    def unfinished(self, scope: str, start: str = "") -> Iterator[Upload]:
        """Yield the scope's unfinished uploads of paths >= `start`, by path and age."""
        query = (
            select(UPLOADS)
            .where(UPLOADS.c.scope == scope, UPLOADS.c.path >= start.encode(), UPLOADS.c.result.is_(None))
            .order_by(UPLOADS.c.path, UPLOADS.c.created_us, UPLOADS.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return (_upload(row) for row in rows)

    def put_part(self, upload: str, number: int, record: FileRecord) -> None:
        """Store a part, replacing one of the same number; raises NotFound."""
        self._database.carry_out(self.part(upload, number, record))

    def part(self, upload: str, number: int, record: FileRecord) -> Ticket[None]:
        """Return the write that stores a part, replacing one of the same number; it may raise NotFound."""
        return _PartWrite(self, upload, number, encode_record(record))

    def _store_part(self, connection: Connection, write: _PartWrite) -> None:
        """Store a part within a transaction; raises NotFound."""
        values = {"upload_id": write.upload, "part": write.number, "data": write.record}
        if not _UPSERT_PART.fetch(connection, values):
            self.forget(write.upload)
            raise _no_upload(write.upload)
        note_change(connection, upload_scope(write.upload))
        self._parts.add(write.upload, write)

    def parts(self, upload: str, after: int = 0) -> list[Part]:
        """Return the parts of an open upload with a number above `after`, by number."""
        return [Part(number, decode_record(data)) for number, data in self.part_rows(upload, after)]

    def part_rows(self, upload: str, after: int = 0) -> Sequence[tuple[int, bytes]]:
        """Return number and encoded record of `parts`, as `collect_parts` takes them."""
        return self._database.fetch(_PARTS_AFTER, {"upload_id": upload, "after": after})

    def remembered_columns(self, upload: str) -> PartColumns | None:
        """Return the columns of all parts of an upload, if this process has stored every one.

        Whether it is open still, the catalog says when it is completed.
        """
        return self._parts.columns(upload)

    def complete(self, upload: str, result: dict[str, Any]) -> None:
        """Remember the answer and let go of the parts; raises NotFound."""

        def operation(connection: Connection) -> None:
            finish_upload(connection, upload, result)

        self._database.write(operation)
        self.forget(upload)

    def forget(self, upload: str) -> None:
        """Note that an upload is open no more."""
        self._open.pop(upload, None)
        self._parts.forget(upload)

    def abort(self, upload: str) -> None:
        """Forget an upload and its parts; raises NotFound if it is not open."""

        def operation(connection: Connection) -> None:
            if select_upload(connection, upload).result is not None:
                raise _no_upload(upload)
            delete_uploads(connection, [upload])

        self._database.write(operation, removes=True)
        self.forget(upload)

    def drop_scope(self, scope: str) -> None:
        """Forget every upload of a scope."""

        def operation(connection: Connection) -> None:
            ids = connection.execute(select(UPLOADS.c.id).where(UPLOADS.c.scope == scope)).scalars().all()
            delete_uploads(connection, list(ids))

        self._database.write(operation, removes=True)
        for upload in [known.id for known in list(self._open.values()) if known.scope == scope]:
            self.forget(upload)


def select_upload(connection: Connection, upload: str) -> Upload:
    """Return an upload as this transaction sees it; raises NotFound."""
    return _only(_UPLOAD.fetch(connection, {"upload_id": upload}), upload)


# Columns of JSON come and go as text: a prepared statement converts nothing.
_UPLOAD = Prepared(select(UPLOADS).where(UPLOADS.c.id == bindparam("upload_id")))
_INSERT = Prepared(
    insert(UPLOADS).values(
        id=bindparam("upload_id"),
        scope=bindparam("scope"),
        path=bindparam("path"),
        created_us=bindparam("created_us"),
        details=bindparam("details", type_=Text),
    )
)
IS_OPEN = UPLOADS.c.result.is_(None)
"""Only then do the parts of an upload mean anything."""

# One statement says whether the upload is open and stores its part.
_PART = insert(PARTS).from_select(
    ["upload", "number", "record"],
    select(UPLOADS.c.id, bindparam("part", type_=Integer), bindparam("data", type_=LargeBinary)).where(
        UPLOADS.c.id == bindparam("upload_id"), IS_OPEN
    ),
)
_UPSERT_PART = Prepared(
    _PART.on_conflict_do_update(
        index_elements=["upload", "number"], set_={"record": _PART.excluded.record}
    ).returning(PARTS.c.number)
)

_OPEN_ONE = select(UPLOADS.c.id).where(UPLOADS.c.id == bindparam("upload_id"), IS_OPEN).scalar_subquery()
_PARTS_AFTER = Prepared(
    select(PARTS.c.number, PARTS.c.record)
    .where(PARTS.c.upload == _OPEN_ONE, PARTS.c.number > bindparam("after"))
    .order_by(PARTS.c.number)
)
_FINISH = Prepared(
    update(UPLOADS)
    .where(UPLOADS.c.id == bindparam("upload_id"), IS_OPEN)
    .values(result=bindparam("answer", type_=Text))
    .returning(UPLOADS.c.id)
)


def _only(rows: Sequence[tuple[Any, ...]], upload: str) -> Upload:
    """Return the upload that a prepared statement found; raises NotFound."""
    if not rows:
        raise _no_upload(upload)
    name, scope, path, created_us, details, result = rows[0]
    answer = None if result is None else json.loads(result)
    return Upload(name, scope, path.decode(), created_us, json.loads(details), answer)


def finish_upload(connection: Connection, upload: str, result: dict[str, Any]) -> None:
    """Mark an open upload completed with `result`, in one row; raises NotFound."""
    if not _FINISH.fetch(connection, {"upload_id": upload, "answer": json.dumps(result)}):
        raise _no_upload(upload)


def delete_parts_of_finished(connection: Connection) -> None:
    """Remove the parts of all uploads that were completed."""
    finished = select(UPLOADS.c.id).where(~IS_OPEN)
    connection.execute(delete(PARTS).where(PARTS.c.upload.in_(finished)))


def delete_uploads(connection: Connection, uploads: list[str]) -> None:
    """Remove uploads with their parts."""
    for upload in uploads:
        connection.execute(delete(PARTS).where(PARTS.c.upload == upload))
        connection.execute(delete(UPLOADS).where(UPLOADS.c.id == upload))


def _no_upload(upload: str) -> NotFound:
    return NotFound(f"there is no open upload {upload}", upload=upload)


def _upload(row: Any) -> Upload:
    upload = Upload(*row)
    return replace(upload, path=row.path.decode())

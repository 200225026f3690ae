"""Uploads in parts: pieces of a future file, each stored as it arrives.

An upload belongs to a scope (a staging, or a branch) and outlives its
completion, so that repeating a completion whose answer was lost gives the same
answer again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from sidegate.errors import NotFound
from sidegate.pfs.catalog.database import Database
from sidegate.pfs.catalog.schema import PARTS, UPLOADS
from sidegate.pfs.files import FileRecord, decode_record, encode_record


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload; `details` are the caller's, `result` is set once completed."""

    id: str
    scope: str
    path: str
    created_us: int
    details: dict[str, Any]
    result: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Part:
    """One stored part; its record's extents are cut on their own."""

    number: int
    record: FileRecord


class Uploads:
    """The uploads of one store."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock

    def create(self, scope: str, path: str, details: dict[str, Any]) -> Upload:
        """Begin an upload of `path`."""
        upload = Upload(secrets.token_hex(16), scope, path, self._clock(), details, None)
        values = {name: getattr(upload, name) for name in Upload.__slots__} | {"path": path.encode()}
        self._database.write(lambda connection: connection.execute(insert(UPLOADS).values(**values)))
        return upload

    def get(self, upload: str) -> Upload:
        """Return an upload, completed or not; raises NotFound."""
        with self._database.read() as connection:
            return select_upload(connection, upload)

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
        data = encode_record(record)
        decode_part(data)  # known by the time the upload is completed
        self._database.write(lambda connection: _upsert_part(connection, upload, number, data))

    def parts(self, upload: str, after: int = 0) -> list[Part]:
        """Return the parts with a number above `after`, by number."""
        rows = self._database.lookup(_PARTS_AFTER, {"upload_id": upload, "after": after})
        return [Part(number, decode_part(data)) for number, data in rows]

    def complete(self, upload: str, result: dict[str, Any]) -> None:
        """Remember the answer and forget the parts; raises NotFound."""

        def operation(connection: Connection) -> None:
            finish_upload(connection, upload, result)

        self._database.write(operation)

    def abort(self, upload: str) -> None:
        """Forget an upload and its parts; raises NotFound if it is not open."""

        def operation(connection: Connection) -> None:
            if select_upload(connection, upload).result is not None:
                raise _no_upload(upload)
            delete_uploads(connection, [upload])

        self._database.write(operation)

    def drop_scope(self, scope: str) -> None:
        """Forget every upload of a scope."""

        def operation(connection: Connection) -> None:
            ids = connection.execute(select(UPLOADS.c.id).where(UPLOADS.c.scope == scope)).scalars().all()
            delete_uploads(connection, list(ids))

        self._database.write(operation)


def select_upload(connection: Connection, upload: str) -> Upload:
    """Return an upload as this transaction sees it; raises NotFound."""
    row = connection.execute(select(UPLOADS).where(UPLOADS.c.id == upload)).first()
    if row is None:
        raise _no_upload(upload)
    return _upload(row)


_PART = insert(PARTS)
_UPSERT_PART = _PART.on_conflict_do_update(
    index_elements=["upload", "number"], set_={"record": _PART.excluded.record}
)
_PARTS_AFTER = (
    select(PARTS.c.number, PARTS.c.record)
    .where(PARTS.c.upload == bindparam("upload_id"), PARTS.c.number > bindparam("after"))
    .order_by(PARTS.c.number)
)


def _upsert_part(connection: Connection, upload: str, number: int, data: bytes) -> None:
    if select_upload(connection, upload).result is not None:
        raise _no_upload(upload)
    connection.execute(_UPSERT_PART, {"upload": upload, "number": number, "record": data})


@lru_cache(maxsize=16384)
def decode_part(data: bytes) -> FileRecord:
    """Return a part's record; those of parts that were stored here lately are remembered.

    A record is a value, so what is remembered of equal bytes cannot be out of date.
    """
    return decode_record(data)


def finish_upload(connection: Connection, upload: str, result: dict[str, Any]) -> None:
    """Mark an open upload completed with `result` and drop its parts; raises NotFound."""
    connection.execute(delete(PARTS).where(PARTS.c.upload == upload))
    is_open = (UPLOADS.c.id == upload) & UPLOADS.c.result.is_(None)
    updated = connection.execute(update(UPLOADS).where(is_open).values(result=result))
    if updated.rowcount != 1:
        raise _no_upload(upload)


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

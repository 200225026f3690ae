"""Reading the rows of a staging, in order of their paths.

Knows how many are read at a time, not what a staging is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, bindparam, select

from sidegate.pfs.catalog.database import Database
from sidegate.pfs.catalog.prepared import Prepared
from sidegate.pfs.catalog.schema import STAGED

_PAGE = 1000

StagedRow = tuple[bytes, bytes | None]
"""A path and its encoded record, None where the path is removed."""

_SELECT_ROWS = (
    select(STAGED.c.path, STAGED.c.record)
    .where(STAGED.c.staging == bindparam("staging"), STAGED.c.path >= bindparam("start"))
    .order_by(STAGED.c.path)
    .limit(bindparam("limit"))
)
_ROWS = Prepared(_SELECT_ROWS)

FILES = Prepared(_SELECT_ROWS.where(STAGED.c.record.is_not(None)))
"""Those rows of a `staging` from `start` on, `limit` at most, that are not removals."""

_ROW = Prepared(
    select(STAGED.c.path, STAGED.c.record).where(
        STAGED.c.staging == bindparam("staging"), STAGED.c.path == bindparam("path")
    )
)
_ONE_BY_ONE = 10
"""Up to here rows are asked for singly: 12 us each, where a statement with IN takes 200 to be made."""


def staged_record(database: Database, staging: str, path: bytes) -> bytes | None:
    """Return the encoded record of a path, None for nothing."""
    rows = database.fetch(_ROW, {"staging": staging, "path": path})
    return rows[0][1] if rows else None


def staged_rows(database: Database, staging: str, start: bytes = b"") -> Iterator[StagedRow]:
    """Yield (path, encoded record or None) from `start` on, a page of rows at a time."""
    following: bytes | None = start
    while following is not None:
        with database.read() as connection:
            rows, following = select_staged_page(connection, staging, following)
        yield from rows


def select_staged_page(
    connection: Connection, staging: str, start: bytes
) -> tuple[Sequence[StagedRow], bytes | None]:
    """Return some rows from `start` on, and where the next page starts, None at the end."""
    rows = select_staged_rows(connection, staging, start, _PAGE)
    return rows, rows[-1][0] + b"\0" if len(rows) == _PAGE else None


def select_staged_rows(connection: Connection, staging: str, start: bytes, limit: int) -> Sequence[StagedRow]:
    """Return the first rows from `start` on, sorted by path."""
    return _ROWS.fetch(connection, {"staging": staging, "start": start, "limit": limit})


def select_records(
    connection: Connection, staging: str, paths: Sequence[bytes]
) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield (path, encoded record or None) of those paths that have a row."""
    if len(paths) <= _ONE_BY_ONE:
        for path in paths:
            yield from _ROW.fetch(connection, {"staging": staging, "path": path})
        return
    for first in range(0, len(paths), _PAGE):
        query = select(STAGED.c.path, STAGED.c.record).where(
            STAGED.c.staging == staging, STAGED.c.path.in_(paths[first : first + _PAGE])
        )
        for row in connection.execute(query):
            yield row.path, row.record

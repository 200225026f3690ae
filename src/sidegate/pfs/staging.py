"""Stagings: what has been written and is not yet a commit.

A staging is a mutable map from path to record.  An *attempt* is private to a
job's process; an *open commit* belongs to a branch, is laid over its head and
becomes the next commit.  All state is in the catalog, so every process sees it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Executable, bindparam, delete, func, null, select, update
from sqlalchemy.dialects.sqlite import insert

from sidegate.errors import Conflict, NotFound
from sidegate.native import PageScan, RowCursor
from sidegate.pfs.branches import Branch, insert_branch, select_branch
from sidegate.pfs.catalog.bulk import BulkStatement
from sidegate.pfs.catalog.database import Database, note_change
from sidegate.pfs.catalog.prepared import Prepared
from sidegate.pfs.catalog.schema import REPOS, STAGED, STAGINGS
from sidegate.pfs.files import FileRecord, decode_record, encode_record
from sidegate.pfs.locks import LockDirectory
from sidegate.pfs.pending import is_pending, open_key
from sidegate.pfs.staged_rows import FILES, StagedRow, select_records, staged_record, staged_rows
from sidegate.pfs.staged_writes import Companion, Expectation

Purpose = Literal["attempt", "open", "finishing"]


@dataclass(frozen=True, slots=True)
class StagingInfo:
    """One staging's row.  `held`: only `commit finish` ends it, no quiet time."""

    id: str
    purpose: Purpose
    repo: str
    branch: str
    held: bool
    description: str
    created_us: int
    touched_us: int

    @property
    def scope(self) -> str:
        """The name that changes of it go by: the branch's for an open commit, else its own."""
        return self.id if self.purpose == "attempt" else open_key(self.repo, self.branch)


_COLUMNS = [STAGINGS.c[name] for name in StagingInfo.__slots__]


class Staging:
    """Reads and writes one staging.  Last write wins; every call is atomic."""

    def __init__(self, database: Database, staging: str) -> None:
        self._database = database
        self.id = staging

    def put(self, path: str, record: FileRecord, expect: Expectation | None = None) -> None:
        """Set the record of `path`; `expect` may refuse it with what is there."""
        self.put_many([(path, record)], expect)

    @property
    def scope(self) -> str:
        """The name that uploads into this staging go by."""
        return self.id

    def put_many(
        self,
        files: Iterable[tuple[str, FileRecord]],
        expect: Expectation | None = None,
        also: Companion | None = None,
    ) -> None:
        """Set several records, and do `also`, in one transaction."""
        rows = [(path.encode(), encode_record(record)) for path, record in files]

        def operation(connection: Connection) -> None:
            for path, _ in rows if expect is not None else ():
                expect(select_staged(connection, self.id, path))  # type: ignore[misc]
            upsert_staged(connection, self.id, rows)
            note_change(connection, self.id)
            if also is not None:
                also(connection)

        if rows:
            self._database.write(operation)

    def get(self, path: str) -> FileRecord | None:
        """Return the record of `path`, or None."""
        data = staged_record(self._database, self.id, path.encode())
        return decode_record(data) if data is not None else None

    def look_up(self, connection: Connection, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the encoded records of those paths that have one, as this transaction sees them."""
        return {path: data for path, data in select_records(connection, self.id, paths) if data is not None}

    def write_rows(
        self, connection: Connection, rows: dict[bytes, bytes | None], removed: set[bytes]
    ) -> None:
        """Set records and remove others; raises Conflict when this was published or dropped."""
        require_staging(connection, self.id)
        write_staged(connection, self.id, rows.items())
        clear_staged(connection, self.id, list(removed))
        note_change(connection, self.id)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove paths; those that are not there are fine.

        Their rows stay without a record, for readers that know what was there before.
        """
        keys = [path.encode() for path in paths]

        self._database.write(lambda connection: self.write_rows(connection, {}, set(keys)), removes=True)

    def files(self, start: str = "") -> Iterator[tuple[str, FileRecord]]:
        """Yield (path, record) for each path >= `start`, in order."""
        for key, data in staged_rows(self._database, self.id, start.encode()):
            if data is not None:
                yield key.decode(), decode_record(data)

    def collect(self, page: PageScan) -> None:
        """Collect a page of the staging's files."""

        def fetch(start: bytes, limit: int) -> Sequence[StagedRow]:
            return self._database.fetch(FILES, {"staging": self.id, "start": start, "limit": limit})

        page.collect((RowCursor(fetch),))


class Stagings:
    """Makes, finds and drops stagings."""

    def __init__(self, database: Database, clock: Callable[[], int], locks: LockDirectory) -> None:
        self._database = database
        self._clock = clock
        self._locks = locks

    def begin_attempt(self, repo: str, branch: str) -> Staging:
        """Make a private, empty staging for an output of `repo`.

        This process owns it: once it has ended, a collection drops the staging.
        """
        info = self._new("attempt", repo, branch, held=True, description="")
        self._locks.acquire(info.id)
        try:
            self._database.write(lambda connection: insert_staging(connection, info))
        except BaseException:
            self._locks.release(info.id)
            raise
        return Staging(self._database, info.id)

    def open_commit(
        self, repo: str, branch: str, *, held: bool = False, description: str = ""
    ) -> StagingInfo:
        """Open a branch's commit; makes the branch.  Raises Conflict if one is open, NotFound."""
        info = self._new("open", repo, branch, held=held, description=description)

        def operation(connection: Connection) -> StagingInfo:
            if select_open(connection, repo, branch) is not None:
                raise Conflict(
                    f"branch {repo}@{branch} has an open commit already",
                    remedy=f"run `sidegate commit finish {repo}@{branch}`",
                )
            ensure_branch(connection, repo, branch, info.created_us)
            insert_staging(connection, info)
            return info

        return self._database.write(operation)

    def find_open(self, repo: str, branch: str) -> StagingInfo | None:
        """Return the branch's open commit, or None."""
        with self._database.read() as connection:
            return select_open(connection, repo, branch)

    def pending(self, repo: str, branch: str) -> list[StagingInfo]:
        """Return what is laid over the branch's head, oldest first."""
        with self._database.read() as connection:
            return select_pending(connection, repo, branch)

    def all(self) -> list[StagingInfo]:
        """Return every staging of the store, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(*_COLUMNS).order_by(STAGINGS.c.created_us)).all()
        return [StagingInfo(*row) for row in rows]

    def get(self, staging: str) -> Staging:
        """Return access to a staging by id."""
        return Staging(self._database, staging)

    def drop(self, staging: str) -> None:
        """Forget a staging and all it holds; its chunks become garbage."""
        self._database.write(lambda connection: delete_staging(connection, staging), removes=True)
        self._locks.release(staging)

    def write_open(
        self,
        repo: str,
        branch: str,
        changes: Iterable[tuple[str, FileRecord | None]],
        expect: Callable[[Connection, bytes], None] | None = None,
        also: Companion | None = None,
    ) -> None:
        """Write into the branch's open commit, opening one if there is none.

        A record of None removes the path.  `expect` is called per path inside
        the transaction and raises to refuse.
        """
        rows = [(path.encode(), record) for path, record in changes]
        fresh = self.fresh(repo, branch)

        def operation(connection: Connection) -> None:
            info = open_in(connection, fresh)
            for path, _ in rows if expect is not None else ():
                expect(connection, path)  # type: ignore[misc]
            upsert_staged(
                connection,
                info.id,
                [(path, encode_record(record) if record is not None else None) for path, record in rows],
            )
            note_change(connection, info.scope, [path for path, _ in rows])
            if also is not None:
                also(connection)
            touch(connection, info.id, self._clock())

        self._database.write(operation, removes=all(record is None for _, record in rows))

    def begin_finishing(self, repo: str, branch: str) -> list[StagingInfo]:
        """Close the branch's open commit to writers; return all that wait to be published."""

        def operation(connection: Connection) -> list[StagingInfo]:
            connection.execute(
                update(STAGINGS)
                .where(STAGINGS.c.open_key == open_key(repo, branch))
                .values(purpose="finishing", open_key=None)
            )
            note_change(connection, open_key(repo, branch))
            return select_pending(connection, repo, branch)

        return self._database.write(operation)

    def write_open_rows(
        self, connection: Connection, repo: str, branch: str, rows: Mapping[bytes, bytes | None]
    ) -> None:
        """Set records, or remove them, in the branch's open commit; opens one if there is none."""
        scope = open_key(repo, branch)
        found = _OPEN_ID.fetch(connection, {"key": scope})
        staging = found[0][0] if found else open_in(connection, self.fresh(repo, branch)).id
        _TOUCH.fetch(connection, {"staging_id": staging, "now_us": self._clock()})
        write_staged(connection, staging, rows.items())
        note_change(connection, scope, rows)

    def fresh(self, repo: str, branch: str) -> StagingInfo:
        """Return a commit that a write may open; nothing is stored yet."""
        return self._new("open", repo, branch, held=False, description="")

    def _new(self, purpose: Purpose, repo: str, branch: str, *, held: bool, description: str) -> StagingInfo:
        now = self._clock()
        return StagingInfo(secrets.token_hex(16), purpose, repo, branch, held, description, now, now)


def insert_staging(connection: Connection, info: StagingInfo) -> None:
    """Add a staging's row; raises NotFound when its repo is not there."""
    if connection.execute(select(REPOS.c.name).where(REPOS.c.name == info.repo)).first() is None:
        raise NotFound(f"there is no repo {info.repo!r}", remedy="see `sidegate repo list`", repo=info.repo)
    values = {name: getattr(info, name) for name in StagingInfo.__slots__}
    key = open_key(info.repo, info.branch) if info.purpose == "open" else None
    connection.execute(insert(STAGINGS).values(**values, open_key=key))
    note_change(connection, info.scope)


def open_in(connection: Connection, fresh: StagingInfo) -> StagingInfo:
    """Return the branch's open commit; where there is none, `fresh` becomes it and makes the branch."""
    info = select_open(connection, fresh.repo, fresh.branch)
    if info is None:
        ensure_branch(connection, fresh.repo, fresh.branch, fresh.created_us)
        insert_staging(connection, fresh)
        info = fresh
    return info


def ensure_branch(connection: Connection, repo: str, branch: str, created_us: int) -> None:
    """Make the branch unless it is there."""
    if select_branch(connection, repo, branch) is None:
        insert_branch(connection, Branch(repo, branch, None, created_us))


def require_staging(connection: Connection, staging: str) -> None:
    """Raise Conflict when a staging was published or dropped meanwhile."""
    if not _THERE.fetch(connection, {"staging_id": staging}):
        raise Conflict("this output is closed: it was published or dropped", staging=staging)


_OPEN_ID = Prepared(select(STAGINGS.c.id).where(STAGINGS.c.open_key == bindparam("key")))
_TOUCH = Prepared(
    update(STAGINGS).where(STAGINGS.c.id == bindparam("staging_id")).values(touched_us=bindparam("now_us"))
)
_THERE = Prepared(select(STAGINGS.c.id).where(STAGINGS.c.id == bindparam("staging_id")))


def delete_staging(connection: Connection, staging: str) -> None:
    """Remove a staging's rows."""
    row = connection.execute(select(*_COLUMNS).where(STAGINGS.c.id == staging)).first()
    if row is not None:
        note_change(connection, StagingInfo(*row).scope)
    connection.execute(delete(STAGED).where(STAGED.c.staging == staging))
    connection.execute(delete(STAGINGS).where(STAGINGS.c.id == staging))


def touch(connection: Connection, staging: str, now_us: int) -> None:
    """Restart the quiet time of an open commit."""
    connection.execute(update(STAGINGS).where(STAGINGS.c.id == staging).values(touched_us=now_us))


def select_open(connection: Connection, repo: str, branch: str) -> StagingInfo | None:
    """Return the branch's open commit as this transaction sees it."""
    query = select(*_COLUMNS).where(STAGINGS.c.open_key == open_key(repo, branch))
    row = connection.execute(query).first()
    return StagingInfo(*row) if row is not None else None


def select_pending(connection: Connection, repo: str, branch: str) -> list[StagingInfo]:
    """Return the stagings laid over the branch's head, oldest first."""
    query = select(*_COLUMNS).where(is_pending(repo, branch)).order_by(STAGINGS.c.created_us, STAGINGS.c.id)
    return [StagingInfo(*row) for row in connection.execute(query)]


def select_staged(connection: Connection, staging: str, path: bytes) -> FileRecord | None:
    """Return a staged record as this transaction sees it."""
    query = select(STAGED.c.record).where(STAGED.c.staging == staging, STAGED.c.path == path)
    data = connection.execute(query).scalar()
    return decode_record(data) if data is not None else None


def _upsert_staged(count: int) -> Executable:
    statement = insert(STAGED).values([dict.fromkeys(STAGED.c.keys()) for _ in range(count)])
    return statement.on_conflict_do_update(
        index_elements=["staging", "path"],
        set_={"record": statement.excluded.record},
    )


_UPSERT_STAGED = BulkStatement(_upsert_staged, len(STAGED.c))


def upsert_staged(connection: Connection, staging: str, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
    """Write (path, encoded record or None) rows, replacing those of the same path.

    Raises Conflict when their staging was published or dropped meanwhile.
    """
    require_staging(connection, staging)
    write_staged(connection, staging, rows)


def write_staged(connection: Connection, staging: str, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
    """Write rows of a staging that is there, replacing those of the same path."""
    _UPSERT_STAGED.execute(connection, [(staging, path, record) for path, record in rows])


def clear_staged(connection: Connection, staging: str, paths: list[bytes]) -> None:
    """Remove the records of those paths that have one."""
    _CLEAR_STAGED.execute(connection, [(path,) for path in paths], leading=(staging,))


def _clear_staged(count: int) -> Executable:
    paths: list[Any] = [bindparam(f"path{number}") for number in range(count)]
    there = (STAGED.c.staging == bindparam("in_staging")) & STAGED.c.path.in_(paths)
    return update(STAGED).where(there & STAGED.c.record.is_not(None)).values(record=null())


_CLEAR_STAGED = BulkStatement(_clear_staged, 1, leading=1)


def staged_totals(database: Database, staging: str) -> int:
    """Return how many paths a staging holds."""
    query = select(func.count()).select_from(STAGED).where(STAGED.c.staging == staging)
    with database.read() as connection:
        return connection.execute(query).scalar_one()

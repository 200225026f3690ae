"""The catalog's connection: one engine, reads, and grouped writes.

Decides how SQLite is opened and how concurrent writers share a transaction;
knows no table.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, Engine, Executable, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError

from sidegate.errors import SidegateError, Unavailable
from sidegate.pfs.catalog.prepared import Prepared
from sidegate.pfs.disk import storage_full, storage_read_only

BUSY_SECONDS = 30

T = TypeVar("T")


class _Ticket(Generic[T]):
    """One caller's write, waiting in a group."""

    __slots__ = ("done", "durable", "error", "operation", "value")

    def __init__(self, operation: Callable[[Connection], T], durable: bool) -> None:
        self.operation = operation
        self.durable = durable
        self.done = False
        self.error: BaseException | None = None
        self.value: T | None = None

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # T may itself be None


class _Lease:
    """A thread's connection for lookups; given back when the thread ends."""

    __slots__ = ("__weakref__", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


class Contents(Protocol):
    """What must be stored before the rows that refer to it."""

    def flush_index(self, connection: Connection) -> None:
        """Add the index rows of everything stored since the last time."""

    def index_flushed(self) -> None:
        """The transaction of the last `flush_index` is committed."""

    def sync(self) -> None:
        """Return once everything stored is on disk."""


class Database:
    """The catalog of one store; usable from any thread."""

    def __init__(self, engine: Engine, contents: Contents, *, durable: bool) -> None:
        """`durable`: every write survives the machine, not only the process."""
        self.engine = engine
        self._contents = contents
        self._durable = durable
        self._queue: list[_Ticket[Any]] = []
        self._queue_lock = threading.Lock()
        self._leader_lock = threading.Lock()
        self._writer: Connection | None = None
        self._writer_is_durable: bool | None = None
        self._local = threading.local()
        self._lookups: WeakSet[_Lease] = WeakSet()
        self.on_committed: list[Callable[[frozenset[str]], None]] = []
        """Called after each commit that changed what readers see, with the scopes that
        were noted (`note_change`), before any of its writers is told."""

    def lookup(self, statement: Executable, parameters: dict[str, object]) -> Sequence[Any]:
        """Return the rows of one small read, each its own snapshot.

        A tenth of the cost of `read`: the connection stays with the thread, and
        goes back to the pool when the thread ends.
        """
        return self._own_connection().execute(statement, parameters).all()

    def fetch(self, statement: Prepared, parameters: Mapping[str, object]) -> Sequence[tuple[Any, ...]]:
        """Return the rows of one small read, as `lookup`, for those that happen all the time."""
        return statement.fetch(self._own_connection(), parameters)

    def _own_connection(self) -> Connection:
        lease: _Lease | None = getattr(self._local, "lease", None)
        if lease is None:
            lease = self._local.lease = _Lease(self.engine.connect())
            self._lookups.add(lease)
        return lease.connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one snapshot and never blocks on writers."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            yield connection

    def write(self, operation: Callable[[Connection], T], *, durable: bool = False) -> T:
        """Run `operation` in a write transaction and return when it is committed.

        Concurrent callers share one transaction: whoever comes first commits
        for all that queued up meanwhile.  An operation that raises is undone
        alone.  With `durable`, and always in a durable store, the chunks and
        then the transaction are on disk on return.
        """
        ticket = _Ticket(operation, durable or self._durable)
        with self._queue_lock:
            self._queue.append(ticket)
        with self._leader_lock:
            if not ticket.done:
                self._commit_group()
        return ticket.result()

    def _commit_group(self) -> None:
        with self._queue_lock:
            group, self._queue = self._queue, []
        try:
            self._transact(group, durable=any(ticket.durable for ticket in group))
        except BaseException as error:
            for ticket in group:
                ticket.error = ticket.error or _explain(error)
            if not isinstance(error, Exception):
                raise
        finally:
            for ticket in group:
                ticket.done = True

    def _transact(self, group: list[_Ticket[Any]], *, durable: bool) -> None:
        try:
            connection = self._begin(durable)
            self._contents.flush_index(connection)
            for ticket in group:
                self._run(connection, ticket)
            if durable:
                self._contents.sync()
            connection.commit()
        except BaseException:
            self._end_writer()
            raise
        self._contents.index_flushed()
        self._tell_changes(connection)

    def _tell_changes(self, connection: Connection) -> None:
        changed = connection.info.pop(_CHANGED, None)
        if changed:
            for tell in self.on_committed:
                tell(frozenset(changed))

    def _begin(self, durable: bool) -> Connection:
        """Begin a transaction on the writer's connection, which only the leader uses."""
        connection = self._writer
        if connection is None:
            connection = self._writer = self.engine.connect()
        if self._writer_is_durable is not durable:
            connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._writer_is_durable = durable
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return connection

    def _end_writer(self) -> None:
        """Close the writer's connection, which undoes what it had not committed."""
        connection, self._writer, self._writer_is_durable = self._writer, None, None
        if connection is not None:
            connection.info.pop(_CHANGED, None)
            connection.close()

    @staticmethod
    def _run(connection: Connection, ticket: _Ticket[Any]) -> None:
        """Run one operation; what it did is undone when it raises."""
        savepoint = connection.begin_nested()
        try:
            ticket.value = ticket.operation(connection)
            savepoint.commit()
        except Exception as error:  # noqa: BLE001 - handed to the caller that queued it
            savepoint.rollback()
            ticket.error = error

    def close(self) -> None:
        """Close every connection; no call may be under way."""
        for lease in list(self._lookups):
            lease.connection.close()
        self._local = threading.local()
        self._end_writer()
        self.engine.dispose()


_CHANGED = "sidegate changed scopes"


def note_change(connection: Connection, scope: str) -> None:
    """Note, in a write transaction, whose readers will see something else.

    A scope is a staging's id, `repo@branch`, or a repo's name.  One that is noted
    by an operation that is undone afterwards is told all the same.
    """
    connection.info.setdefault(_CHANGED, set()).add(scope)


def _explain(error: BaseException) -> BaseException:
    """Return what SQLite's words mean for a person; https://www.sqlite.org/rescode.html."""
    if not isinstance(error, OperationalError):
        return error
    text = str(error.orig)
    if "locked" in text:
        return Unavailable(
            f"the catalog was busy for {BUSY_SECONDS} seconds",
            remedy="another sidegate process holds it; try again when it is done",
        )
    # Without room for its shared-memory file SQLite cannot even read, and calls that an I/O error.
    if "disk is full" in text or "disk I/O error" in text:
        return storage_full()
    if "readonly" in text or "unable to open" in text:
        return storage_read_only()
    return error


def open_engine(path: Path) -> Engine:
    """Return an engine on the SQLite file at `path`, in WAL mode.

    Each write transaction sets `synchronous` for itself: FULL survives the
    machine, NORMAL the process (after a power cut the catalog is consistent but
    may lack the last transactions).  https://www.sqlite.org/pragma.html
    """
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_SECONDS},
        pool_size=32,
        max_overflow=-1,  # the threads are the limit: each has one connection, and one for lookups
    )

    @event.listens_for(engine, "handle_error")
    def explain(context: ExceptionContext) -> None:
        if context.sqlalchemy_exception is not None:
            explained = _explain(context.sqlalchemy_exception)
            if isinstance(explained, SidegateError):
                raise explained from context.original_exception

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where the code says so
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


_PRAGMAS = (
    "journal_mode=WAL",
    "foreign_keys=ON",
    "cache_size=-16384",
    "journal_size_limit=67108864",
)

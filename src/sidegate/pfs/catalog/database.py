"""The catalog's connection: one engine, reads, and grouped writes.

Decides how SQLite is opened and how concurrent writers share a transaction;
knows no table.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, Engine, Executable, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError

from sidegate.errors import SidegateError, Unavailable
from sidegate.pfs.catalog.bulk import execute_plain
from sidegate.pfs.catalog.checkpoints import BACKSTOP_FRAMES, Checkpoints
from sidegate.pfs.catalog.groups import (
    OperationTicket,
    RemovalTicket,
    Ticket,
    apply_group,
    prepare_group,
    tell_group,
)
from sidegate.pfs.catalog.prepared import Prepared
from sidegate.pfs.disk import StorageFull, storage_full, storage_read_only

BUSY_SECONDS = 30

T = TypeVar("T")

TellScopes = Callable[[frozenset[str]], None]


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


class Room(Protocol):
    """What is lent to removals on a full disk."""

    def lend(self, size_bytes: int = ..., /) -> bool:
        """Give a piece to the disk; False when there is none so large for removals."""

    def take_back(self) -> None:
        """Take again what is left of what was lent."""

    def after_commit(self) -> None:
        """Take again what is owed, now and then."""


class Database:
    """The catalog of one store; usable from any thread."""

    def __init__(self, engine: Engine, contents: Contents, room: Room, *, durable: bool) -> None:
        """`durable`: every write survives the machine, not only the process."""
        self.engine = engine
        self._contents = contents
        self._room = room
        self._durable = durable
        self._queue: list[Ticket[Any]] = []
        self._queue_lock = threading.Lock()
        self._leader_lock = threading.Lock()
        self._leader: threading.Thread | None = None
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._called = False
        self._writer: Connection | None = None
        self._writer_is_durable: bool | None = None
        self._checkpoints = Checkpoints(engine)
        self._local = threading.local()
        self._lookups: WeakSet[_Lease] = WeakSet()
        self.on_committing: list[TellScopes] = []
        """Called before each commit that changes what readers see, with the scopes that
        were noted (`note_change`)."""
        self.on_committed: list[TellScopes] = []
        """Called with the same after it, or when it failed, before any of its writers is told."""

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

    def write(
        self, operation: Callable[[Connection], T], *, durable: bool = False, removes: bool = False
    ) -> T:
        """Run `operation` in a write transaction and return when it is committed.

        Concurrent callers share one transaction: whoever comes first commits
        for all that queued up meanwhile.  An operation that raises is undone
        alone.  With `durable`, and always in a durable store, the chunks and
        then the transaction are on disk on return.  One that only `removes` is lent room on a
        full disk, and may be called again.
        """
        ticket = RemovalTicket(operation) if removes else OperationTicket(operation)
        ticket.durable = durable
        return self.carry_out(ticket)

    def carry_out(self, ticket: Ticket[T]) -> T:
        """Queue one write and return its result when it is committed."""
        with self._queue_lock:
            self._queue.append(ticket)
        with self._leader_lock:
            if not ticket.done:
                self._commit_group()
                self._check_point()
        return ticket.result()

    def enqueue(self, tickets: Sequence[Ticket[Any]]) -> None:
        """Queue writes that nobody waits for here: their `tell` is called, in another thread.

        What is queued while a group is being committed makes the next one.
        """
        with self._queue_lock:
            self._queue += tickets
            if self._leader is None:
                self._leader = threading.Thread(target=self._lead, name="catalog-writer", daemon=True)
                self._leader.start()
            if not self._called:
                self._called = True
                self._calls.put(True)

    def _lead(self) -> None:
        """Commit what is queued whenever called, until told to end."""
        while self._calls.get():
            with self._leader_lock:
                with self._queue_lock:
                    self._called = False
                if self._queue:
                    self._commit_group()
                    self._check_point()

    def _commit_group(self) -> None:
        with self._queue_lock:
            group, self._queue = self._queue, []
        try:
            full = self._attempt(group)
            refused = [ticket for ticket in full if ticket.removes] if full else None
            if refused:
                self._remove_on_full_disk(refused)
        finally:
            for ticket in group:
                ticket.done = True
            tell_group(group)

    def _remove_on_full_disk(self, removals: Sequence[Ticket[Any]]) -> None:
        """Carry out removals alone, in room that is lent.

        A log that is copied begins anew and needs none: so many removals need no more than one.
        """
        needed_bytes = self._checkpoints.room_needed_bytes()
        if needed_bytes == 0 or self._room.lend(needed_bytes):
            self._checkpoints.copy_all()
        while True:
            for ticket in removals:
                ticket.error = None
            if not self._attempt(removals, with_index=False) or not self._room.lend():
                break
        self._room.take_back()

    def _attempt(self, group: Sequence[Ticket[Any]], *, with_index: bool = True) -> list[Ticket[Any]]:
        """Carry out a group in one transaction, or tell each of its tickets why not.

        Returns those for which the disk was too full.
        """
        full: list[Ticket[Any]] = []
        durable = self._durable or any(ticket.durable for ticket in group)
        try:
            self._transact(group, durable=durable, with_index=with_index)
        except BaseException as error:
            for ticket in group:
                ticket.error = ticket.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            for ticket in group:
                if ticket.error is not None:
                    ticket.error = _explain(ticket.error)
                    if isinstance(ticket.error, StorageFull):
                        full.append(ticket)
        return full

    def _transact(self, group: Sequence[Ticket[Any]], *, durable: bool, with_index: bool) -> None:
        """Commit a group; `with_index` unless nothing in it can name a chunk stored lately."""
        changed: frozenset[str] = frozenset()
        try:
            connection = self._connect_writer(durable)
            prepare_group(connection, group)
            execute_plain(connection, "BEGIN IMMEDIATE")
            if with_index:
                self._contents.flush_index(connection)
            apply_group(connection, group)
            if durable:
                self._contents.sync()
            changed = frozenset(connection.info.pop(_CHANGED, ()))
            _tell(self.on_committing, changed)
            execute_plain(connection, "COMMIT")
            connection.commit()  # SQLAlchemy's own notion of a transaction ends too
        except BaseException:
            self._end_writer()
            _tell(self.on_committed, changed)
            raise
        if with_index:
            self._contents.index_flushed()
        _tell(self.on_committed, changed)

    def _check_point(self) -> None:
        """Let checkpoints take their turn, once those that wait for the commit are told."""
        if self._writer is not None:
            self._checkpoints.after_commit(self._writer)
            self._room.after_commit()

    def _connect_writer(self, durable: bool) -> Connection:
        """Return the writer's connection, which only the leader uses."""
        connection = self._writer
        if connection is None:
            connection = self._writer = self.engine.connect()
        if self._writer_is_durable is not durable:
            connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._writer_is_durable = durable
        return connection

    def _end_writer(self) -> None:
        """Close the writer's connection, which undoes what it had not committed."""
        connection, self._writer, self._writer_is_durable = self._writer, None, None
        if connection is not None:
            if not connection.invalidated:  # by an interrupt in a statement: what it noted is gone with it
                connection.info.pop(_CHANGED, None)
            connection.close()

    def close(self) -> None:
        """Close every connection; no call may be under way, and nothing be queued."""
        if self._leader is not None:
            self._calls.put(False)
            self._leader.join()
            self._leader = None
        for lease in list(self._lookups):
            lease.connection.close()
        self._local = threading.local()
        self._checkpoints.close()
        self._end_writer()
        self.engine.dispose()


_CHANGED = "sidegate changed scopes"

PATH_MARK = "\0"
"""Stands in the scope of a path, and in no other."""

_PATHS_TOLD_APART = 256


def path_scope(scope: str, path: str) -> str:
    """Return the scope of one path of a staging or a branch."""
    return f"{scope}{PATH_MARK}{path}"


def note_change(connection: Connection, scope: str, paths: Collection[bytes] = ()) -> None:
    """Note, in a write transaction, whose readers will see something else.

    A scope is a staging's id, `repo@branch`, a repo's name, or a path of one of the
    first two.  With `paths` only those of the scope change.  One that is noted by an
    operation that is undone afterwards is told all the same.
    """
    changed = connection.info.setdefault(_CHANGED, set())
    if 0 < len(paths) <= _PATHS_TOLD_APART:
        changed.update([path_scope(scope, path.decode()) for path in paths])
    else:
        changed.add(scope)


def _tell(listeners: Sequence[TellScopes], changed: frozenset[str]) -> None:
    if changed:
        for tell in listeners:
            tell(changed)


def _explain(error: BaseException) -> BaseException:
    """Return what SQLite's words mean for a person; https://www.sqlite.org/rescode.html."""
    if isinstance(error, OperationalError):
        text = str(error.orig)
    elif isinstance(error, sqlite3.OperationalError):
        text = str(error)
    else:
        return error
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
                try:
                    raise explained from context.original_exception
                finally:
                    del explained  # its traceback keeps this frame

    @event.listens_for(engine, "invalidate")
    def undo(connection: Any, _record: object, _error: object) -> None:
        # Closing is not enough: while a traceback holds a cursor, SQLite keeps the transaction and its lock.
        if connection.in_transaction:
            connection.rollback()

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
    f"wal_autocheckpoint={BACKSTOP_FRAMES}",
)

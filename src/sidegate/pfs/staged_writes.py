"""Writes into stagings that share a transaction, in the order in which they came.

Each decides by what the ones before it made of its path, committed or not, so
that conditions and copies see what a reader will see.  What they come to is
written at the end, with one statement per staging.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from sqlalchemy import Connection

from sidegate.errors import SidegateError
from sidegate.pfs.catalog.bulk import execute_plain
from sidegate.pfs.catalog.groups import Batch, Ticket
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.files import (
    Attributes,
    FileRecord,
    decode_record,
    encode_empty,
    encode_one_chunk,
    encode_record,
)
from sidegate.pfs.ids import Buffer, ChunkId

T = TypeVar("T")

Expectation = Callable[[FileRecord | None], None]
"""Called with what a path holds now, inside the transaction; raises to refuse."""

Companion = Callable[[Connection], None]
"""More to do in the same transaction: all of it happens, or nothing."""


class StagedTarget(Protocol):
    """What staged writes go to: an attempt, or whatever commit of a branch is open."""

    @property
    def scope(self) -> str:
        """The name that says whether two of them are the same."""

    def look_up(self, connection: Connection, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the encoded records of those paths that have one, as this transaction sees them."""

    def write_rows(
        self, connection: Connection, rows: dict[bytes, bytes | None], removed: set[bytes]
    ) -> None:
        """Set records and remove others; `removed` are paths that may not be there.  Raises Conflict."""


class Changes:
    """What a transaction makes of one target so far."""

    def __init__(self, target: StagedTarget, connection: Connection) -> None:
        self.connection = connection
        self._target = target
        self._rows: dict[bytes, bytes | None] = {}
        self._removed: set[bytes] = set()

    def get(self, path: bytes) -> FileRecord | None:
        """Return what a path holds by now."""
        if path in self._rows:
            data = self._rows[path]
        elif path in self._removed:
            data = None
        else:
            data = self._target.look_up(self.connection, [path]).get(path)
        return decode_record(data) if data is not None else None

    def set(self, path: bytes, record: bytes) -> None:
        """Give a path a record."""
        self._rows[path] = record
        self._removed.discard(path)

    def remove(self, paths: Iterable[bytes]) -> None:
        """Take the records of paths away."""
        for path in paths:
            if path in self._rows:
                self._rows[path] = None
            else:
                self._removed.add(path)

    def write(self) -> None:
        """Put it all into the catalog; raises Conflict."""
        if self._rows or self._removed:
            self._target.write_rows(self.connection, self._rows, self._removed)


class _Together:
    """The batch of all staged writes."""

    def prepare(self, connection: Connection, tickets: Sequence[StagedWrite[Any]]) -> None:
        small = [ticket for ticket in tickets if isinstance(ticket, SmallFile)]
        by_chunks: dict[ChunkStore, list[SmallFile]] = {}
        for ticket in small:
            by_chunks.setdefault(ticket.chunks, []).append(ticket)
        for chunks, files in by_chunks.items():
            try:
                _store(chunks, files, connection)
            except Exception as error:  # noqa: BLE001 - handed to the callers that queued them
                for ticket in files:
                    ticket.error = error

    def apply(self, connection: Connection, tickets: Sequence[StagedWrite[Any]]) -> None:
        targets: dict[str, Changes] = {}
        for ticket in tickets:
            scope = ticket.target.scope
            changes = targets.get(scope)
            if changes is None:
                changes = targets[scope] = Changes(ticket.target, connection)
            try:
                ticket.change(changes)
            except Exception as error:  # noqa: BLE001 - handed to the caller that queued it
                ticket.error = error
        for changes in targets.values():
            changes.write()


def _store(chunks: ChunkStore, files: list[SmallFile], connection: Connection) -> None:
    """Store the chunks of small files together, then make their records."""
    filled = [ticket for ticket in files if len(ticket.plain)]
    ids = chunks.put_many([ticket.plain for ticket in filled], connection)
    now_us = chunks.clock()
    stored = dict(zip(map(id, filled), ids, strict=True))
    for ticket in files:
        ticket.make(stored.get(id(ticket)), now_us)


class StagedWrite(Ticket[T]):
    """One change of a target; `change` decides it, and raises to refuse it alone."""

    __slots__ = ("target",)

    batch: ClassVar[Batch | None] = _Together()

    def __init__(self, target: StagedTarget) -> None:
        super().__init__()
        self.target = target

    def change(self, changes: Changes) -> None:
        """Make the change, or raise before anything of it is made."""
        raise NotImplementedError


class SmallFile(StagedWrite[str]):
    """A file so short that it is one chunk, stored with those of its group.

    Its value is the tag.
    """

    __slots__ = ("_attributes", "_data", "_expect", "_key", "_tag", "chunks", "plain")

    def __init__(
        self,
        target: StagedTarget,
        path: str,
        plain: Buffer,
        *,
        chunks: ChunkStore,
        attributes: Attributes = (),
        tag: str | None = None,
        expect: Expectation | None = None,
    ) -> None:
        super().__init__(target)
        self._key = path.encode()
        self.plain = plain
        self.chunks = chunks
        self._data = b""
        self._attributes = attributes
        self._tag = tag
        self._expect = expect

    def make(self, chunk: ChunkId | None, now_us: int) -> None:
        """Make the record of what was stored as `chunk`, None for no bytes."""
        if chunk is None:
            self.value, self._data = encode_empty(now_us, self._attributes, self._tag)
        else:
            size_bytes = len(self.plain)
            self.value, self._data = encode_one_chunk(chunk, size_bytes, now_us, self._attributes, self._tag)
        self.plain = b""

    def change(self, changes: Changes) -> None:
        """Set the path's record."""
        if self._expect is not None:
            self._expect(changes.get(self._key))
        changes.set(self._key, self._data)


class StagedFile(StagedWrite[FileRecord]):
    """A file whose chunks are stored, and what belongs to it in the same transaction."""

    __slots__ = ("_also", "_expect", "_key")

    def __init__(
        self,
        target: StagedTarget,
        path: str,
        record: FileRecord,
        expect: Expectation | None = None,
        also: Companion | None = None,
    ) -> None:
        super().__init__(target)
        self._key = path.encode()
        self.value = record
        self._expect = expect
        self._also = also

    def change(self, changes: Changes) -> None:
        """Set the path's record."""
        if self._expect is not None:
            self._expect(changes.get(self._key))
        if self._also is not None:
            self._together(changes.connection, self._also)
        changes.set(self._key, encode_record(self.result()))

    def _together(self, connection: Connection, also: Companion) -> None:
        execute_plain(connection, "SAVEPOINT companion")
        try:
            also(connection)
        except BaseException:
            execute_plain(connection, "ROLLBACK TO companion")
            raise
        finally:
            execute_plain(connection, "RELEASE companion")


class StagedCopy(StagedWrite[FileRecord]):
    """A copy within one target; its value is the record that `make` makes of the source's."""

    __slots__ = ("_expect", "_key", "_make", "_source")

    def __init__(
        self,
        target: StagedTarget,
        path: str,
        source: str,
        make: Callable[[FileRecord | None], FileRecord],
        expect: Expectation | None = None,
    ) -> None:
        super().__init__(target)
        self._key = path.encode()
        self._source = source.encode()
        self._make = make
        self._expect = expect

    def change(self, changes: Changes) -> None:
        """Set the path's record to what is made of the source's."""
        record = self._make(changes.get(self._source))
        if self._expect is not None:
            self._expect(changes.get(self._key))
        self.value = record
        changes.set(self._key, encode_record(record))


class StagedRemoval(StagedWrite[list[tuple[str, SidegateError]]]):
    """The removal of paths, each alone; those that are not there are fine.

    Its value is what was refused: a path, and why what was expected of it does not hold.
    """

    __slots__ = ("_paths",)

    removes: ClassVar[bool] = True

    def __init__(self, target: StagedTarget, paths: Iterable[tuple[str, Expectation | None]]) -> None:
        super().__init__(target)
        self._paths = list(paths)
        self.value = []

    def change(self, changes: Changes) -> None:
        """Remove the paths' records."""
        refused = []
        for path, expect in self._paths:
            key = path.encode()
            if expect is not None:
                try:
                    expect(changes.get(key))
                except SidegateError as error:
                    refused.append((path, error))
                    continue
            changes.remove((key,))
        self.value = refused

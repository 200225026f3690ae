"""What a branch looks like while it is written to: its head with open writes on top.

A view is a snapshot of *which* layers there are; the open layers themselves are
read live from the catalog, so a reader sees each write as soon as it is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from heapq import merge
from typing import Protocol

from sqlalchemy import Connection, select

from sidegate.native import Cursor, PageScan, RowCursor
from sidegate.pfs.branches import select_branch
from sidegate.pfs.catalog.database import Database
from sidegate.pfs.catalog.schema import STAGED
from sidegate.pfs.commits import select_commit
from sidegate.pfs.files import FileRecord, decode_record
from sidegate.pfs.pending import open_key
from sidegate.pfs.staged_rows import select_records, select_staged_page, select_staged_rows
from sidegate.pfs.staged_writes import Companion, Expectation, StagedTarget
from sidegate.pfs.staging import (
    Stagings,
    select_pending,
)
from sidegate.pfs.tree import NodeCache, Tree


class FileView(Protocol):
    """A readable, sorted map from path to record."""

    def get(self, path: str) -> FileRecord | None:
        """Return the record of `path`, or None."""

    def files(self, start: str = "") -> Iterator[tuple[str, FileRecord]]:
        """Yield (path, record) for each path >= `start`, in order."""

    def collect(self, page: PageScan) -> None:
        """Collect a page of the view's files."""


class WritableView(FileView, StagedTarget, Protocol):
    """A view that can be written to; every call is atomic.

    Its scope is also the name that uploads into it go by.
    """

    def put_many(
        self,
        files: Iterable[tuple[str, FileRecord]],
        expect: Expectation | None = None,
        also: Companion | None = None,
    ) -> None:
        """Set several records, and do `also`, in one transaction."""

    def delete(self, paths: Iterable[str]) -> None:
        """Remove paths; those that are not there are fine."""


class BranchView:
    """A branch with its open commit, if any, laid over its head.

    Writing opens a commit where none is open.
    """

    def __init__(
        self, database: Database, cache: NodeCache, stagings: Stagings, repo: str, branch: str
    ) -> None:
        self._database = database
        self._cache = cache
        self._stagings = stagings
        self._repo = repo
        self._branch = branch

    def get(self, path: str) -> FileRecord | None:
        """Return the newest record of `path`, or None."""
        with self._database.read() as connection:
            return self.lookup(connection, path.encode())

    def lookup(self, connection: Connection, path: bytes) -> FileRecord | None:
        """Return the newest record of `path` as this transaction sees it."""
        return self._find(connection, path, *self._layers(connection))

    @staticmethod
    def _find(connection: Connection, path: bytes, layers: list[str], tree: Tree | None) -> FileRecord | None:
        if layers:
            query = select(STAGED.c.staging, STAGED.c.record).where(
                STAGED.c.staging.in_(layers), STAGED.c.path == path
            )
            found = {row.staging: row.record for row in connection.execute(query)}
            for layer in reversed(layers):
                if layer in found:
                    data = found[layer]
                    return decode_record(data) if data is not None else None
        return tree.get(path.decode()) if tree is not None else None

    def look_up(self, connection: Connection, paths: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the encoded records of those paths that have one, as this transaction sees them."""
        layers, tree = self._layers(connection)
        found: dict[bytes, bytes | None] = {}
        for layer in layers:
            found.update(select_records(connection, layer, paths))
        if tree is not None:
            for path in paths:
                if path not in found:
                    found[path] = tree.get_encoded(path)
        return {path: data for path, data in found.items() if data is not None}

    def write_rows(
        self, connection: Connection, rows: dict[bytes, bytes | None], removed: set[bytes]
    ) -> None:
        """Set records and remove others in the open commit, which is opened if need be."""
        present = self.look_up(connection, list(removed)) if removed else {}
        changed = rows | dict.fromkeys(present)
        if changed:
            self._stagings.write_open_rows(connection, self._repo, self._branch, changed)

    def files(self, start: str = "") -> Iterator[tuple[str, FileRecord]]:
        """Yield (path, record) for each path >= `start`, in order."""
        following: bytes | None = start.encode()
        while following is not None:
            entries, following = self._page(following)
            for path, data in entries:
                yield path.decode(), decode_record(data)

    def collect(self, page: PageScan) -> None:
        """Collect a page of the branch's files, all from one snapshot."""
        with self._database.read() as connection:
            layers, tree = self._layers(connection)
            if layers:
                # The newest layer hides the others, and those the commit's tree.
                cursors: list[Cursor] = [
                    RowCursor(partial(select_staged_rows, connection, layer)) for layer in reversed(layers)
                ]
                page.collect([*cursors, tree.cursor()] if tree is not None else cursors)
                return
        page.collect([tree.cursor()] if tree is not None else [])

    def _page(self, start: bytes) -> tuple[Iterator[tuple[bytes, bytes]], bytes | None]:
        """Return the entries from `start` on as far as known, and where to go on.

        Layers and their rows come from one snapshot: a commit that finishes
        meanwhile takes nothing out of the listing.
        """
        with self._database.read() as connection:
            layers, tree = self._layers(connection)
            pages = [select_staged_page(connection, layer, start) for layer in reversed(layers)]
        following = min((end for _, end in pages if end is not None), default=None)
        # The newest layer sorts first among equal paths, the commit's tree last.
        ranked = [_ranked(rank, rows) for rank, (rows, _) in enumerate(pages)]
        if tree is not None:
            ranked.append(_ranked(len(layers), tree.entries(start)))
        return _topmost(merge(*ranked), following), following

    @property
    def scope(self) -> str:
        """The name that uploads into this branch go by, whichever commit is open."""
        return open_key(self._repo, self._branch)

    def put_many(
        self,
        files: Iterable[tuple[str, FileRecord]],
        expect: Expectation | None = None,
        also: Companion | None = None,
    ) -> None:
        """Set several records, and do `also`, in one transaction."""

        def guard(connection: Connection, path: bytes) -> None:
            if expect is not None:
                expect(self.lookup(connection, path))

        self._stagings.write_open(self._repo, self._branch, files, guard if expect else None, also)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove paths; those that are not there open no commit."""
        with self._database.read() as connection:
            layers, tree = self._layers(connection)
            present = [p for p in paths if self._find(connection, p.encode(), layers, tree) is not None]
        if present:
            self._stagings.write_open(self._repo, self._branch, [(path, None) for path in present])

    def _layers(self, connection: Connection) -> tuple[list[str], Tree | None]:
        pending = select_pending(connection, self._repo, self._branch)
        branch = select_branch(connection, self._repo, self._branch)
        tree = None
        if branch is not None and branch.head is not None:
            tree = Tree(self._cache, select_commit(connection, branch.head).root)
        return [info.id for info in pending], tree


def _ranked(
    rank: int, rows: Iterable[tuple[bytes, bytes | None]] | Iterable[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, int, bytes | None]]:
    for path, data in rows:
        yield path, rank, data


def _topmost(
    ranked: Iterable[tuple[bytes, int, bytes | None]], end: bytes | None
) -> Iterator[tuple[bytes, bytes]]:
    """Yield what the first of equal paths holds, unless removed, before `end`."""
    previous = None
    for path, _, data in ranked:
        if end is not None and path >= end:
            return
        if path != previous and data is not None:
            yield path, data
        previous = path

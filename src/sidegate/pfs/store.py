"""A store: one directory with packs and a catalog, and all that works on them.

.sidegate/
  store.json     format version and id
  catalog.db     the catalog (SQLite, WAL)
  changes        common memory of the processes at work: what has changed
  reserve        room for when the disk is full
  packs/         pack files
  locks/         held by whoever owns an attempt
  logs/          what jobs printed
  scratch/       private to running jobs
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal

from blake3 import blake3

from sidegate.errors import AlreadyExists, Conflict, Corrupt, NotFound, Unsupported
from sidegate.native.part_columns import PartColumns
from sidegate.pfs.branch_memory import BranchMemories, BranchMemory
from sidegate.pfs.branches import Branches
from sidegate.pfs.catalog.database import Database, open_engine
from sidegate.pfs.catalog.migration import migrate
from sidegate.pfs.changes import Changes
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.commits import Commit, Commits
from sidegate.pfs.compression import SampleHabit
from sidegate.pfs.cutting import ChunkCutter
from sidegate.pfs.diff import Difference, differences
from sidegate.pfs.disk import StorageFull
from sidegate.pfs.extent_lists import join_parts, slice_list, store_extents
from sidegate.pfs.extents import Extent, content_hash, digest, is_canonical
from sidegate.pfs.files import INLINE_EXTENTS, Attributes, FileRecord
from sidegate.pfs.finding import MARKER_NAME
from sidegate.pfs.jobs import JobRecords
from sidegate.pfs.layout import Layout, Slice, file_layout
from sidegate.pfs.locks import LockDirectory
from sidegate.pfs.publish import Publication, Publisher
from sidegate.pfs.reading import read_bytes, read_slices
from sidegate.pfs.recovery import recover_abandoned
from sidegate.pfs.remembered_places import RememberedPlaces
from sidegate.pfs.repos import Repos
from sidegate.pfs.reserve import OPENING_BYTES, RemovalRoom, Reserve
from sidegate.pfs.staging import Stagings
from sidegate.pfs.tree import NodeCache, Tree
from sidegate.pfs.tree_edit import build
from sidegate.pfs.uploads import Uploads
from sidegate.pfs.views import BranchView

FORMAT_VERSION = 1

Durability = Literal["process", "disk"]
"""What an acknowledged write survives: the process being killed, or the machine."""


def wall_clock_us() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000


class Store:
    """An open store; safe to use from several threads, and by several processes."""

    def __init__(self, directory: Path, durability: Durability, clock: Callable[[], int]) -> None:
        self.directory = directory
        self.durability = durability
        self.clock = clock
        self.reserve = Reserve(directory / "reserve")
        self.chunks = ChunkStore(directory / "packs", clock)
        engine = open_engine(directory / "catalog.db")
        migrate(engine)
        self.database = Database(engine, self.chunks, RemovalRoom(self.reserve), durable=durability == "disk")
        self.changes = Changes(directory / "changes")
        self.database.on_committing.append(self.changes.announce)
        self.database.on_committed.append(self.changes.tell)
        self.chunks.attach(self.database, self.changes)
        self.cache = NodeCache(self.chunks, read=RememberedPlaces(self.chunks).get)
        self.repos = Repos(self.database, clock)
        self.branches = Branches(self.database, clock)
        self.commits = Commits(self.database)
        self.locks = LockDirectory(directory / "locks")
        self.stagings = Stagings(self.database, clock, self.locks)
        self.uploads = Uploads(self.database, self.changes, clock)
        self.jobs = JobRecords(self.database, clock)
        self.publisher = Publisher(self.database, self.cache, clock, self.locks)
        self._memory = BranchMemories(self.database, self.cache, self.changes)

    @classmethod
    def create(cls, directory: Path) -> None:
        """Make a new store in `directory`; raises AlreadyExists if there is one."""
        marker = directory / MARKER_NAME
        if marker.exists():
            raise AlreadyExists(f"there is a store in {directory} already", directory=str(directory))
        (directory / "packs").mkdir(parents=True, exist_ok=True)
        (directory / "logs").mkdir(exist_ok=True)
        engine = open_engine(directory / "catalog.db")
        migrate(engine)
        engine.dispose()
        description = {"format": FORMAT_VERSION, "id": secrets.token_hex(16)}
        draft = directory / "store.json.new"
        draft.write_text(json.dumps(description) + "\n")
        draft.rename(marker)
        Reserve(directory / "reserve").keep()

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        durability: Durability = "process",
        clock: Callable[[], int] = wall_clock_us,
    ) -> Store:
        """Open a store and recover what a killed process left.

        On a full disk the room it needs is lent by the reserve.  Raises NotFound, Unsupported
        for another format, Corrupt, StorageFull.
        """
        marker = directory / MARKER_NAME
        if not marker.exists():
            raise NotFound(
                f"there is no store in {directory}", remedy="run `sidegate init`", directory=str(directory)
            )
        version = _read_format(marker)
        if version != FORMAT_VERSION:
            raise Unsupported(
                f"the store in {directory} has format {version}, this release reads {FORMAT_VERSION}",
                remedy="upgrade sidegate",
            )
        reserve = Reserve(directory / "reserve")
        while True:
            try:
                store = cls(directory, durability, clock)
                recover_abandoned(store.chunks)
            except StorageFull:
                if not reserve.lend(OPENING_BYTES):
                    raise
            else:
                return store

    def close(self) -> None:
        """Flush, seal and close everything."""
        self.database.write(lambda connection: None)
        self.chunks.close()
        self.locks.close()
        self.database.close()
        self.reserve.keep()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # -- reading ---------------------------------------------------------

    def tree(self, commit: Commit) -> Tree:
        """Return a commit's files."""
        return Tree(self.cache, commit.root)

    def branch_view(self, repo: str, branch: str) -> BranchView:
        """Return a branch's files with its open writes on top."""
        return BranchView(self.database, self.cache, self.stagings, repo, branch)

    def branch_memory(self, repo: str, branch: str) -> BranchMemory:
        """Return what this process keeps in memory of a branch, always the newest."""
        return self._memory.get(repo, branch)

    def layout(self, record: FileRecord) -> Layout | None:
        """Return where a file's bytes lie, None when it is too long for that."""
        return file_layout(self.chunks, record)

    def slices(self, record: FileRecord, offset: int = 0, end: int | None = None) -> Iterator[Slice]:
        """Yield the places of a file's bytes `offset` to `end` (exclusive)."""
        return read_slices(self.chunks, record, offset, end)

    def read(
        self, record: FileRecord, offset: int = 0, end: int | None = None
    ) -> Iterator[bytes | memoryview]:
        """Yield a file's bytes `offset` to `end` (exclusive)."""
        return read_bytes(self.chunks, record, offset, end)

    def differences(self, before: Commit | None, after: Commit) -> Iterator[Difference]:
        """Yield what changed from `before` (None: nothing) to `after`."""
        empty = build(self.cache, ())
        old = Tree(self.cache, before.root if before is not None else empty)
        return differences(old, self.tree(after), self.cache)

    # -- writing ---------------------------------------------------------

    def cutter(self, habit: SampleHabit | None = None) -> ChunkCutter:
        """Return a cutter that stores what is written to it; see there for `habit`."""
        return ChunkCutter(self.chunks, habit)

    def record(
        self,
        extents: tuple[Extent, ...],
        *,
        parts: int = 1,
        attributes: Attributes = (),
        tag: str | None = None,
        inline_count: int = INLINE_EXTENTS,
    ) -> FileRecord:
        """Return the record of a new file made of `extents`, modified now.

        The tag is `<32 hex>-<parts>` over the extents unless given.  It holds up to
        `inline_count` extents; more are stored apart.
        """
        canonical = is_canonical(extents)
        return FileRecord(
            size_bytes=sum(extent.length for extent in extents),
            tag=tag or f"{digest(extents)[:16].hex()}-{parts}",
            modified_us=self.clock(),
            extents=store_extents(self.chunks, extents, inline_count=inline_count),
            content_hash=content_hash(extents) if canonical else None,
            attributes=attributes,
        )

    def sliced_record(
        self, source: FileRecord, offset: int, end: int, *, inline_count: int = INLINE_EXTENTS
    ) -> FileRecord:
        """Return the record of a new part made of a file's bytes `offset` to `end`, modified now.

        Its tag is over the source's and the place, so that it need not be read.
        """
        whole = offset == 0 and end >= source.size_bytes
        name = f"{source.tag}\n{offset}\n{end}"
        return FileRecord(
            size_bytes=end - offset,
            tag=f"{blake3(name.encode()).hexdigest(length=16)}-1",
            modified_us=self.clock(),
            extents=slice_list(
                self.chunks, source.extents, offset, end, source.size_bytes, inline_count=inline_count
            ),
            content_hash=source.content_hash if whole else None,
        )

    def joined_record(self, parts: PartColumns, *, attributes: Attributes = ()) -> FileRecord:
        """Return the record of a new file made of parts, modified now.

        Costs their number, not their bytes.  The tag is `<32 hex>-<parts>` over
        the tags of the parts.
        """
        return FileRecord(
            size_bytes=sum(parts.sizes_bytes),
            tag=f"{blake3(parts.tags).hexdigest(length=16)}-{len(parts.external)}",
            modified_us=self.clock(),
            extents=join_parts(self.chunks, parts),
            content_hash=parts.content_hash,
            attributes=attributes,
        )

    def finish_open(self, repo: str, branch: str, *, description: str | None = None) -> list[Commit]:
        """Publish the branch's open commit; returns the new commits, none if unchanged.

        Raises NotFound when the branch has no open commit.
        """
        waiting = self.stagings.begin_finishing(repo, branch)
        if not waiting:
            raise NotFound(
                f"branch {repo}@{branch} has no open commit",
                remedy=f"open one with `sidegate commit start {repo}@{branch}`, or write to it over S3",
                repo=repo,
                branch=branch,
            )
        published = []
        for info in waiting:
            text = info.description if description is None else description
            try:
                commit = self.publisher.publish(
                    info, Publication(description=text, skip_unchanged=not info.held)
                )
            except Conflict:
                if any(other.id == info.id for other in self.stagings.pending(repo, branch)):
                    raise
                continue  # another process finished this one
            if commit is not None:
                published.append(commit)
        return published


def _read_format(marker: Path) -> object:
    try:
        return json.loads(marker.read_text())["format"]
    except (ValueError, LookupError, TypeError) as error:
        raise Corrupt(f"{marker} does not say which format the store has", path=str(marker)) from error

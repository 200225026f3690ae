"""Turning stagings into commits, atomically.

Makes every file canonical, builds the tree, syncs all of it, and only then
moves the branch head by compare-and-swap in the same transaction that removes
the staging: a reader sees the old version or the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from sidegate.errors import Conflict
from sidegate.pfs.branches import move_head, select_branch
from sidegate.pfs.catalog.database import Database
from sidegate.pfs.catalog.schema import STAGINGS
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.commits import Commit, Provenance, insert_commit, select_commit
from sidegate.pfs.extent_lists import load_extents, store_extents
from sidegate.pfs.extents import content_hash
from sidegate.pfs.files import FileRecord, decode_record, encode_record
from sidegate.pfs.ids import CommitId, new_commit_id
from sidegate.pfs.locks import LockDirectory
from sidegate.pfs.nodes import Entry
from sidegate.pfs.seams import canonical_extents
from sidegate.pfs.staged_rows import staged_rows
from sidegate.pfs.staging import StagingInfo, delete_staging, ensure_branch
from sidegate.pfs.tree import NodeCache, Tree
from sidegate.pfs.tree_edit import Change, apply, build

CAS_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Publication:
    """What a new commit says of itself beside its content.

    `replace`: the staging is the whole content; otherwise it is laid over the
    branch's head.  `commit_id` is the new commit's, random by default.  `keep`
    leaves out the paths for which it is false.
    """

    description: str = ""
    commit_id: CommitId | None = None
    commit_set: str | None = None
    provenance: list[Provenance] = field(default_factory=list)
    replace: bool = False
    skip_unchanged: bool = False
    keep: Callable[[str], bool] = lambda path: True


class Publisher:
    """Makes commits in one store."""

    def __init__(
        self, database: Database, cache: NodeCache, clock: Callable[[], int], locks: LockDirectory
    ) -> None:
        self._database = database
        self._cache = cache
        self._clock = clock
        self._locks = locks

    def publish(self, staging: StagingInfo, publication: Publication) -> Commit | None:
        """Make a commit of `staging` on its branch and remove the staging.

        Returns None, with the staging removed, when `skip_unchanged` is set and
        the content equals the head's.  Raises Conflict when the branch keeps
        moving, or the staging was published by someone else.
        """
        for _ in range(CAS_ATTEMPTS):
            head = self._head(staging.repo, staging.branch)
            commit = self._prepare(staging, publication, head)
            if publication.skip_unchanged and head is not None and commit.root == head.root:
                self._database.write(lambda connection: delete_staging(connection, staging.id))
                self._locks.release(staging.id)
                return None
            try:
                self._commit(staging, publication, commit)
            except _HeadMoved:
                continue
            self._locks.release(staging.id)
            return commit
        raise Conflict(
            f"branch {staging.repo}@{staging.branch} moved {CAS_ATTEMPTS} times meanwhile", remedy="try again"
        )

    def canonical(self, record: FileRecord) -> FileRecord:
        """Return the record with canonical extents and its content hash."""
        return canonical_record(self._cache.chunks, record)

    def _head(self, repo: str, branch: str) -> Commit | None:
        with self._database.read() as connection:
            found = select_branch(connection, repo, branch)
            if found is None or found.head is None:
                return None
            return select_commit(connection, found.head)

    def _prepare(self, staging: StagingInfo, publication: Publication, head: Commit | None) -> Commit:
        changes = self._changes(staging, publication)
        if head is None or publication.replace:
            entries = (Entry(change.key, change.value) for change in changes if change.value is not None)
            root = build(self._cache, entries)
        else:
            root = apply(self._cache, head.root, _effective(Tree(self._cache, head.root), changes))
        file_count, size_bytes = Tree(self._cache, root).totals()
        commit_id = publication.commit_id or new_commit_id()
        return Commit(
            id=commit_id,
            repo=staging.repo,
            branch=staging.branch,
            parent=head.id if head is not None else None,
            root=root,
            commit_set=publication.commit_set or commit_id,
            description=publication.description,
            started_us=staging.created_us,
            finished_us=self._clock(),
            size_bytes=size_bytes,
            file_count=file_count,
        )

    def _changes(self, staging: StagingInfo, publication: Publication) -> Iterator[Change]:
        for key, data in staged_rows(self._database, staging.id):
            if not publication.keep(key.decode()):
                continue
            if data is None:
                yield Change(key, None)
            else:
                yield Change(key, encode_record(self.canonical(decode_record(data))))

    def _commit(self, staging: StagingInfo, publication: Publication, commit: Commit) -> None:
        def operation(connection: Connection) -> None:
            if connection.execute(select(STAGINGS.c.id).where(STAGINGS.c.id == staging.id)).first() is None:
                raise Conflict(f"staging {staging.id} was published or dropped meanwhile", staging=staging.id)
            ensure_branch(connection, commit.repo, commit.branch, commit.started_us)
            branch = select_branch(connection, commit.repo, commit.branch)
            if branch is None or branch.head != commit.parent:
                raise _HeadMoved(f"branch {commit.repo}@{commit.branch} has moved meanwhile")
            insert_commit(connection, commit, publication.provenance)
            move_head(connection, commit.repo, commit.branch, commit.parent, CommitId(commit.id))
            delete_staging(connection, staging.id)

        # The writing may have been done by other processes, and not durably.
        self._cache.chunks.sync_all()
        self._database.write(operation, durable=True)


class _HeadMoved(Conflict):
    """The branch got another head while the tree was built."""


def canonical_record(chunks: ChunkStore, record: FileRecord) -> FileRecord:
    """Return the record with canonical extents, stored for an index, and its hash."""
    if record.content_hash is not None:
        return record
    extents = canonical_extents(chunks, tuple(load_extents(chunks, record.extents)))
    return record.with_extents(store_extents(chunks, extents), content_hash(extents))


def _effective(tree: Tree, changes: Iterable[Change]) -> list[Change]:
    """Return the changes, or none when they only repeat what the tree says.

    Writing the same bytes again is no new version by itself; beside a real
    change it is kept as it was written, tag and time included, so that what
    readers of the open commit saw stays true.
    """
    pending = list(changes)
    return [] if all(_repeats(tree, change) for change in pending) else pending


def _repeats(tree: Tree, change: Change) -> bool:
    current = tree.get(change.key.decode())
    if change.value is None or current is None:
        return change.value is None and current is None
    written = decode_record(change.value)
    return current.same_content(written) and current.tag == written.tag

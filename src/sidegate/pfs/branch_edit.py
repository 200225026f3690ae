"""One change to a branch from outside: gathered in private, then one commit.

Nothing of it is visible before `finish`.  Where the branch has an open commit
the change goes into that, in one transaction, instead of making its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from sqlalchemy import Connection, literal, select
from sqlalchemy.dialects.sqlite import insert

from sidegate.errors import Denied, NotFound
from sidegate.pfs.catalog.database import note_change
from sidegate.pfs.catalog.schema import STAGED
from sidegate.pfs.commits import Commit
from sidegate.pfs.files import FileRecord
from sidegate.pfs.ids import check_name
from sidegate.pfs.publish import Publication
from sidegate.pfs.staging import select_open, staged_totals, touch, upsert_staged
from sidegate.pfs.store import Store
from sidegate.pfs.tree import Tree
from sidegate.pfs.tree_edit import build
from sidegate.pfs.views import FileView


@dataclass(frozen=True, slots=True)
class EditOutcome:
    """What became of a change.

    `commit` is the new commit; without one, `joined` says that the change waits
    in the branch's open commit, and neither means that it changed nothing.
    """

    commit: Commit | None
    joined: bool


class BranchEdit:
    """A change to one branch; drop it by leaving the context unfinished."""

    def __init__(self, store: Store, repo: str, branch: str) -> None:
        """Begin; raises NotFound for the repo, Denied for a pipeline's, Invalid for the name."""
        check_writable(store, repo)
        check_name("branch", branch)
        self._store = store
        self.repo = repo
        self.branch = branch
        self._staging = store.stagings.begin_attempt(repo, branch)
        self._published = False

    @property
    def base(self) -> FileView:
        """What the change is laid over: the branch with its open commit, if any."""
        store, repo, branch = self._store, self.repo, self.branch
        if store.stagings.pending(repo, branch):
            return store.branch_view(repo, branch)
        try:
            head = store.commits.head(repo, branch)
        except NotFound:
            head = None
        return store.tree(head) if head is not None else Tree(store.cache, build(store.cache, ()))

    def put_many(self, files: Iterable[tuple[str, FileRecord]]) -> None:
        """Set the records of several paths."""
        self._staging.put_many(files)

    def remove(self, paths: Iterable[str]) -> None:
        """Remove paths."""
        rows: list[tuple[bytes, bytes | None]] = [(path.encode(), None) for path in paths]
        if rows:
            staging = self._staging.id
            self._store.database.write(lambda connection: upsert_staged(connection, staging, rows))

    def finish(self, description: str = "", *, even_unchanged: bool = False) -> EditOutcome:
        """Make the change one commit, or part of the open one; raises Conflict.

        With `even_unchanged` it is always a commit of its own, changed or not.
        """
        if not even_unchanged:
            if staged_totals(self._store.database, self._staging.id) == 0:
                return EditOutcome(None, joined=False)
            if self._store.database.write(self._join):
                return EditOutcome(None, joined=True)
        info = next(info for info in self._store.stagings.all() if info.id == self._staging.id)
        publication = Publication(description=description, skip_unchanged=not even_unchanged)
        commit = self._store.publisher.publish(info, publication)
        self._published = True
        return EditOutcome(commit, joined=False)

    def _join(self, connection: Connection) -> bool:
        """Move the change into the branch's open commit, if there is one."""
        info = select_open(connection, self.repo, self.branch)
        if info is None:
            return False
        columns = literal(info.id), STAGED.c.path, STAGED.c.record
        own = select(*columns).where(STAGED.c.staging == self._staging.id)
        statement = insert(STAGED).from_select(["staging", "path", "record"], own)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["staging", "path"],
                set_={"record": statement.excluded.record},
            )
        )
        note_change(connection, info.scope)
        touch(connection, info.id, self._store.clock())
        return True

    def __enter__(self) -> BranchEdit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._published:
            self._store.stagings.drop(self._staging.id)


def check_writable(store: Store, repo: str) -> None:
    """Raise Denied if only a pipeline writes to `repo`, NotFound if there is none."""
    if store.repos.get(repo).kind == "pipeline":
        raise Denied(
            f"repo {repo!r} is the output of pipeline {repo!r} and only its jobs write there",
            remedy="write to a repo of your own",
            repo=repo,
        )

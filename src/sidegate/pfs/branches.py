"""Branches: movable names for commits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from sidegate.errors import AlreadyExists, Conflict, NotFound
from sidegate.pfs.catalog.database import Database, note_change
from sidegate.pfs.catalog.schema import BRANCHES, COMMITS, REPOS, STAGED, STAGINGS, UPLOADS
from sidegate.pfs.emptiness import require_empty
from sidegate.pfs.ids import CommitId, check_name
from sidegate.pfs.pending import is_pending, open_key
from sidegate.pfs.uploads import delete_uploads

DEFAULT_BRANCH = "master"


@dataclass(frozen=True, slots=True)
class Branch:
    """`head` is the newest finished commit, None before the first."""

    repo: str
    name: str
    head: CommitId | None
    created_us: int


class Branches:
    """The branches of all repos of one store."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock

    def create(self, repo: str, name: str, head: CommitId | None = None) -> Branch:
        """Make a branch at `head`; raises AlreadyExists, NotFound, Invalid."""
        branch = Branch(repo, check_name("branch", name), head, self._clock())

        def operation(connection: Connection) -> Branch:
            if select_branch(connection, repo, name) is not None:
                raise AlreadyExists(f"branch {repo}@{name} exists already", repo=repo, branch=name)
            _check_head(connection, repo, head)
            insert_branch(connection, branch)
            return branch

        return self._database.write(operation)

    def get(self, repo: str, name: str) -> Branch:
        """Return the branch; raises NotFound."""
        with self._database.read() as connection:
            branch = select_branch(connection, repo, name)
        if branch is None:
            raise NotFound(
                f"there is no branch {repo}@{name}", remedy=f"see `sidegate branch list {repo}`", branch=name
            )
        return branch

    def list(self, repo: str) -> list[Branch]:
        """Return a repo's branches by name."""
        query = select(BRANCHES).where(BRANCHES.c.repo == repo).order_by(BRANCHES.c.name)
        with self._database.read() as connection:
            return [Branch(*row) for row in connection.execute(query)]

    def delete(self, repo: str, name: str) -> None:
        """Remove the name; its commits stay.  Raises NotFound, Conflict while a commit is open."""

        def operation(connection: Connection) -> None:
            if select_branch(connection, repo, name) is None:
                raise NotFound(f"there is no branch {repo}@{name}", branch=name)
            open_commit = select(STAGINGS.c.id).where(is_pending(repo, name))
            if connection.execute(open_commit).first() is not None:
                raise Conflict(
                    f"branch {repo}@{name} has an open commit",
                    remedy=f"run `sidegate commit finish {repo}@{name}` first",
                )
            connection.execute(delete(BRANCHES).where(BRANCHES.c.repo == repo, BRANCHES.c.name == name))
            note_change(connection, open_key(repo, name))
            note_change(connection, repo)  # its branches are others

        self._database.write(operation, removes=True)

    def delete_empty(self, repo: str, name: str) -> None:
        """Remove a branch that holds no file, with its open writes; raises Conflict."""

        def operation(connection: Connection) -> None:
            require_empty(connection, repo, name)
            pending = select(STAGINGS.c.id).where(is_pending(repo, name))
            uploads = select(UPLOADS.c.id).where(UPLOADS.c.scope == open_key(repo, name))
            delete_uploads(connection, list(connection.execute(uploads).scalars()))
            connection.execute(delete(STAGED).where(STAGED.c.staging.in_(pending)))
            connection.execute(delete(STAGINGS).where(STAGINGS.c.id.in_(pending)))
            connection.execute(delete(BRANCHES).where(BRANCHES.c.repo == repo, BRANCHES.c.name == name))
            note_change(connection, open_key(repo, name))
            note_change(connection, repo)  # its branches are others

        self._database.write(operation, removes=True)


def select_branch(connection: Connection, repo: str, name: str) -> Branch | None:
    """Return the branch as this transaction sees it, or None."""
    query = select(BRANCHES).where(BRANCHES.c.repo == repo, BRANCHES.c.name == name)
    row = connection.execute(query).first()
    return Branch(*row) if row is not None else None


def insert_branch(connection: Connection, branch: Branch) -> None:
    """Add a branch's row; raises NotFound when the repo is not there."""
    if connection.execute(select(REPOS.c.name).where(REPOS.c.name == branch.repo)).first() is None:
        raise NotFound(
            f"there is no repo {branch.repo!r}", remedy="see `sidegate repo list`", repo=branch.repo
        )
    connection.execute(
        insert(BRANCHES).values(
            repo=branch.repo, name=branch.name, head=branch.head, created_us=branch.created_us
        )
    )
    note_change(connection, open_key(branch.repo, branch.name))


def move_head(
    connection: Connection, repo: str, name: str, expected: CommitId | None, head: CommitId | None
) -> None:
    """Set the head if it is still `expected`, else raise Conflict."""
    moved = connection.execute(
        update(BRANCHES)
        .where(
            BRANCHES.c.repo == repo, BRANCHES.c.name == name, BRANCHES.c.head.is_not_distinct_from(expected)
        )
        .values(head=head)
    )
    if moved.rowcount != 1:
        raise Conflict(
            f"branch {repo}@{name} has moved meanwhile", remedy="try again", repo=repo, branch=name
        )
    note_change(connection, open_key(repo, name))


def _check_head(connection: Connection, repo: str, head: CommitId | None) -> None:
    if head is None:
        return
    owner = connection.execute(select(COMMITS.c.repo).where(COMMITS.c.id == head)).scalar()
    if owner != repo:
        raise NotFound(f"repo {repo!r} has no commit {head}", repo=repo, commit=head)

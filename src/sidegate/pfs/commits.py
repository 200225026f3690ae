"""Finished commits: immutable versions, their ancestry and provenance."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from sidegate.errors import Conflict, Invalid, NotFound
from sidegate.pfs.branches import DEFAULT_BRANCH, move_head, select_branch
from sidegate.pfs.catalog.database import Database
from sidegate.pfs.catalog.schema import BRANCHES, COMMITS, PROVENANCE, STAGINGS
from sidegate.pfs.ids import CommitId, NodeId
from sidegate.pfs.pending import is_pending
from sidegate.pfs.running_jobs import require_no_running_job

_REFERENCE = re.compile(r"(?P<base>[a-zA-Z0-9_-]+)(?P<steps>(?:\^|~[0-9]{1,9})*)")
_ID_PREFIX = re.compile(r"[0-9a-f]{8,32}")


@dataclass(frozen=True, slots=True)
class Commit:
    """One finished version of a repo; `root` is its index tree."""

    id: CommitId
    repo: str
    branch: str
    parent: CommitId | None
    root: NodeId
    commit_set: str
    description: str
    started_us: int
    finished_us: int
    size_bytes: int
    file_count: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """One input a commit was made from, under the name the job knew it by."""

    name: str
    repo: str
    branch: str
    commit: CommitId


class Commits:
    """The finished commits of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, commit: CommitId) -> Commit:
        """Return a commit by its id; raises NotFound."""
        with self._database.read() as connection:
            return select_commit(connection, commit)

    def head(self, repo: str, branch: str = DEFAULT_BRANCH) -> Commit | None:
        """Return the newest commit of a branch, None before the first; raises NotFound."""
        with self._database.read() as connection:
            return self._resolve(connection, repo, branch)

    def resolve(self, repo: str, reference: str) -> Commit:
        """Return the commit that `reference` names in `repo`.

        A branch, a commit id or at least 8 digits of one, then any of `^`
        (parent) and `~N` (N parents).  Raises NotFound, Invalid.
        """
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise Invalid(
                f"reference {reference!r} is not valid", remedy="use BRANCH, a commit id, BRANCH^ or BRANCH~2"
            )
        with self._database.read() as connection:
            commit = self._resolve(connection, repo, match["base"])
            if commit is None:
                raise _nothing_finished(connection, repo, match["base"])
            for _ in range(_count_steps(match["steps"])):
                if commit.parent is None:
                    raise NotFound(f"commit {commit.id} has no parent, so {repo}@{reference} does not exist")
                commit = select_commit(connection, commit.parent)
        return commit

    @staticmethod
    def _resolve(connection: Connection, repo: str, base: str) -> Commit | None:
        branch = select_branch(connection, repo, base)
        if branch is not None:
            return select_commit(connection, branch.head) if branch.head is not None else None
        if _ID_PREFIX.fullmatch(base) is not None:
            query = select(COMMITS).where(COMMITS.c.repo == repo, COMMITS.c.id.startswith(base)).limit(2)
            rows = connection.execute(query).all()
            if len(rows) == 1:
                return Commit(*rows[0])
            if len(rows) > 1:
                raise Invalid(f"{base!r} names several commits of repo {repo!r}", remedy="give more digits")
        raise NotFound(
            f"there is no branch or commit {base!r} in repo {repo!r}",
            remedy="see `sidegate branch list` and `sidegate repo list`",
            repo=repo,
            reference=base,
        )

    def log(self, repo: str, reference: str = DEFAULT_BRANCH) -> Iterator[Commit]:
        """Yield a commit and its ancestors, newest first."""
        commit: Commit | None = self.resolve(repo, reference)
        while commit is not None:
            yield commit
            commit = self.get(commit.parent) if commit.parent is not None else None

    def all(self, repo: str | None = None) -> list[Commit]:
        """Return every commit of a repo, or of the store, newest first."""
        query = select(COMMITS).order_by(COMMITS.c.finished_us.desc(), COMMITS.c.id)
        if repo is not None:
            query = query.where(COMMITS.c.repo == repo)
        with self._database.read() as connection:
            return [Commit(*row) for row in connection.execute(query)]

    def provenance(self, commit: CommitId) -> list[Provenance]:
        """Return the inputs a commit was made from, by name."""
        columns = (PROVENANCE.c.name, PROVENANCE.c.repo, PROVENANCE.c.branch, PROVENANCE.c.input_commit)
        query = select(*columns).where(PROVENANCE.c.commit == commit).order_by(PROVENANCE.c.name)
        with self._database.read() as connection:
            return [Provenance(*row) for row in connection.execute(query)]

    def dependants(self, commit: CommitId) -> list[CommitId]:
        """Return the commits that were made from this one."""
        query = select(PROVENANCE.c.commit).where(PROVENANCE.c.input_commit == commit).distinct()
        with self._database.read() as connection:
            return [CommitId(row) for row in connection.execute(query).scalars()]

    def delete(self, commit: CommitId) -> None:
        """Remove a branch's newest commit; the branch moves to its parent.

        Raises Conflict when another commit follows or was made from it.
        """
        self._database.write(lambda connection: _delete(connection, commit), removes=True)


def _nothing_finished(connection: Connection, repo: str, branch: str) -> NotFound:
    written = connection.execute(select(STAGINGS.c.id).where(is_pending(repo, branch)).limit(1)).first()
    return NotFound(
        f"branch {repo}@{branch} has no finished commit yet",
        remedy=f"`sidegate commit finish {repo}@{branch}` makes one of what was written to it"
        if written is not None
        else f"`sidegate file put FILE {repo}@{branch}` makes one",
        repo=repo,
    )


def select_commit(connection: Connection, commit: CommitId) -> Commit:
    """Return a commit as this transaction sees it; raises NotFound."""
    row = connection.execute(select(COMMITS).where(COMMITS.c.id == commit)).first()
    if row is None:
        raise NotFound(f"there is no commit {commit}", commit=commit)
    return Commit(*row)


def insert_commit(connection: Connection, commit: Commit, provenance: list[Provenance]) -> None:
    """Add a commit with its provenance."""
    connection.execute(insert(COMMITS).values({name: getattr(commit, name) for name in Commit.__slots__}))
    if provenance:
        rows = [
            {
                "commit": commit.id,
                "name": edge.name,
                "repo": edge.repo,
                "branch": edge.branch,
                "input_commit": edge.commit,
            }
            for edge in provenance
        ]
        connection.execute(insert(PROVENANCE), rows)


def _count_steps(steps: str) -> int:
    return sum(int(step[1:]) if step.startswith("~") else 1 for step in re.findall(r"\^|~[0-9]+", steps))


def _check_branches(connection: Connection, commit: Commit) -> None:
    """Raise Conflict if another branch, or an open commit, stands on this one."""
    others = select(BRANCHES.c.name).where(
        BRANCHES.c.repo == commit.repo, BRANCHES.c.head == commit.id, BRANCHES.c.name != commit.branch
    )
    other = connection.execute(others).scalar()
    if other is not None:
        raise Conflict(
            f"commit {commit.id} is the head of branch {commit.repo}@{other} too",
            remedy=f"delete that branch first: `sidegate branch delete {commit.repo}@{other}`",
        )
    pending = select(STAGINGS.c.id).where(is_pending(commit.repo, commit.branch))
    if connection.execute(pending).first() is not None:
        raise Conflict(
            f"branch {commit.repo}@{commit.branch} has an open commit on top of {commit.id}",
            remedy=f"run `sidegate commit finish {commit.repo}@{commit.branch}` first",
        )


def _delete(connection: Connection, commit_id: CommitId) -> None:
    commit = select_commit(connection, commit_id)
    for query, what in (
        (select(COMMITS.c.id).where(COMMITS.c.parent == commit_id), "is the parent of"),
        (select(PROVENANCE.c.commit).where(PROVENANCE.c.input_commit == commit_id), "is an input of"),
    ):
        other = connection.execute(query).scalar()
        if other is not None:
            raise Conflict(f"commit {commit_id} {what} commit {other}", remedy=f"delete {other} first")
    require_no_running_job(connection, f"commit {commit_id}", lambda _, used: used == commit_id)
    _check_branches(connection, commit)
    branch = select_branch(connection, commit.repo, commit.branch)
    if branch is not None and branch.head == commit_id:
        move_head(connection, commit.repo, commit.branch, commit_id, commit.parent)
    connection.execute(delete(PROVENANCE).where(PROVENANCE.c.commit == commit_id))
    connection.execute(delete(COMMITS).where(COMMITS.c.id == commit_id))

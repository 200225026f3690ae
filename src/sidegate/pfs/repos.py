"""Repos: the named homes of branches and commits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, delete, func, insert, select

from sidegate.errors import AlreadyExists, Conflict, Denied, NotFound
from sidegate.pfs.catalog.database import Database, note_change
from sidegate.pfs.catalog.schema import BRANCHES, COMMITS, PROVENANCE, REPOS, STAGED, STAGINGS, UPLOADS
from sidegate.pfs.emptiness import require_empty
from sidegate.pfs.ids import check_name
from sidegate.pfs.running_jobs import require_no_running_job
from sidegate.pfs.uploads import delete_uploads

RepoKind = Literal["user", "pipeline"]


@dataclass(frozen=True, slots=True)
class Repo:
    """`kind` says who writes it: a user, or the pipeline of that name."""

    name: str
    kind: RepoKind
    description: str
    created_us: int


class Repos:
    """The repos of one store."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock

    def create(self, name: str, *, kind: RepoKind = "user", description: str = "") -> Repo:
        """Make a repo; raises AlreadyExists, Invalid for the name."""
        repo = Repo(check_name("repo", name), kind, description, self._clock())

        def operation(connection: Connection) -> Repo:
            if _select(connection, name) is not None:
                raise AlreadyExists(f"repo {name!r} exists already", repo=name)
            connection.execute(
                insert(REPOS).values(
                    name=name, kind=kind, description=description, created_us=repo.created_us
                )
            )
            note_change(connection, name)
            return repo

        return self._database.write(operation)

    def ensure(self, name: str, *, kind: RepoKind) -> Repo:
        """Return the repo, made if need be; raises Denied if it is of the other kind."""
        try:
            repo = self.get(name)
        except NotFound:
            try:
                return self.create(name, kind=kind)
            except AlreadyExists:  # somebody else made it meanwhile
                repo = self.get(name)
        if repo.kind != kind:
            raise Denied(
                f"repo {name!r} is a {repo.kind} repo",
                remedy="choose another name",
                repo=name,
                kind=repo.kind,
            )
        return repo

    def get(self, name: str) -> Repo:
        """Return the repo; raises NotFound."""
        with self._database.read() as connection:
            repo = _select(connection, name)
        if repo is None:
            raise NotFound(f"there is no repo {name!r}", remedy="see `sidegate repo list`", repo=name)
        return repo

    def list(self) -> list[Repo]:
        """Return all repos by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(REPOS).order_by(REPOS.c.name)).all()
        return [Repo(*row) for row in rows]

    def delete(self, name: str) -> None:
        """Remove a repo with its branches and commits.

        Raises Conflict while a commit elsewhere was made from one of its
        commits: that would tear a hole into provenance.
        """
        self._database.write(lambda connection: _delete(connection, name), removes=True)

    def delete_empty(self, name: str) -> None:
        """Remove a repo that never held a file; raises Conflict, NotFound."""

        def operation(connection: Connection) -> None:
            require_empty(connection, name)
            _delete(connection, name)

        self._database.write(operation, removes=True)


def _select(connection: Connection, name: str) -> Repo | None:
    row = connection.execute(select(REPOS).where(REPOS.c.name == name)).first()
    return Repo(*row) if row is not None else None


def _delete(connection: Connection, name: str) -> None:
    if _select(connection, name) is None:
        raise NotFound(f"there is no repo {name!r}", remedy="see `sidegate repo list`", repo=name)
    own = select(COMMITS.c.id).where(COMMITS.c.repo == name)
    query = (
        select(COMMITS.c.repo, COMMITS.c.id)
        .join(PROVENANCE, PROVENANCE.c.commit == COMMITS.c.id)
        .where(PROVENANCE.c.input_commit.in_(own), COMMITS.c.repo != name)
    )
    dependant = connection.execute(query).first()
    if dependant is not None:
        raise Conflict(
            f"repo {name!r} is in use: commit {dependant.id} of repo {dependant.repo!r} was made from it",
            remedy=f"delete repo {dependant.repo!r} first",
            repo=name,
            dependant=dependant.repo,
        )
    require_no_running_job(connection, f"repo {name!r}", lambda repo, _: repo == name)
    stagings = select(STAGINGS.c.id).where(STAGINGS.c.repo == name)
    of_branches = func.substr(UPLOADS.c.scope, 1, len(name) + 1) == f"{name}@"
    of_repo = UPLOADS.c.scope.in_(stagings) | of_branches
    delete_uploads(connection, list(connection.execute(select(UPLOADS.c.id).where(of_repo)).scalars()))
    connection.execute(delete(STAGED).where(STAGED.c.staging.in_(stagings)))
    connection.execute(delete(STAGINGS).where(STAGINGS.c.repo == name))
    connection.execute(delete(PROVENANCE).where(PROVENANCE.c.commit.in_(own)))
    connection.execute(delete(BRANCHES).where(BRANCHES.c.repo == name))
    connection.execute(delete(COMMITS).where(COMMITS.c.repo == name))
    connection.execute(delete(REPOS).where(REPOS.c.name == name))
    note_change(connection, name)

"""Whether a repo or branch may go without history going with it."""

from __future__ import annotations

from sqlalchemy import Connection, select

from sidegate.errors import Conflict
from sidegate.pfs.catalog.schema import BRANCHES, COMMITS, STAGED, STAGINGS


def require_empty(connection: Connection, repo: str, branch: str | None = None) -> None:
    """Raise Conflict if a commit or an open write of `repo`, or one branch, holds a file.

    A commit that was started by hand counts too: someone means to fill it.
    """
    commit = select(COMMITS.c.id).where(COMMITS.c.repo == repo, COMMITS.c.file_count > 0)
    held = select(STAGINGS.c.id).where(
        STAGINGS.c.repo == repo, STAGINGS.c.held, STAGINGS.c.purpose != "attempt"
    )
    written = (
        select(STAGED.c.path)
        .join(STAGINGS, STAGINGS.c.id == STAGED.c.staging)
        .where(STAGINGS.c.repo == repo, STAGED.c.record.is_not(None))
    )
    if branch is not None:
        head = select(BRANCHES.c.head).where(BRANCHES.c.repo == repo, BRANCHES.c.name == branch)
        commit = commit.where((COMMITS.c.branch == branch) | COMMITS.c.id.in_(head))
        held = held.where(STAGINGS.c.branch == branch)
        written = written.where(STAGINGS.c.branch == branch)
    for query in (commit, held, written):
        if connection.execute(query.limit(1)).first() is not None:
            name = repo if branch is None else f"{repo}@{branch}"
            raise Conflict(f"{name} holds files or history", repo=repo, branch=branch)

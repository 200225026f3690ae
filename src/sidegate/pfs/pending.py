"""Which stagings are laid over a branch: all but the private ones of attempts."""

from __future__ import annotations

from sqlalchemy import BindParameter, ColumnElement, and_

from sidegate.pfs.catalog.schema import STAGINGS

Name = str | BindParameter[str]


def open_key(repo: str, branch: str) -> str:
    """Return the unique key of a branch's open commit, and the scope of what belongs to the branch."""
    return f"{repo}@{branch}"


def is_pending(repo: Name, branch: Name) -> ColumnElement[bool]:
    """Return the condition that a staging is an open or finishing commit of the branch."""
    return and_(STAGINGS.c.repo == repo, STAGINGS.c.branch == branch, STAGINGS.c.purpose != "attempt")

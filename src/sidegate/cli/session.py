"""What a command works on: the store, and the versions it is asked for."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidegate.errors import NotFound

if TYPE_CHECKING:
    from sidegate.cli.references import Reference
    from sidegate.pfs.commits import Commit
    from sidegate.pfs.repos import Repo
    from sidegate.pfs.store import Durability, Store

STORE_KEY = "sidegate.store"


def explicit_store(ctx: click.Context) -> str | None:
    """Return what was given as `--store`."""
    value = ctx.meta.get(STORE_KEY)
    return str(value) if value is not None else None


def store_path(ctx: click.Context) -> Path:
    """Return the store's folder; raises NotFound."""
    from sidegate.pfs.finding import find_store

    return find_store(explicit_store(ctx), os.environ, Path.cwd())


@contextmanager
def open_store(ctx: click.Context, durability: Durability = "process") -> Iterator[Store]:
    """Open the store for one command; raises NotFound."""
    path = store_path(ctx)
    from sidegate.pfs.store import Store

    with Store.open(path, durability=durability) as store:
        yield store


def get_repo(store: Store, name: str) -> Repo:
    """Return a repo; raises NotFound, with the name that was probably meant."""
    try:
        return store.repos.get(name)
    except NotFound as error:
        close = difflib.get_close_matches(name, [repo.name for repo in store.repos.list()], n=1)
        if not close:
            raise
        raise NotFound(error.message, remedy=f"did you mean {close[0]!r}?", repo=name) from None


def resolve_commit(store: Store, reference: Reference) -> Commit:
    """Return the finished commit meant; raises NotFound, Invalid.

    Says so when its branch has newer writes that are not finished.
    """
    from sidegate.cli.printing import note
    from sidegate.pfs.ids import COMMIT_ID, CommitId

    if reference.reference is None and COMMIT_ID.fullmatch(reference.repo):
        return store.commits.get(CommitId(reference.repo))
    get_repo(store, reference.repo)
    commit = store.commits.resolve(reference.repo, reference.version)
    if store.stagings.pending(reference.repo, reference.version):
        note(
            f"note: {reference.repo}@{reference.version} has newer writes that are not finished; "
            f"this is its last commit {commit.id}"
        )
    return commit

"""`sidegate repo`: the named homes of branches and commits."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Group, description_option, json_option
from sidegate.cli.printing import (
    emit,
    human_size,
    human_time,
    iso_time,
    listing,
    note,
    plural,
    say,
    short_id,
    table,
)
from sidegate.cli.references import REPO, Reference
from sidegate.cli.session import get_repo, open_store

if TYPE_CHECKING:
    from sidegate.pfs.repos import Repo
    from sidegate.pfs.store import Store


@click.group(
    "repo",
    cls=Group,
    examples="""
    sidegate repo create labresults -m "blood tests, one folder per month"
    sidegate repo list
    """,
)
def command() -> None:
    """Make, list and remove repos."""


@command.command(
    "create",
    examples="""
    sidegate repo create labresults
    sidegate repo create labresults -m "blood tests, one folder per month"
    """,
)
@click.argument("repo", type=REPO)
@description_option
@json_option
@click.pass_context
def create(ctx: click.Context, repo: Reference, description: str, as_json: bool) -> None:
    """Make an empty repo."""
    with open_store(ctx) as store:
        made = store.repos.create(repo.repo, description=description)
        if as_json:
            emit(_describe(store, made))
        else:
            say(made.name)


@command.command(
    "list",
    examples="""
    sidegate repo list
    sidegate repo list --json | jq -r .repo
    """,
)
@json_option
@click.pass_context
def list_repos(ctx: click.Context, as_json: bool) -> None:
    """List the repos of the store."""
    with open_store(ctx) as store:
        repos = store.repos.list()
        if as_json:
            for repo in repos:
                emit(_describe(store, repo))
            return
        if not repos:
            note("there are no repos yet; make one with `sidegate repo create NAME`")
            return
        rows = [_row(store, repo) for repo in repos]
        table(
            ("REPO", "KIND", "BRANCHES", "FILES", "SIZE", "CREATED", "DESCRIPTION"),
            rows,
            numbers=("BRANCHES", "FILES", "SIZE"),
        )


@command.command(
    "inspect",
    examples="""
    sidegate repo inspect labresults
    sidegate repo inspect labresults --json
    """,
)
@click.argument("repo", type=REPO)
@json_option
@click.pass_context
def inspect(ctx: click.Context, repo: Reference, as_json: bool) -> None:
    """Show one repo with its branches."""
    with open_store(ctx) as store:
        found = get_repo(store, repo.repo)
        if as_json:
            emit(_describe(store, found))
            return
        branches = store.branches.list(found.name)
        listing(
            {
                "repo": found.name,
                "kind": found.kind,
                "description": found.description,
                "created": human_time(found.created_us),
                "branches": ", ".join(f"{branch.name} ({short_id(branch.head)})" for branch in branches),
                "commits": str(len(store.commits.all(found.name))),
            }
        )


@command.command(
    "delete",
    examples="""
    sidegate repo delete scratch
    sidegate repo delete scratch --yes
    """,
)
@click.argument("repo", type=REPO)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def delete(ctx: click.Context, repo: Reference, yes: bool) -> None:
    """Remove a repo with all its branches and commits.

    Refused while commits of another repo were made from it.
    """
    with open_store(ctx) as store:
        found = get_repo(store, repo.repo)
        commits = store.commits.all(found.name)
        if commits and not yes and sys.stdin.isatty() and sys.stderr.isatty():
            question = f"remove repo {found.name!r} and its {plural(len(commits), 'commit')} for good?"
            click.confirm(question, abort=True, err=True)
        store.repos.delete(found.name)
        note(f"removed repo {found.name!r}; `sidegate gc` gives its space back")


def _describe(store: Store, repo: Repo) -> dict[str, object]:
    branches = store.branches.list(repo.name)
    return {
        "repo": repo.name,
        "kind": repo.kind,
        "description": repo.description,
        "created": iso_time(repo.created_us),
        "branches": [{"branch": branch.name, "head": branch.head} for branch in branches],
    }


def _row(store: Store, repo: Repo) -> tuple[str, ...]:
    branches = store.branches.list(repo.name)
    heads = [store.commits.get(branch.head) for branch in branches if branch.head is not None]
    newest = max(heads, key=lambda commit: commit.finished_us, default=None)
    return (
        repo.name,
        repo.kind,
        str(len(branches)),
        f"{newest.file_count:,}" if newest is not None else "-",
        human_size(newest.size_bytes) if newest is not None else "-",
        human_time(repo.created_us),
        repo.description,
    )

"""`sidegate commit`: the versions of a repo."""

from __future__ import annotations

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
from sidegate.cli.references import REPO_BRANCH, REPO_REF, Reference
from sidegate.cli.session import get_repo, open_store, resolve_commit

if TYPE_CHECKING:
    from sidegate.pfs.commits import Commit
    from sidegate.pfs.store import Store


@click.group(
    "commit",
    cls=Group,
    examples="""
    sidegate commit list labresults
    sidegate commit start labresults@master
    sidegate commit finish labresults@master -m "March"
    """,
)
def command() -> None:
    """Make, list and look at versions."""


@command.command(
    "create",
    examples="""
    sidegate commit create labresults@master -m "reviewed by Ada"
    """,
)
@click.argument("branch", type=REPO_BRANCH)
@description_option
@json_option
@click.pass_context
def create(ctx: click.Context, branch: Reference, description: str, as_json: bool) -> None:
    """Make a commit with the same files as the last, to mark a moment."""
    from sidegate.pfs.branch_edit import BranchEdit

    with open_store(ctx) as store:
        get_repo(store, branch.repo)
        with BranchEdit(store, branch.repo, branch.version) as edit:
            outcome = edit.finish(description, even_unchanged=True)
        if outcome.commit is not None:
            _show_made(store, [outcome.commit], as_json)


@command.command(
    "start",
    examples="""
    sidegate commit start labresults@master -m "March"
    sidegate file put march/ labresults@master
    sidegate commit finish labresults@master
    """,
)
@click.argument("branch", type=REPO_BRANCH)
@description_option
@json_option
@click.pass_context
def start(ctx: click.Context, branch: Reference, description: str, as_json: bool) -> None:
    """Open a commit that gathers writes until `commit finish`."""
    from sidegate.pfs.branch_edit import check_writable
    from sidegate.pfs.ids import check_name

    with open_store(ctx) as store:
        get_repo(store, branch.repo)
        check_writable(store, branch.repo)
        check_name("branch", branch.version)
        info = store.stagings.open_commit(branch.repo, branch.version, held=True, description=description)
        if as_json:
            emit(
                {
                    "repo": info.repo,
                    "branch": info.branch,
                    "state": "open",
                    "description": info.description,
                    "started": iso_time(info.created_us),
                }
            )
        else:
            note(f"opened a commit; `sidegate commit finish {info.repo}@{info.branch}` makes it a version")


@command.command(
    "finish",
    examples="""
    sidegate commit finish labresults@master
    sidegate commit finish labresults@master -m "March, complete"
    """,
)
@click.argument("branch", type=REPO_BRANCH)
@click.option("-m", "--description", metavar="TEXT", help="What the commit is about.")
@json_option
@click.pass_context
def finish(ctx: click.Context, branch: Reference, description: str | None, as_json: bool) -> None:
    """Make the open commit of a branch a version, and print its id."""
    with open_store(ctx) as store:
        get_repo(store, branch.repo)
        commits = store.finish_open(branch.repo, branch.version, description=description)
        if not commits:
            note(f"nothing changed, so {branch.repo}@{branch.version} has no new commit")
        _show_made(store, commits, as_json)


@command.command(
    "list",
    examples="""
    sidegate commit list labresults
    sidegate commit list labresults@master~3
    sidegate commit list --json | jq -r .commit
    """,
)
@click.argument("version", type=REPO_REF, required=False)
@click.option("-n", "--number", type=click.IntRange(min=1), metavar="N", help="Only the newest N.")
@json_option
@click.pass_context
def list_commits(ctx: click.Context, version: Reference | None, number: int | None, as_json: bool) -> None:
    """List commits, newest first.

    Those of a repo, or of all; with a REF, that commit and its ancestors.
    """
    with open_store(ctx) as store:
        commits = _select(store, version)[:number]
        if as_json:
            for commit in commits:
                emit(describe_commit(store, commit))
            return
        if not commits:
            note("there are no commits yet; `sidegate file put` makes one")
            return
        columns = ("BRANCH", "COMMIT", "PARENT", "FILES", "SIZE", "FINISHED", "DESCRIPTION")
        table(columns, [_row(commit) for commit in commits], numbers=("FILES", "SIZE"))


@command.command(
    "inspect",
    examples="""
    sidegate commit inspect labresults@master
    sidegate commit inspect labresults@master^ --json
    """,
)
@click.argument("version", type=REPO_REF)
@json_option
@click.pass_context
def inspect(ctx: click.Context, version: Reference, as_json: bool) -> None:
    """Show one commit: its parent, root, size and provenance."""
    with open_store(ctx) as store:
        commit = resolve_commit(store, version)
        if as_json:
            emit(describe_commit(store, commit))
            return
        inputs = store.commits.provenance(commit.id)
        listing(
            {
                "commit": commit.id,
                "branch": f"{commit.repo}@{commit.branch}",
                "parent": commit.parent or "-",
                "root": commit.root.hex(),
                "commit set": commit.commit_set,
                "description": commit.description,
                "content": f"{plural(commit.file_count, 'file')}, {human_size(commit.size_bytes)}",
                "started": human_time(commit.started_us),
                "finished": human_time(commit.finished_us),
                **{f"input {edge.name}": f"{edge.repo}@{edge.branch} {edge.commit}" for edge in inputs},
            }
        )


@command.command(
    "delete",
    examples="""
    sidegate commit delete labresults@master
    """,
)
@click.argument("version", type=REPO_REF)
@click.pass_context
def delete(ctx: click.Context, version: Reference) -> None:
    """Remove the newest commit of a branch.

    The branch goes back to its parent. Refused while another commit follows it or was made from it.
    """
    with open_store(ctx) as store:
        commit = resolve_commit(store, version)
        store.commits.delete(commit.id)
        note(f"removed commit {commit.id} of {commit.repo}@{commit.branch}")


def describe_commit(store: Store, commit: Commit) -> dict[str, object]:
    """Return a commit as JSON data."""
    return {
        "commit": commit.id,
        "repo": commit.repo,
        "branch": commit.branch,
        "parent": commit.parent,
        "root": commit.root.hex(),
        "commit_set": commit.commit_set,
        "description": commit.description,
        "size": commit.size_bytes,
        "files": commit.file_count,
        "started": iso_time(commit.started_us),
        "finished": iso_time(commit.finished_us),
        "provenance": [
            {"name": edge.name, "repo": edge.repo, "branch": edge.branch, "commit": edge.commit}
            for edge in store.commits.provenance(commit.id)
        ],
    }


def _show_made(store: Store, commits: list[Commit], as_json: bool) -> None:
    for commit in commits:
        if as_json:
            emit(describe_commit(store, commit))
        else:
            say(commit.id)


def _select(store: Store, version: Reference | None) -> list[Commit]:
    if version is None:
        return store.commits.all()
    get_repo(store, version.repo)
    if version.reference is None:
        return store.commits.all(version.repo)
    return list(store.commits.log(version.repo, version.reference))


def _row(commit: Commit) -> tuple[str, ...]:
    return (
        f"{commit.repo}@{commit.branch}",
        short_id(commit.id),
        short_id(commit.parent),
        f"{commit.file_count:,}",
        human_size(commit.size_bytes),
        human_time(commit.finished_us),
        commit.description,
    )

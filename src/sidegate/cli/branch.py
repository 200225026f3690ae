"""`sidegate branch`: movable names for commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Group, json_option
from sidegate.cli.printing import emit, human_size, human_time, iso_time, listing, note, say, short_id, table
from sidegate.cli.references import REPO, REPO_BRANCH, Reference
from sidegate.cli.session import get_repo, open_store

if TYPE_CHECKING:
    from sidegate.pfs.branches import Branch
    from sidegate.pfs.store import Store


@click.group(
    "branch",
    cls=Group,
    examples="""
    sidegate branch create labresults@review --head master
    sidegate branch list labresults
    """,
)
def command() -> None:
    """Make, list and remove branches."""


@command.command(
    "create",
    examples="""
    sidegate branch create labresults@review
    sidegate branch create labresults@review --head master~2
    """,
)
@click.argument("branch", type=REPO_BRANCH)
@click.option("--head", metavar="REF", help="The commit it begins at [default: none, so it is empty].")
@json_option
@click.pass_context
def create(ctx: click.Context, branch: Reference, head: str | None, as_json: bool) -> None:
    """Make a branch."""
    with open_store(ctx) as store:
        get_repo(store, branch.repo)
        commit = store.commits.resolve(branch.repo, head).id if head is not None else None
        made = store.branches.create(branch.repo, branch.version, commit)
        if as_json:
            emit(_describe(store, made))
        else:
            say(f"{made.repo}@{made.name}")


@command.command(
    "list",
    examples="""
    sidegate branch list
    sidegate branch list labresults --json
    """,
)
@click.argument("repo", type=REPO, required=False)
@json_option
@click.pass_context
def list_branches(ctx: click.Context, repo: Reference | None, as_json: bool) -> None:
    """List the branches of a repo, or of all."""
    with open_store(ctx) as store:
        repos = store.repos.list() if repo is None else [get_repo(store, repo.repo)]
        branches = [branch for one in repos for branch in store.branches.list(one.name)]
        if as_json:
            for branch in branches:
                emit(_describe(store, branch))
            return
        if not branches:
            note("there are no branches yet; `sidegate file put` makes one")
            return
        columns = ("BRANCH", "HEAD", "FILES", "SIZE", "FINISHED", "OPEN COMMIT")
        table(columns, [_row(store, branch) for branch in branches], numbers=("FILES", "SIZE"))


@command.command(
    "inspect",
    examples="""
    sidegate branch inspect labresults@master
    sidegate branch inspect labresults@master --json
    """,
)
@click.argument("branch", type=REPO_BRANCH)
@json_option
@click.pass_context
def inspect(ctx: click.Context, branch: Reference, as_json: bool) -> None:
    """Show one branch."""
    with open_store(ctx) as store:
        get_repo(store, branch.repo)
        found = store.branches.get(branch.repo, branch.version)
        if as_json:
            emit(_describe(store, found))
            return
        listing(
            {
                "branch": f"{found.repo}@{found.name}",
                "head": found.head or "-",
                "created": human_time(found.created_us),
                "open commit": "yes" if _is_open(store, found) else "no",
            }
        )


@command.command("delete", examples="sidegate branch delete labresults@review")
@click.argument("branch", type=REPO_BRANCH)
@click.pass_context
def delete(ctx: click.Context, branch: Reference) -> None:
    """Remove a branch; its commits stay."""
    with open_store(ctx) as store:
        get_repo(store, branch.repo)
        store.branches.delete(branch.repo, branch.version)
        note(f"removed branch {branch.repo}@{branch.version}; its commits stay, under their ids")


def _is_open(store: Store, branch: Branch) -> bool:
    return bool(store.stagings.pending(branch.repo, branch.name))


def _describe(store: Store, branch: Branch) -> dict[str, object]:
    return {
        "repo": branch.repo,
        "branch": branch.name,
        "head": branch.head,
        "created": iso_time(branch.created_us),
        "open": _is_open(store, branch),
    }


def _row(store: Store, branch: Branch) -> tuple[str, ...]:
    head = store.commits.get(branch.head) if branch.head is not None else None
    return (
        f"{branch.repo}@{branch.name}",
        short_id(branch.head),
        f"{head.file_count:,}" if head is not None else "-",
        human_size(head.size_bytes) if head is not None else "-",
        human_time(head.finished_us if head is not None else None),
        "yes" if _is_open(store, branch) else "",
    )

"""`sidegate file put`: local files and folders into a branch, as one commit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Command, description_option, json_option
from sidegate.cli.printing import emit, human_size, note, plural, say, transfer_progress
from sidegate.cli.references import BRANCH_OPTIONAL_PATH, Reference
from sidegate.cli.session import get_repo, open_store
from sidegate.errors import Invalid, NotFound

if TYPE_CHECKING:
    from sidegate.pfs.branch_edit import BranchEdit, EditOutcome
    from sidegate.pfs.commits import Commit
    from sidegate.pfs.store import Store

STDIN = "-"


@click.command(
    "put",
    cls=Command,
    examples="""
    sidegate file put data/ labresults@master
    sidegate file put a.csv b.csv labresults@master:/2024/
    sidegate file put notes.txt labresults@master:/README -m "say what this is"
    pg_dump lab | sidegate file put - labresults@master:/lab.sql
    """,
)
@click.argument("sources", metavar="SRC...", nargs=-1, required=True)
@click.argument("target", type=BRANCH_OPTIONAL_PATH)
@description_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, sources: tuple[str, ...], target: Reference, description: str, as_json: bool
) -> None:
    """Put files into a branch as one commit, and print its id.

    Equal paths are replaced, others kept; the branch is made if need be. PATH
    is a folder when it ends in "/", is one already, or there are several
    sources. The contents of a folder go under PATH, with all below it. SRC
    "-" is the standard input.

    Where the branch has an open commit the files go into that. Content that is
    there already makes no commit; then the id is that of the last one.
    """
    from sidegate.pfs.branch_edit import BranchEdit

    if "" in sources:
        raise Invalid("a source is empty", remedy="is a variable unset? Write . for the working directory")
    with open_store(ctx) as store:
        get_repo(store, target.repo)
        with BranchEdit(store, target.repo, target.version) as edit:
            if STDIN in sources:
                totals = _put_stdin(ctx, store, edit, sources, target.path or "")
            else:
                totals = _put_files(store, edit, [Path(source) for source in sources], target.path or "")
            outcome = edit.finish(description)
        report_change(store, target, outcome, as_json, files=totals[0], size=totals[1])


def _put_files(store: Store, edit: BranchEdit, sources: list[Path], path: str) -> tuple[int, int]:
    from sidegate.pfs.transfer import import_files, plan_import

    plan = plan_import(edit.base, sources, path, leave_out=store.directory)
    for text in plan.left_out:
        note(f"left out: {text}")
    total_bytes = sum(file.size_bytes for file in plan.files)
    with transfer_progress("putting", total_bytes) as progress:
        import_files(store, edit, plan.files, progress)
    return len(plan.files), total_bytes


def _put_stdin(
    ctx: click.Context, store: Store, edit: BranchEdit, sources: tuple[str, ...], path: str
) -> tuple[int, int]:
    from sidegate.pfs.folders import is_folder
    from sidegate.pfs.transfer import import_stream

    if len(sources) > 1:
        raise click.UsageError("the standard input goes in alone", ctx)
    if not path or path.endswith("/") or is_folder(edit.base, path):
        raise click.UsageError(
            f"{'/' + path!r} is a folder, and the standard input needs the path of a file", ctx
        )
    taken: list[int] = []
    import_stream(store, edit, sys.stdin.buffer, path, taken.append)
    return 1, sum(taken)


def report_change(
    store: Store, target: Reference, outcome: EditOutcome, as_json: bool, **totals: int
) -> None:
    """Say what a change to a branch came to: a commit, part of the open one, or nothing."""
    branch = f"{target.repo}@{target.version}"
    head = outcome.commit or _head(store, target)
    state = "finished" if outcome.commit is not None else "open" if outcome.joined else "unchanged"
    identity = None if outcome.joined or head is None else head.id
    if outcome.joined:
        note(f"added to the open commit; `sidegate commit finish {branch}` makes it a version")
    elif outcome.commit is None:
        since = f"{branch} is as in commit {identity}" if identity is not None else f"{branch} is empty"
        note(f"nothing changed, so there is no new commit: {since}")
    elif totals:
        note(f"{plural(totals['files'], 'file')}, {human_size(totals['size'])} into {branch}")
    if as_json:
        emit({"repo": target.repo, "branch": target.version, "commit": identity, "state": state, **totals})
    elif identity is not None:
        say(identity)


def _head(store: Store, target: Reference) -> Commit | None:
    try:
        return store.commits.head(target.repo, target.version)
    except NotFound:
        return None

"""`sidegate file rm`: take files out of a branch, as one commit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Command, description_option, json_option
from sidegate.cli.file_cat import no_such_file
from sidegate.cli.file_put import report_change
from sidegate.cli.references import BRANCH_PATH, Reference
from sidegate.cli.session import get_repo, open_store
from sidegate.errors import Invalid

if TYPE_CHECKING:
    from sidegate.pfs.views import FileView

_PATHS_PER_WRITE = 1000


@click.command(
    "rm",
    cls=Command,
    examples="""
    sidegate file rm labresults@master:/2024/a.csv
    sidegate file rm -r labresults@master:/2023/ -m "too old to keep"
    """,
)
@click.argument("targets", type=BRANCH_PATH, nargs=-1, required=True)
@click.option("-r", "--recursive", is_flag=True, help="Folders too, with all below them.")
@description_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, targets: tuple[Reference, ...], recursive: bool, description: str, as_json: bool
) -> None:
    """Remove files from a branch as one commit, and print its id.

    Earlier commits keep them. Where the branch has an open commit it is done
    in that.
    """
    from sidegate.pfs.branch_edit import BranchEdit

    first = targets[0]
    if any((target.repo, target.version) != (first.repo, first.version) for target in targets):
        raise click.UsageError("the paths are on different branches; remove from one at a time", ctx)
    with open_store(ctx) as store:
        get_repo(store, first.repo)
        store.branches.get(first.repo, first.version)
        with BranchEdit(store, first.repo, first.version) as edit:
            base = edit.base
            for target in targets:
                paths = _select(base, target, recursive)
                while batch := list(islice(paths, _PATHS_PER_WRITE)):
                    edit.remove(batch)
            outcome = edit.finish(description)
        report_change(store, first, outcome, as_json)


def _select(view: FileView, target: Reference, recursive: bool) -> Iterator[str]:
    """Yield the paths that a target names; raises NotFound, Invalid."""
    from sidegate.pfs.folders import files_below, is_folder

    path = target.path or ""
    if path and view.get(path) is not None:
        yield path
        return
    if not is_folder(view, path):
        raise no_such_file(target, view)
    if not recursive:
        raise Invalid(f"{str(target)!r} is a folder", remedy="add -r to remove all that is in it", path=path)
    yield from (file for file, _ in files_below(view, path))

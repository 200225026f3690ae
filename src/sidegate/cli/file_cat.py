"""`sidegate file cat`: the bytes of files on stdout."""

from __future__ import annotations

import difflib
import sys
from itertools import islice
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Command
from sidegate.cli.references import REF_PATH, Reference
from sidegate.cli.session import open_store, resolve_commit
from sidegate.errors import Invalid, NotFound

if TYPE_CHECKING:
    from sidegate.pfs.views import FileView

_CANDIDATES = 10_000


@click.command(
    "cat",
    cls=Command,
    examples="""
    sidegate file cat labresults@master:/2024/a.csv | head
    sidegate file cat labresults@master^:/2024/a.csv
    """,
)
@click.argument("files", type=REF_PATH, nargs=-1, required=True)
@click.pass_context
def command(ctx: click.Context, files: tuple[Reference, ...]) -> None:
    """Print files as they are, one after the other."""
    from sidegate.pfs.transfer import write_stream

    stream = sys.stdout.buffer
    with open_store(ctx) as store:
        for file in files:
            tree = store.tree(resolve_commit(store, file))
            record = tree.get(file.path or "")
            if record is None:
                raise no_such_file(file, tree)
            write_stream(store, record, stream)
        stream.flush()


def no_such_file(file: Reference, view: FileView) -> NotFound | Invalid:
    """Return what to say about a path that is no file: it may be a folder, or mistyped."""
    from sidegate.pfs.folders import is_folder, list_folder

    path = file.path or ""
    if is_folder(view, path):
        return Invalid(
            f"{str(file)!r} is a folder", remedy=f"list it with `sidegate file ls {file}`", path=path
        )
    folder = path.rstrip("/").rpartition("/")[0]
    names = [entry.path for entry in islice(list_folder(view, folder), _CANDIDATES)]
    close = difflib.get_close_matches(path.rstrip("/"), names, n=1)
    version = f"{file.repo}@{file.version}"
    remedy = f"did you mean '/{close[0]}'?" if close else f"see `sidegate file ls -r {version}`"
    return NotFound(f"there is no file or folder '/{path}' in {version}", remedy=remedy, path=path)

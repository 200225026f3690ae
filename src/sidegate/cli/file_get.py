"""`sidegate file get`: files of a version onto this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Command, json_option
from sidegate.cli.printing import emit, human_size, note, plural, transfer_progress
from sidegate.cli.references import REF_OPTIONAL_PATH, Reference
from sidegate.cli.session import open_store, resolve_commit

if TYPE_CHECKING:
    from sidegate.pfs.files import FileRecord
    from sidegate.pfs.store import Store
    from sidegate.pfs.transfer import Exported
    from sidegate.pfs.tree import Tree


@click.command(
    "get",
    cls=Command,
    examples="""
    sidegate file get labresults@master:/2024/a.csv .
    sidegate file get labresults@master:/2024/ ./out
    sidegate file get labresults@master~1 ./yesterday
    """,
)
@click.argument("source", type=REF_OPTIONAL_PATH)
@click.argument("destination", metavar="DEST", type=str)
@json_option
@click.pass_context
def command(ctx: click.Context, source: Reference, destination: str, as_json: bool) -> None:
    """Get a file, or what is in a folder with all below it.

    A file goes to DEST, or into it when it is a folder or ends in "/". The
    contents of a folder go under DEST, which is made if need be. Files of the
    same name are replaced, each at once when it is whole. DEST "-" is the
    standard output, for a single file.
    """
    with open_store(ctx) as store:
        commit = resolve_commit(store, source)
        tree = store.tree(commit)
        path = source.path or ""
        record = tree.get(path) if path else None
        if record is not None:
            done = _get_file(store, record, path, destination)
        else:
            done = _get_folder(store, tree, source, Path(destination))
    note(f"{plural(done.file_count, 'file')}, {human_size(done.size_bytes)} into {destination}")
    if as_json:
        emit(
            {
                "commit": commit.id,
                "destination": destination,
                "files": done.file_count,
                "size": done.size_bytes,
            }
        )


def _get_file(store: Store, record: FileRecord, path: str, destination: str) -> Exported:
    from sidegate.pfs.transfer import Exported, export_file, landing_place, write_stream

    if destination == "-":
        write_stream(store, record, sys.stdout.buffer)
        return Exported(1, record.size_bytes)
    target = landing_place(path, destination)
    with transfer_progress("getting", record.size_bytes) as progress:
        export_file(store, record, target, progress)
    return Exported(1, record.size_bytes)


def _get_folder(store: Store, tree: Tree, source: Reference, destination: Path) -> Exported:
    from sidegate.cli.file_cat import no_such_file
    from sidegate.pfs.folders import is_folder
    from sidegate.pfs.transfer import FolderExport

    folder = source.path or ""
    if not is_folder(tree, folder):
        raise no_such_file(source, tree)
    export = FolderExport(store, tree, folder, destination)
    with transfer_progress("getting", export.totals.size_bytes) as progress:
        export.write(progress)
    return export.totals

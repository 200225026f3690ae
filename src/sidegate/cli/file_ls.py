"""`sidegate file ls`: what a version holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from sidegate.cli.commands import Command, json_option
from sidegate.cli.file_cat import no_such_file
from sidegate.cli.printing import emit, human_size, human_time, iso_time, note, plural, say
from sidegate.cli.references import REF_OPTIONAL_PATH, Reference
from sidegate.cli.session import open_store, resolve_commit

if TYPE_CHECKING:
    from sidegate.pfs.commits import Commit
    from sidegate.pfs.folders import FolderEntry
    from sidegate.pfs.store import Store


@click.command(
    "ls",
    cls=Command,
    examples="""
    sidegate file ls labresults@master
    sidegate file ls labresults@master:/2024/
    sidegate file ls -r labresults@master --json | jq -r .path
    """,
)
@click.argument("place", type=REF_OPTIONAL_PATH)
@click.option("-r", "--recursive", is_flag=True, help="All files below, without folders.")
@json_option
@click.pass_context
def command(ctx: click.Context, place: Reference, recursive: bool, as_json: bool) -> None:
    """List the files and folders of a version, or of a folder in it."""
    with open_store(ctx) as store:
        commit = resolve_commit(store, place)
        empty = True
        for entry in _entries(store, commit, place, recursive):
            empty = False
            _show(store, commit, entry, as_json)
        if empty:
            note(f"{place.repo}@{place.version} holds no files")


def _entries(store: Store, commit: Commit, place: Reference, recursive: bool) -> Iterator[FolderEntry]:
    from sidegate.pfs.folders import FolderEntry, files_below, is_folder, list_folder

    tree = store.tree(commit)
    path = place.path or ""
    record = tree.get(path) if path else None
    if record is not None:
        yield FolderEntry(path, record)
    elif not is_folder(tree, path):
        raise no_such_file(place, tree)
    elif recursive:
        yield from (FolderEntry(*file) for file in files_below(tree, path))
    else:
        yield from list_folder(tree, path)


def _show(store: Store, commit: Commit, entry: FolderEntry, as_json: bool) -> None:
    from sidegate.pfs.folders import folder_totals

    record = entry.record
    if record is None:
        file_count, size_bytes = folder_totals(store.cache, commit.root, entry.path)
        if as_json:
            emit(
                {
                    "path": entry.path,
                    "type": "folder",
                    "size": size_bytes,
                    "hash": None,
                    "files": file_count,
                }
            )
        else:
            say(f"{human_size(size_bytes):>10}  {plural(file_count, 'file'):>19}  {entry.path}/")
        return
    if as_json:
        emit(
            {
                "path": entry.path,
                "type": "file",
                "size": record.size_bytes,
                "hash": record.content_hash.hex() if record.content_hash is not None else None,
                "modified": iso_time(record.modified_us),
            }
        )
    else:
        say(f"{human_size(record.size_bytes):>10}  {human_time(record.modified_us):>19}  {entry.path}")

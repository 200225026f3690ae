"""`sidegate init`: make a store."""

from __future__ import annotations

from pathlib import Path

import click

from sidegate.cli.commands import Command, json_option
from sidegate.cli.printing import emit, note, say
from sidegate.cli.session import explicit_store


@click.command(
    "init",
    cls=Command,
    examples="""
    sidegate init
    sidegate init /data/lab
    """,
)
@click.argument(
    "directory", metavar="[DIR]", required=False, type=click.Path(file_okay=False, path_type=Path)
)
@json_option
@click.pass_context
def command(ctx: click.Context, directory: Path | None, as_json: bool) -> None:
    """Make a store in DIR/.sidegate (DIR: the current folder).

    Commands that run in DIR or below then find it by themselves.
    """
    from sidegate.pfs.finding import DIRECTORY_NAME
    from sidegate.pfs.store import Store

    explicit = explicit_store(ctx)
    if directory is None and explicit is not None:
        path = Path(explicit)
    else:
        path = (directory or Path.cwd()) / DIRECTORY_NAME
    path = path.absolute()
    Store.create(path)
    if as_json:
        emit({"store": str(path)})
        return
    say(str(path))
    note("made an empty store; next: `sidegate repo create NAME`, then `sidegate file put FOLDER NAME`")

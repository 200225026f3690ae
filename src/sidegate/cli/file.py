"""`sidegate file`: the files of a version."""

from __future__ import annotations

import click

from sidegate.cli.commands import Group


@click.group(
    "file",
    cls=Group,
    lazy={
        "put": "sidegate.cli.file_put",
        "get": "sidegate.cli.file_get",
        "cat": "sidegate.cli.file_cat",
        "ls": "sidegate.cli.file_ls",
        "rm": "sidegate.cli.file_rm",
        "diff": "sidegate.cli.file_diff",
    },
    examples="""
    sidegate file put data/ labresults@master
    sidegate file ls -r labresults@master
    sidegate file get labresults@master:/2024/ ./out
    """,
)
def command() -> None:
    """Put files in, look at them, get them out."""

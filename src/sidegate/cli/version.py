"""`sidegate version`: which release this is."""

from __future__ import annotations

import platform

import click

from sidegate.cli.commands import Command, json_option
from sidegate.cli.printing import emit, say
from sidegate.version import VERSION


@click.command(
    "version",
    cls=Command,
    examples="""
    sidegate version
    sidegate version --json
    """,
)
@json_option
def command(as_json: bool) -> None:
    """Print the version, and which implementation is active."""
    from sidegate.native import describe

    native = describe()
    python = platform.python_version()
    if as_json:
        emit(
            {
                "version": VERSION,
                "python": python,
                "native": {
                    "implementation": native.implementation,
                    "mode": native.mode,
                    "reason": native.reason,
                },
            }
        )
    else:
        say(f"sidegate {VERSION} ({native.implementation} loops, Python {python})")

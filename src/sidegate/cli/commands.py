"""The kinds of commands: with examples, with the options all of them share.

A group loads its commands when they are asked for, so that `--help` and
`version` need no database and no drawing.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from sidegate.cli.session import STORE_KEY


class Command(click.Command):
    """A command with examples in its help and a `--store` option of its own."""

    def __init__(self, *arguments: Any, examples: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = examples
        self.params.append(store_option())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse options; an error that names no command is of this one."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:  # of an option without its value
            error.ctx = error.ctx or ctx
            raise

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they stand."""
        write_examples(formatter, self.examples)


class Group(click.Group):
    """A group that knows its commands by the module they lie in."""

    command_class = Command

    def __init__(
        self, *arguments: Any, examples: str, lazy: Mapping[str, str] | None = None, **settings: Any
    ) -> None:
        """`lazy` maps a command's name to the module whose `command` it is."""
        super().__init__(*arguments, **settings)
        self.examples = examples
        self._lazy = dict(lazy or {})
        self.params.append(store_option())

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order that they were given."""
        return [*self._lazy, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, loaded now if need be."""
        module = self._lazy.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(module).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; offers the one that was probably meant."""
        name = args[0]
        names = self.list_commands(ctx)
        if name in names or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
        raise click.UsageError(f"there is no command {name!r}; {hint}", ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they stand."""
        write_examples(formatter, self.examples)


def store_option() -> click.Option:
    """Return the option that says which store; it counts wherever it stands."""
    return click.Option(
        ["--store"],
        metavar="DIR",
        expose_value=False,
        callback=_remember_store,
        help="The store [default: $SIDEGATE_STORE, else the nearest .sidegate/ upward].",
    )


def _remember_store(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[STORE_KEY] = value


def write_examples(formatter: click.HelpFormatter, examples: str) -> None:
    """Write a section of examples, never re-wrapped."""
    with formatter.section("Examples"):
        for line in examples.strip().splitlines():
            formatter.write(f"  {line.strip()}\n")


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object per line, and nothing else."
)
description_option = click.option(
    "-m", "--description", default="", metavar="TEXT", help="What this is about."
)
spark_home_option = click.option(
    "--spark-home",
    metavar="DIR",
    help="The Spark meant [default: $SPARK_HOME, else that of spark-submit or of python3 on PATH].",
)

"""`sidegate completion`: what a shell needs to complete our command line."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from sidegate.cli.commands import Command


@click.command(
    "completion",
    cls=Command,
    examples="""
    sidegate completion bash > ~/.local/share/bash-completion/completions/sidegate
    sidegate completion zsh > ~/.zfunc/_sidegate
    sidegate completion fish > ~/.config/fish/completions/sidegate.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what makes a SHELL complete our commands."""
    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"there is no completion for {shell}", ctx)
    click.echo(completion(ctx.find_root().command, {}, "sidegate", "_SIDEGATE_COMPLETE").source())

"""Writes docs/cli.md from the help texts of the command itself.

python3 scripts/write_cli_reference.py           writes it
python3 scripts/write_cli_reference.py --check   1 if it is not what it would write
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from sidegate.cli.main import sidegate

TARGET = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
WIDTH = 100
HEAD = """# The command line

What `--help` says, for every command. Written by `make docs`; a test fails when it is out of date.
"""


def render() -> str:
    """Return the whole document."""
    sections = [
        f"## {name}\n\n```text\n{text}\n```\n" for name, text in help_texts(sidegate, "sidegate", None)
    ]
    return "\n".join([HEAD, *sections])


def help_texts(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    """Yield (full name, help) of a command and all below it."""
    context = click.Context(
        command, info_name=name.rpartition(" ")[2], parent=parent, max_content_width=WIDTH
    )
    context.terminal_width = WIDTH
    with context:
        lines = command.get_help(context).splitlines()
    yield name, "\n".join(line.rstrip() for line in lines)
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from help_texts(found, f"{name} {child}", context)


def main() -> int:
    """Write the document, or compare it."""
    text = render()
    if "--check" in sys.argv[1:]:
        current = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
        if current != text:
            print("docs/cli.md is not what the command says: run `make docs`", file=sys.stderr)
        return int(current != text)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the commands of `sidegate bench` share: options, tables, files, the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from sidegate.cli.durations import DURATION
from sidegate.cli.exit_codes import ExitCode
from sidegate.cli.printing import note, say, table
from sidegate.errors import Invalid, Unavailable
from sidegate.gateway.cores import usable_cores

if TYPE_CHECKING:
    from sidegate.bench.cells import Cell
    from sidegate.bench.document import Document
    from sidegate.bench.rounds import Settings

MAX_CONNECTIONS = 1024
MAX_ROUNDS = 50
MIN_DURATION_SECONDS = 0.001
"""In less no request need have been sent, and nothing would be wrong with that."""
MAX_DURATION_SECONDS = 300.0

_WIDER = "a wider one shows them, --json and --html too"

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _WrittenFile(click.Path):
    """A file to be written: an empty name, as of a variable that is not set, is no folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name of the file is empty", param, ctx)
        return super().convert(value, param, ctx)


_WRITTEN_FILE = _WrittenFile(path_type=Path)

_OPTIONS = (
    click.option(
        "--cells",
        metavar="NAMES",
        default="*",
        show_default=True,
        help="What to measure: names or patterns, separated by commas.",
    ),
    click.option("--list-cells", is_flag=True, help="Say which cells there are, and measure nothing."),
    click.option(
        "--rounds",
        metavar="N",
        type=click.IntRange(1, MAX_ROUNDS),
        help="How often each cell is measured [default: 3].",
    ),
    click.option(
        "--duration",
        metavar="TIME",
        type=DURATION,
        help="How long a round lasts, at most [default: 2s for s3, 0.5s for self].",
    ),
    click.option(
        "--concurrency",
        metavar="N",
        type=click.IntRange(1, MAX_CONNECTIONS),
        help="Connections kept busy [default: what the cell says].",
    ),
    click.option(
        "--scale",
        type=click.Choice(["full", "small", "smoke"]),
        default="full",
        show_default=True,
        help="How much data: full is 1.2 GiB on each server.",
    ),
    click.option("--json", "json_path", metavar="FILE", type=_WRITTEN_FILE, help="Keep the run as JSON."),
    click.option(
        "--html",
        "html_path",
        metavar="FILE",
        type=_WRITTEN_FILE,
        help="Write a page with tables and plots.",
    ),
)


def measuring_options(command: _Command) -> _Command:
    """Add the options that say what is measured and where it is kept."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def make_settings(
    scale: str, duration: float | None, rounds: int | None, connections: int | None, *, defaults: Settings
) -> Settings:
    """Return the settings of a run; raises Invalid."""
    from dataclasses import replace

    from sidegate.bench.corpus import scale_named

    seconds = defaults.duration_seconds if duration is None else duration
    if not MIN_DURATION_SECONDS <= seconds <= MAX_DURATION_SECONDS:
        raise Invalid(
            f"--duration {seconds:g}s is out of bounds",
            remedy=f"use {MIN_DURATION_SECONDS * 1e3:g}ms to {MAX_DURATION_SECONDS:g}s",
        )
    return replace(
        defaults,
        scale=scale_named(scale),
        duration_seconds=seconds,
        rounds=rounds or defaults.rounds,
        connections=connections,
        poll=usable_cores() > 1,
    )


def print_cells(cells: Sequence[Cell]) -> None:
    """Print what can be measured."""
    table(
        ("cell", "what", "connections", "why"),
        [(cell.name, cell.title, str(cell.connections), cell.reason) for cell in cells],
        numbers=("connections",),
    )


def progress() -> Callable[[str], None]:
    """Return what tells a person how far a run is."""
    return lambda line: note(line if not sys.stderr.isatty() else f"… {line}")


def print_document(document: Document) -> None:
    """Print the table of a run."""
    from sidegate.bench import report

    left_out = print_table(report, report.rows(document), elsewhere=_WIDER)
    say("ratio: speed relative to the first endpoint of the cell; CPU: of the server, for one request")
    spread = "" if "spread" in left_out else "spread: the dearest round to the cheapest; "
    say(f"{spread}?: rounds of one side are uneven, measure again")


def print_goals(rows: Iterable[Sequence[str]]) -> None:
    """Print the table of what is to be reached."""
    from sidegate.bench import own_report

    print_table(own_report, rows, elsewhere=_WIDER)


def print_failures(document: Document) -> None:
    """Print what was wrong or missing, with an example for each cell and server, and what was left behind."""
    from sidegate.bench import report

    for line in report.failures(document):
        note(f"WRONG: {line}")
    for line in document.get("left_behind", ()):
        note(f"LEFT BEHIND: {line}")


class TableForm(Protocol):
    """What a module of `bench` says of the columns of its table."""

    @property
    def COLUMNS(self) -> Sequence[str]: ...

    @property
    def NUMBERS(self) -> frozenset[str]: ...

    @property
    def WHOLE(self) -> frozenset[str]: ...

    @property
    def LEAST(self) -> Sequence[str]: ...


def print_table(form: TableForm, rows: Iterable[Sequence[str]], *, elsewhere: str) -> list[str]:
    """Print a table without empty columns; says, and returns, which did not fit the terminal."""
    kept_rows = [tuple(row) for row in rows]
    kept = [index for index, _ in enumerate(form.COLUMNS) if any(row[index] for row in kept_rows)]
    left_out = table(
        [form.COLUMNS[index] for index in kept],
        [[row[index] for index in kept] for row in kept_rows],
        numbers=tuple(form.NUMBERS),
        whole=tuple(form.WHOLE),
        least=form.LEAST,
    )
    named = [name for name in left_out if name.strip()]
    if named:
        say(f"left out on this narrow terminal: {', '.join(named)}; {elsewhere}")
    return left_out


def check_files(**paths: Path | None) -> None:
    """Refuse before a run what could not be written after it; raises Invalid."""
    given = {f"--{name}": path for name, path in paths.items() if path is not None}
    if len(set(given.values())) < len(given):
        raise Invalid(f"{' and '.join(given)} name the same file", remedy="name two files")
    for name, path in given.items():
        is_new = not path.exists()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if is_new or not path.is_fifo():  # whose reader would take it for all that comes
                path.open("ab").close()
        except OSError as error:
            raise Invalid(
                f"{name} {path} cannot be written: {error.strerror}",
                remedy="name a file in a folder that you may write to",
            ) from error
        if is_new:
            path.unlink()


def choose_cells(names: str, known: Sequence[Cell]) -> list[Cell]:
    """Return the cells that are named, separated by commas; raises Invalid."""
    from sidegate.bench.cells import choose

    patterns = [name.strip() for name in names.split(",") if name.strip()]
    if not patterns:
        raise Invalid("--cells names no cell", remedy="--list-cells says which there are")
    return choose(patterns, known)


def keep(document: Document, json_path: Path | None, html_path: Path | None) -> None:
    """Write the files that were asked for; raises Unavailable, after all that could be written was."""
    from sidegate.bench.document import write_document
    from sidegate.bench.page import write_page

    unwritten = []
    for name, path, write in (("--json", json_path, write_document), ("--html", html_path, write_page)):
        try:
            if path is not None:
                write(path, document)
        except OSError as error:
            unwritten.append(f"{name} {path} could not be written: {error.strerror}")
    if unwritten:
        raise Unavailable("; ".join(unwritten), remedy="the figures are above")


def finish(ctx: click.Context, failed: bool) -> None:
    """End with the exit code that a run earned."""
    if failed:
        ctx.exit(ExitCode.FAILED)

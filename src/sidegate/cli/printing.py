"""What the command line prints: data on stdout, everything else on stderr.

Decides how sizes, times and tables look to a person and to a program.  Knows
nothing of what is shown.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from sidegate.cli.fitting import GAP, fit

if TYPE_CHECKING:
    from rich.console import JustifyMethod, RenderableType
    from rich.table import Table

_LONG_TRANSFER_BYTES = 16 << 20
_SHORT_ID = 12
_PLAIN_WIDTH = 1 << 14
"""Wide enough that a table is never cut when it is not on a terminal."""


def emit(data: Mapping[str, object]) -> None:
    """Print one object as one line of JSON on stdout."""
    # A terminal that cannot show é still gets valid JSON.
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    click.echo(json.dumps(data, ensure_ascii=ascii_only))


def say(text: str) -> None:
    """Print a line of data for a person on stdout."""
    click.echo(printable(text))


def note(text: str) -> None:
    """Print a message on stderr."""
    click.echo(printable(text), err=True)


def printable(text: str) -> str:
    """Return `text` as one line without characters that steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "replace").decode()
        for letter in text
    )


def human_size(size_bytes: int) -> str:
    """Return a size for a person: 67.1 MB."""
    from rich.filesize import decimal

    return decimal(size_bytes)


def human_time(time_us: int | None) -> str:
    """Return a local time for a person."""
    if time_us is None:
        return "-"
    return datetime.fromtimestamp(time_us / 1e6).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso_time(time_us: int | None) -> str | None:
    """Return a time for a program: ISO 8601 in UTC, to the microsecond."""
    if time_us is None:
        return None
    moment = datetime.fromtimestamp(time_us // 1_000_000, UTC).replace(microsecond=time_us % 1_000_000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def human_duration(duration_us: int) -> str:
    """Return a duration for a person: 1.2 s, 3 min 20 s, 2 h 5 min."""
    seconds = duration_us / 1e6
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    return f"{minutes} min {int(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def plural(count: int, noun: str) -> str:
    """Return `1 file`, `2 files`, `2 branches`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}" + ("es" if noun.endswith("ch") else "s")


def short_id(identity: str | None) -> str:
    """Return the first digits of an id on a terminal, all of them elsewhere."""
    if identity is None:
        return "-"
    return identity[:_SHORT_ID] if sys.stdout.isatty() else identity


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[str] = (),
    whole: Sequence[str] = (),
    least: Sequence[str] = (),
) -> list[str]:
    """Print rows under headings; the columns in `numbers` are set right.

    On a terminal it fits the width, but numbers and what is in `whole` are not broken;
    returns which of the columns in `least` were left out for that, the first ones first.
    Elsewhere nothing is cut, and there are no colours and no lines.
    """
    from rich.table import Table

    shown = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        return _fitted_table(columns, shown, numbers, whole, least)
    drawn = Table(box=None, pad_edge=False)
    for name in columns:
        drawn.add_column(name, justify="right" if name in numbers else "left")
    _add_rows(drawn, shown)
    draw(drawn)
    return []


def _fitted_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[str],
    whole: Sequence[str],
    least: Sequence[str],
) -> list[str]:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    fitted = fit(columns, rows, Console().width - 1, whole={*numbers, *whole}, least=least)
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0), header_style="bold")
    for index, width in zip(fitted.kept, fitted.widths, strict=True):
        name = columns[index]
        justify: JustifyMethod = "right" if name in numbers else "left"
        drawn.add_column(name, justify=justify, overflow="fold", width=width, min_width=width)
    _add_rows(drawn, [[row[index] for index in fitted.kept] for row in rows])
    draw(drawn, fitted.total + 1)
    return fitted.left_out


def _add_rows(drawn: Table, rows: Sequence[Sequence[str]]) -> None:
    from rich.text import Text

    for row in rows:
        drawn.add_row(*map(Text, row))


def draw(picture: RenderableType, width: int | None = None) -> None:
    """Print what rich can draw, as wide as the terminal if not told; plain and uncut when stdout is none."""
    from rich.console import Console

    console = Console(width=width if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False)
    with console.capture() as capture:
        console.print(picture)
    for line in capture.get().splitlines():
        if line.strip():
            click.echo(line.rstrip())


def listing(fields: Mapping[str, str]) -> None:
    """Print names and values, one pair per line, values aligned."""
    width = max(len(name) for name in fields) + 2
    for name, value in fields.items():
        say(f"{name + ':':<{width}}{value}".rstrip())


@contextmanager
def transfer_progress(label: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Yield what to tell of each piece; draws a bar for a long transfer on a terminal."""
    if not sys.stderr.isatty() or total_bytes < _LONG_TRANSFER_BYTES:
        yield lambda size_bytes: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total_bytes)
        yield lambda size_bytes: progress.advance(task, size_bytes)

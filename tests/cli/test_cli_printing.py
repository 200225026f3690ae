"""How sizes, times, tables and ids look."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sidegate.cli import printing
from sidegate.cli.main import sidegate


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (64 << 20, "67.1 MB"),
        (10**13, "10.0 TB"),
    ],
)
def test_sizes(size: int, shown: str) -> None:
    assert printing.human_size(size) == shown


@pytest.mark.parametrize(
    ("time_us", "shown"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_700_000_000_123_456, "2023-11-14T22:13:20.123456Z"),
    ],
)
def test_times_for_programs(time_us: int | None, shown: str | None) -> None:
    assert printing.iso_time(time_us) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (3 * 3600 + 125, "3 h 2 min")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert printing.human_duration(int(seconds * 1e6)) == shown


@pytest.mark.parametrize(
    ("count", "noun", "shown"),
    [(1, "file", "1 file"), (0, "file", "0 files"), (1234, "branch", "1,234 branches")],
)
def test_counts(count: int, noun: str, shown: str) -> None:
    assert printing.plural(count, noun) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é", "plain é"),
        ("a\x1b[2J", "a\\x1b[2J"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202e", "\\u202e"),
        ("\x9b", "\\x9b"),
    ],
)
def test_nothing_steers_a_terminal(text: str, shown: str) -> None:
    assert printing.printable(text) == shown


def test_a_table_is_plain_and_whole_when_piped(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    long = "x" * 500
    printing.table(("NAME", "SIZE"), [("a [red]b[/red]", "5"), (long, "1000")], numbers=("SIZE",))
    lines = sys.stdout.getvalue().splitlines()
    assert lines[1] == "a [red]b[/red]" + " " * (500 - 14) + "     5"
    assert lines[2] == f"{long}  1000"
    assert len(lines) == 3


def test_a_table_fits_a_terminal(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    printing.table(("NAME", "SIZE"), [("x" * 100, "1")])
    lines = click.unstyle(sys.stdout.getvalue()).splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert sum(line.count("x") for line in lines) == 100


def test_ids_are_short_on_a_terminal_only(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert printing.short_id("0123456789abcdef") == "0123456789abcdef"
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert printing.short_id("0123456789abcdef") == "0123456789ab"
    assert printing.short_id(None) == "-"


@pytest.mark.parametrize(
    ("stream", "size", "drawn"),
    [(Terminal, 1 << 30, True), (Terminal, 10, False), (io.StringIO, 1 << 30, False)],
)
def test_a_bar_is_drawn_for_a_long_transfer_on_a_terminal(
    monkeypatch, stream, size: int, drawn: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    monkeypatch.setenv("TERM", "xterm")
    with printing.transfer_progress("getting", size) as progress:
        progress(size // 2)
    assert ("getting" in sys.stderr.getvalue()) is drawn


@pytest.mark.parametrize(("value", "coloured"), [(None, True), ("1", False)])
def test_no_color_is_obeyed(run, data: Path, value: str | None, coloured: bool) -> None:
    run("file", "put", data, "labs")
    result = CliRunner().invoke(sidegate, ["file", "diff", "labs"], color=True, env={"NO_COLOR": value})
    assert result.exit_code == 0
    assert ("\x1b[" in result.stdout) is coloured

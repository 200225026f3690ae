"""What a narrow terminal shows of a wide table."""

from __future__ import annotations

import io
import sys

import click
import pytest

from sidegate.bench import comparison, own_report, report
from sidegate.cli import bench_options, printing
from sidegate.cli.bench_options import print_table
from sidegate.cli.fitting import fit

WIDTHS = (60, 80, 100, 120, 200)

MEASURED = [
    ("LIST 1000 of 10 000", "sidegate", "3 500/s", "", "1.01", "12 345", "71.4", "", "90.0", "1.14x", "", ""),
    ("", "127.0.0.1:9000", "2 570/s", "", "1.01", "2.02", "97.3", "", "1 024", "1.14x", "0.73x ?",
     "8 WRONG or missing, client was the limit, rounds uneven"),
    ("PUT 64 MiB, SHA-256 (1/16 of that)", "sidegate", "35.0/s", "2 349", "1.01", "1.01", "7 143", "0.11",
     "90.0", "1.14x", "", "client was the limit"),
]  # fmt: skip
GOALS = [
    ("PUT 64 MiB, SHA-256, durable", "12 013", "MB/s", "1.01", "1.02", "8 333", "14 027", "50%", "403",
     "versitygw", "5.00x ?", "≥ 2.5x best peer", "5.00x ?", "5.00x", "NOT reached"),
]  # fmt: skip
COMPARED = [
    ("LIST 1000 of 1 M", "127.0.0.1:9000", "1 234", "1 235", "of sidegate", "+0.1%", "-0.2%", "same"),
    ("HEAD 4 KiB", "sidegate serve", "", "3 500", "pages/s", "", "", "not comparable, 8 WRONG or missing"),
]  # fmt: skip


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, width: int, form, rows) -> tuple[list[str], list[str]]:
    """Return the lines of a table, and what was left out."""
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", str(width))
    left_out = print_table(form, rows, elsewhere="a wider one shows them")
    return click.unstyle(sys.stdout.getvalue()).splitlines(), left_out


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("form", "rows"), [(report, MEASURED), (own_report, GOALS), (comparison, COMPARED)])
def test_numbers_and_labels_are_not_broken(monkeypatch, width: int, form, rows) -> None:
    lines, left_out = shown(monkeypatch, width, form, rows)
    if left_out:
        assert lines.pop().startswith("left out on this narrow terminal: ")
    assert all(len(line) <= width for line in lines), lines
    unbroken = (form.NUMBERS | form.WHOLE) - set(left_out)
    for row in rows:
        for name, cell in zip(form.COLUMNS, row, strict=True):
            if name in unbroken and cell:
                assert any(cell in line for line in lines), (name, cell)
    heading = lines[0]
    assert all(name in heading for name in unbroken), "a heading is on one line too"
    assert set(left_out) <= set(form.LEAST)
    assert left_out or width > 60
    assert not left_out or width < 200, "a wide terminal shows all"


def test_the_least_important_columns_go_first(monkeypatch) -> None:
    _, at_100 = shown(monkeypatch, 100, report, MEASURED)
    lines, at_60 = shown(monkeypatch, 60, report, MEASURED)
    assert at_100 == list(report.LEAST[: len(at_100)])
    assert at_60[: len(at_100)] == at_100
    assert len(at_60) > len(at_100)
    assert lines[-1] == f"left out on this narrow terminal: {', '.join(at_60)}; a wider one shows them"
    assert "0.73x ?" in "".join(lines)


def test_words_are_kept_whole_while_there_is_room(monkeypatch) -> None:
    lines, _ = shown(monkeypatch, 80, report, MEASURED)
    assert all(word in "\n".join(lines) for word in ("WRONG", "missing", "uneven", "SHA-256"))


def test_what_is_piped_is_whole(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setenv("COLUMNS", "60")
    assert print_table(report, MEASURED, elsewhere="") == []
    lines = sys.stdout.getvalue().splitlines()
    assert len(lines) == 1 + len(MEASURED)
    assert all(name in lines[0] for name in report.COLUMNS)


def test_the_spread_is_not_explained_where_it_is_not_shown(monkeypatch) -> None:
    monkeypatch.setattr(report, "rows", lambda document: MEASURED)
    for width, explained in ((200, True), (60, False)):
        monkeypatch.setattr(sys, "stdout", Terminal())
        monkeypatch.setenv("COLUMNS", str(width))
        bench_options.print_document({})
        assert ("spread: the dearest" in sys.stdout.getvalue()) is explained


def test_other_tables_fold_their_text_and_not_their_numbers(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "50")
    rows = [("a-branch-with-a-rather-long-name/and-a-folder", "1 234 567", "2026-11-27 08:55:48", "67.1 MB")]
    printing.table(("BRANCH", "FILES", "CREATED", "SIZE"), rows, numbers=("FILES", "SIZE"))
    lines = click.unstyle(sys.stdout.getvalue()).splitlines()
    assert all(len(line) <= 50 for line in lines)
    assert "1 234 567" in lines[2]
    assert "67.1 MB" in lines[2]
    assert "".join(line[:16].strip() for line in lines[2:]).startswith("a-branch-with")


def test_where_nothing_can_be_left_out_a_table_is_wider_than_the_terminal() -> None:
    fitted = fit(("a", "b"), [("1" * 30, "2" * 30)], 40, whole=("a", "b"))
    assert fitted.widths == [30, 30]
    assert fitted.total == 62

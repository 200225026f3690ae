"""Statements over many rows at once, below the cost of one execution each.

A statement is built from the schema's tables, compiled by the dialect for one row and for
two, which shows what each further row adds, and run on the driver's own cursor for powers of
two of rows: a row costs a tenth of what it costs one by one, and the GIL is given up once
instead of per row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

MAX_ROWS = 256
"""SQLite takes 32 766 parameters (https://www.sqlite.org/limits.html); more rows save nothing."""


class BulkStatement:
    """One statement for any number of rows of `width` values each."""

    def __init__(self, build: Callable[[int], Executable], width: int, leading: int = 0) -> None:
        """`build` makes the statement for a count of rows, its parameters in the rows' order.

        The first `leading` parameters are the same for all rows.  Each row adds the same text.
        """
        self._build = build
        self._width = width
        self._leading = leading
        self._texts: dict[tuple[str, int], str] = {}
        self._growing: dict[str, _GrowingText] = {}

    def execute(
        self, connection: Connection, rows: Sequence[tuple[Any, ...]], leading: Sequence[Any] = ()
    ) -> list[Any]:
        """Run it for all rows, in order; return what it selects."""
        found: list[Any] = []
        cursor = connection.connection.cursor()
        try:
            for part in _powers_of_two(rows):
                values = [*leading, *chain.from_iterable(part)]
                cursor.execute(self._text(connection, len(part)), values)
                if cursor.description is not None:
                    found += cursor.fetchall()
        finally:
            cursor.close()
        return found

    def _text(self, connection: Connection, count: int) -> str:
        dialect = connection.dialect
        text = self._texts.get((dialect.name, count))
        if text is None:
            growing = self._growing.get(dialect.name)
            if growing is None:
                growing = self._growing[dialect.name] = _GrowingText(partial(self._compile, dialect))
            text = self._texts[dialect.name, count] = growing.for_rows(count)
        return text

    def _compile(self, dialect: Dialect, count: int) -> str:
        compiled = self._build(count).compile(dialect=dialect)  # type: ignore[attr-defined]
        if (
            not isinstance(compiled, SQLCompiler)
            or len(compiled.positiontup or ()) != self._leading + count * self._width
        ):
            raise RuntimeError(f"a bulk statement does not take {self._width} values a row: {compiled}")
        return str(compiled)


class _GrowingText:
    """The text of a statement for any number of rows, known from that for one, two and three.

    Compiling costs 100 us a row: 25 ms for 256, in which nothing else of the process runs.
    """

    def __init__(self, compiled: Callable[[int], str]) -> None:
        one, two = compiled(1), compiled(2)
        alike = next(at for at, letter in enumerate(two) if not one.startswith(letter, at))
        self._begin, self._end = one[:alike], one[alike:]
        self._row = two[alike : len(two) - len(self._end)]
        if [self.for_rows(2), self.for_rows(3)] != [two, compiled(3)]:
            raise RuntimeError(f"a bulk statement does not grow by the same text for each row: {two}")

    def for_rows(self, count: int) -> str:
        """Return the text for `count` rows, one at least."""
        return self._begin + self._row * (count - 1) + self._end


def execute_plain(connection: Connection, text: str) -> None:
    """Run a statement without parameters on the driver's own cursor.

    A tenth of the cost of `exec_driver_sql`; errors are the driver's.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(text)
    finally:
        cursor.close()


def _powers_of_two(rows: Sequence[tuple[Any, ...]]) -> list[Sequence[tuple[Any, ...]]]:
    """Cut rows so that few different statements serve all counts."""
    parts = []
    first = 0
    while first < len(rows):
        size = min(1 << (len(rows) - first).bit_length() - 1, MAX_ROWS)
        parts.append(rows[first : first + size])
        first += size
    return parts

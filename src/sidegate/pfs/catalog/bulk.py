"""Statements over many rows at once, below the cost of one execution each.

A statement is built from the schema's tables for a power of two of rows, compiled
once by the dialect, and run on the driver's own cursor: a row costs a tenth of
what it costs one by one, and the GIL is given up once instead of per row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.sql.compiler import SQLCompiler

MAX_ROWS = 256
"""SQLite takes 32 766 parameters (https://www.sqlite.org/limits.html); more rows save nothing."""


class BulkStatement:
    """One statement for any number of rows of `width` values each."""

    def __init__(self, build: Callable[[int], Executable], width: int, leading: int = 0) -> None:
        """`build` makes the statement for a count of rows, its parameters in the rows' order.

        The first `leading` parameters are the same for all rows.
        """
        self._build = build
        self._width = width
        self._leading = leading
        self._compiled: dict[tuple[str, int], str] = {}

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
        key = (dialect.name, count)
        text = self._compiled.get(key)
        if text is None:
            compiled = self._build(count).compile(dialect=dialect)  # type: ignore[attr-defined]
            if (
                not isinstance(compiled, SQLCompiler)
                or len(compiled.positiontup or ()) != self._leading + count * self._width
            ):
                raise RuntimeError(f"a bulk statement does not take {self._width} values a row: {compiled}")
            text = self._compiled[key] = str(compiled)
        return text


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

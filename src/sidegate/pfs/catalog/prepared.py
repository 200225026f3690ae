"""A statement compiled once, for reads that happen very often.

Made of the schema's tables like any other; what is saved is all that SQLAlchemy does
between a statement and the driver for each execution, and with the rows afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.sql.compiler import SQLCompiler


class Prepared:
    """One statement; its rows come as the driver has them, so only columns that need no conversion."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, list[tuple[str, object]]]] = {}

    def fetch(self, connection: Connection, parameters: Mapping[str, object]) -> Sequence[tuple[Any, ...]]:
        """Run it and return all rows."""
        text, names = self._compiled.get(connection.dialect.name) or self._compile(connection)
        values = tuple([parameters.get(name, default) for name, default in names])
        dialect = connection.dialect
        try:
            cursor = connection.connection.cursor()
            cursor.execute(text, values)
            rows = cursor.fetchall()
            cursor.close()
        except dialect.dbapi.Error:  # type: ignore[union-attr]
            # Once more the long way, which says what is wrong in our own words.
            return [tuple(row) for row in connection.exec_driver_sql(text, values)]
        return rows

    def _compile(self, connection: Connection) -> tuple[str, list[tuple[str, object]]]:
        compiled = self._statement.compile(dialect=connection.dialect)  # type: ignore[attr-defined]
        if not isinstance(compiled, SQLCompiler) or compiled.positiontup is None:
            raise RuntimeError(f"this dialect takes no parameters by position: {connection.dialect.name}")
        names = [(name, compiled.params[name]) for name in compiled.positiontup]
        found = self._compiled[connection.dialect.name] = str(compiled), names
        return found

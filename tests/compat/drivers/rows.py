"""Contents as rows of a table: for clients that know tables and no objects."""

from __future__ import annotations

from pathlib import Path

import pyarrow

ROW_BYTES = 1 << 18


def rows_of(file: Path) -> pyarrow.Table:
    """Cut a text into rows, each with the offset where it starts; no text, no rows."""
    text = file.read_text()
    starts = range(0, len(text), ROW_BYTES)
    texts = [text[start : start + ROW_BYTES] for start in starts]
    schema = pyarrow.schema([("start", pyarrow.int64()), ("text", pyarrow.string())])
    return pyarrow.table({"start": list(starts), "text": texts}, schema=schema)


def joined(rows: pyarrow.Table) -> str:
    """Return the text that rows were cut from."""
    return "".join(rows.sort_by("start")["text"].to_pylist())

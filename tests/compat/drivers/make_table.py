"""Writes the Parquet table that table clients read: `make_table.py ROWS FILE`."""

from __future__ import annotations

import sys

import pyarrow
from pyarrow import parquet

rows = range(int(sys.argv[1]))
table = pyarrow.table(
    {
        "part": [f"p{row % 4}" for row in rows],
        "value": [row % 1000 for row in rows],
        "text": [f"row {row} of the table" for row in rows],
    }
)
parquet.write_table(table, sys.argv[2], row_group_size=20_000)

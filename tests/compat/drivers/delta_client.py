"""delta-rs; an object stands for a table, and its content for the rows of one column."""

from __future__ import annotations

from pathlib import Path

import pyarrow
from deltalake import DeltaTable, write_deltalake
from driving import Driver, serve
from rows import joined, rows_of


class Delta(Driver):
    distributions = ("deltalake",)

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        """Return what the table does not know of: only that makes it list its folder."""
        table = DeltaTable(f"s3://{bucket}/{prefix}")
        unknown = table.vacuum(retention_hours=0, dry_run=True, enforce_retention_duration=False, full=True)
        return [prefix + path for path in unknown]

    def read(self, bucket: str, key: str, file: str) -> None:
        rows = DeltaTable(f"s3://{bucket}/{key}").to_pyarrow_table()
        Path(file).write_text(joined(rows))

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        rows = DeltaTable(f"s3://{bucket}/{key}").to_pyarrow_table(
            filters=[("start", ">=", start), ("start", "<", end)]
        )
        Path(file).write_text(joined(rows))

    def write(self, bucket: str, key: str, file: str) -> None:
        write_deltalake(f"s3://{bucket}/{key}", rows_of(Path(file)), mode="overwrite")

    def append(self, bucket: str, key: str, file: str) -> None:
        write_deltalake(f"s3://{bucket}/{key}", rows_of(Path(file)), mode="append")

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        self.write(bucket, key, file)

    def delete(self, bucket: str, key: str) -> None:
        """Delete every row, then the files that held them."""
        table = DeltaTable(f"s3://{bucket}/{key}")
        table.delete()
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)

    def sum_table(self, location: str) -> int:
        rows = DeltaTable(location).to_pyarrow_table(columns=["value"])
        return int(sum(rows["value"].to_pylist()))

    def write_table(self, source: str, location: str) -> None:
        from pyarrow import parquet

        table: pyarrow.Table = parquet.read_table(source)
        write_deltalake(location, table, partition_by=["part"])


if __name__ == "__main__":
    serve(Delta())

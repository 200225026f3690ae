"""PyIceberg with a catalog in a local SQLite file; an object stands for a table, its content for rows."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pyarrow
from driving import Driver, serve
from pyarrow import parquet
from pyiceberg.catalog import NoSuchTableError
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThan
from rows import joined, rows_of


class Iceberg(Driver):
    distributions = ("pyiceberg", "pyarrow")

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.catalog = SqlCatalog(
            "local",
            uri=f"sqlite:///{self.folder.name}/catalog.db",
            warehouse="s3://out",
            **{"s3.endpoint": os.environ["S3_ENDPOINT"], "s3.region": os.environ["AWS_REGION"]},
        )
        self.catalog.create_namespace("tables")

    @staticmethod
    def name(location: str) -> str:
        return "tables." + "".join(each if each.isalnum() else "_" for each in location)

    def put(self, location: str, rows: pyarrow.Table) -> None:
        name = self.name(location)
        try:
            table = self.catalog.load_table(name)
        except NoSuchTableError:
            table = self.catalog.create_table(name, rows.schema, location=location)
        table.overwrite(rows)

    def read(self, bucket: str, key: str, file: str) -> None:
        table = self.catalog.load_table(self.name(f"s3://{bucket}/{key}"))
        Path(file).write_text(joined(table.scan().to_arrow()))

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        table = self.catalog.load_table(self.name(f"s3://{bucket}/{key}"))
        rows = table.scan(And(GreaterThanOrEqual("start", start), LessThan("start", end))).to_arrow()
        Path(file).write_text(joined(rows))

    def write(self, bucket: str, key: str, file: str) -> None:
        self.put(f"s3://{bucket}/{key}", rows_of(Path(file)))

    def append(self, bucket: str, key: str, file: str) -> None:
        self.catalog.load_table(self.name(f"s3://{bucket}/{key}")).append(rows_of(Path(file)))

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        self.write(bucket, key, file)

    def delete(self, bucket: str, key: str) -> None:
        """Delete every row."""
        self.catalog.load_table(self.name(f"s3://{bucket}/{key}")).delete(AlwaysTrue())

    def sum_table(self, location: str) -> int:
        rows = self.catalog.load_table(self.name(location)).scan(selected_fields=("value",)).to_arrow()
        return int(sum(rows["value"].to_pylist()))

    def write_table(self, source: str, location: str) -> None:
        self.put(location, parquet.read_table(source))


if __name__ == "__main__":
    serve(Iceberg())

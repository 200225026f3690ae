"""DuckDB with httpfs; an object is read and written as one blob."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import duckdb
from driving import Driver, serve


class Duckdb(Driver):
    distributions = ("duckdb", "duckdb-extension-httpfs")

    def __init__(self) -> None:
        folder = files("duckdb_extension_httpfs") / "extensions" / f"v{duckdb.__version__}"
        self.connection = duckdb.connect()
        self.connection.execute(f"LOAD '{folder / 'httpfs.duckdb_extension'}'")
        self.connection.execute("SET s3_url_style = 'path'")

    def ask(self, query: str, *values: object) -> list[tuple[object, ...]]:
        return self.connection.execute(query, values).fetchall()

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        found = self.ask("SELECT file FROM glob(?)", f"s3://{bucket}/{prefix}**")
        return [str(path).removeprefix(f"s3://{bucket}/") for (path,) in found]

    def read(self, bucket: str, key: str, file: str) -> None:
        ((content,),) = self.ask("SELECT content FROM read_blob(?)", f"s3://{bucket}/{key}")
        Path(file).write_bytes(content)

    def write(self, bucket: str, key: str, file: str) -> None:
        target = f"s3://{bucket}/{key}".replace("'", "''")
        self.ask(f"COPY (SELECT content FROM read_blob('{file}')) TO '{target}' (FORMAT blob)")

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        self.write(bucket, key, file)

    def sum_table(self, location: str) -> int:
        where = location if location.endswith(".parquet") else f"{location}/**/*.parquet"
        ((total,),) = self.ask("SELECT sum(value) FROM read_parquet(?)", where)
        return int(str(total))

    def write_table(self, source: str, location: str) -> None:
        self.ask(f"COPY (FROM '{source}') TO '{location}' (FORMAT parquet, PARTITION_BY (part))")


if __name__ == "__main__":
    serve(Duckdb())

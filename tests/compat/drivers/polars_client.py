"""Polars: lazy scans and sinks; an object is read and written as one cell of CSV."""

from __future__ import annotations

from pathlib import Path

import polars
from driving import Driver, serve


class Polars(Driver):
    distributions = ("polars",)

    def cells(self, location: str) -> polars.LazyFrame:
        return polars.scan_csv(
            location,
            has_header=False,
            separator="\x01",
            quote_char=None,
            new_columns=["cell"],
            infer_schema=False,
        )

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        rows = polars.scan_csv(
            f"s3://{bucket}/{prefix}**/*.csv", has_header=False, infer_schema=False, include_file_paths="path"
        )
        paths = rows.select("path").collect()["path"]
        return [path.removeprefix(f"s3://{bucket}/") for path in paths]

    def read(self, bucket: str, key: str, file: str) -> None:
        Path(file).write_text("".join(self.cells(f"s3://{bucket}/{key}").collect()["cell"]))

    def write(self, bucket: str, key: str, file: str) -> None:
        text = Path(file).read_text()
        frame = polars.LazyFrame({"cell": [text] if text else []}, schema={"cell": polars.String})
        frame.sink_csv(f"s3://{bucket}/{key}", include_header=False, quote_style="never", line_terminator="")

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        self.write(bucket, key, file)

    def sum_table(self, location: str) -> int:
        return int(polars.scan_parquet(location).select(polars.col("value").sum()).collect().item())

    def write_table(self, source: str, location: str) -> None:
        polars.scan_parquet(source).sink_parquet(f"{location}/table.parquet")


if __name__ == "__main__":
    serve(Polars())

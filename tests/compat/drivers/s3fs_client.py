"""s3fs, alone and below pandas."""

from __future__ import annotations

from pathlib import Path

import pandas
import s3fs
from driving import Driver, serve


class S3fs(Driver):
    distributions = ("s3fs", "aiobotocore", "pandas")

    def __init__(self) -> None:
        self.files = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        return [path.partition("/")[2] for path in self.files.find(f"{bucket}/{prefix}")]

    def read(self, bucket: str, key: str, file: str) -> None:
        self.files.get_file(f"{bucket}/{key}", file)

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        with self.files.open(f"{bucket}/{key}", "rb") as opened:
            opened.seek(start)
            Path(file).write_bytes(opened.read(end - start))

    def write(self, bucket: str, key: str, file: str) -> None:
        self.files.put_file(file, f"{bucket}/{key}")

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        target = self.files.open(f"{bucket}/{key}", "wb", block_size=5 << 20)
        with target as opened, Path(file).open("rb") as source:
            while block := source.read(5 << 20):
                opened.write(block)

    def delete(self, bucket: str, key: str) -> None:
        self.files.rm_file(f"{bucket}/{key}")

    def copy(self, bucket: str, key: str, target: str) -> None:
        self.files.cp_file(f"{bucket}/{key}", f"{bucket}/{target}")

    def sum_table(self, location: str) -> int:
        return int(pandas.read_parquet(location, columns=["value"])["value"].sum())

    def write_table(self, source: str, location: str) -> None:
        pandas.read_parquet(source).to_parquet(f"{location}/table.parquet")


if __name__ == "__main__":
    serve(S3fs())

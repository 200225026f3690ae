"""pyarrow: its S3 file system for objects, datasets for tables."""

from __future__ import annotations

from pathlib import Path

from driving import Driver, serve
from pyarrow import compute, dataset, fs


class Pyarrow(Driver):
    distributions = ("pyarrow",)

    def __init__(self) -> None:
        # S3FileSystem() alone does not read AWS_ENDPOINT_URL, a file system made of an address does.
        self.files, _ = fs.FileSystem.from_uri("s3://out")

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        found = self.files.get_file_info(fs.FileSelector(f"{bucket}/{prefix}", recursive=True))
        return [info.path.partition("/")[2] for info in found if info.type == fs.FileType.File]

    def read(self, bucket: str, key: str, file: str) -> None:
        with self.files.open_input_stream(f"{bucket}/{key}") as opened:
            Path(file).write_bytes(opened.read())

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        with self.files.open_input_file(f"{bucket}/{key}") as opened:
            Path(file).write_bytes(opened.read_at(end - start, start))

    def write(self, bucket: str, key: str, file: str) -> None:
        with self.files.open_output_stream(f"{bucket}/{key}") as opened:
            opened.write(Path(file).read_bytes())

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        self.write(bucket, key, file)  # always; in parts of 10 MiB

    def delete(self, bucket: str, key: str) -> None:
        self.files.delete_file(f"{bucket}/{key}")

    def copy(self, bucket: str, key: str, target: str) -> None:
        self.files.copy_file(f"{bucket}/{key}", f"{bucket}/{target}")

    def sum_table(self, location: str) -> int:
        rows = dataset.dataset(location, partitioning="hive").to_table(columns=["value"])
        return int(compute.sum(rows["value"]).as_py())

    def write_table(self, source: str, location: str) -> None:
        dataset.write_dataset(
            dataset.dataset(source),
            location,
            format="parquet",
            partitioning=["part"],
            partitioning_flavor="hive",
        )


if __name__ == "__main__":
    serve(Pyarrow())

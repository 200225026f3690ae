"""torch over s3torchconnector: a DataLoader reads, checkpoints are written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from driving import Driver, serve
from s3torchconnector import S3Checkpoint, S3ClientConfig, S3MapDataset
from s3torchconnector._s3client import S3Client
from s3torchconnector.dcp.s3_file_system import S3FileSystem
from torch.utils.data import DataLoader


def content_of(reader: Any) -> bytes:
    return bytes(reader.read())


def key_of(reader: Any) -> str:
    return str(reader.key)


class Torch(Driver):
    distributions = ("s3torchconnector", "torch")

    def __init__(self) -> None:
        self.place: dict[str, Any] = {
            "region": os.environ["AWS_REGION"],
            "endpoint": os.environ["AWS_ENDPOINT_URL"],
        }
        self.checkpoint = S3Checkpoint(**self.place)

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        dataset = S3MapDataset.from_prefix(f"s3://{bucket}/{prefix}", **self.place, transform=key_of)
        return [key for batch in DataLoader(dataset, batch_size=1000) for key in batch]

    def read(self, bucket: str, key: str, file: str) -> None:
        dataset = S3MapDataset.from_objects(f"s3://{bucket}/{key}", **self.place, transform=content_of)
        (content,) = DataLoader(dataset, batch_size=None)
        Path(file).write_bytes(content)

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        with self.checkpoint.reader(f"s3://{bucket}/{key}") as reader:
            reader.seek(start)
            Path(file).write_bytes(reader.read(end - start))

    def write(self, bucket: str, key: str, file: str) -> None:
        with self.checkpoint.writer(f"s3://{bucket}/{key}") as writer:
            writer.write(Path(file).read_bytes())

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        settings = S3ClientConfig(part_size=5 << 20)
        with S3Checkpoint(**self.place, s3client_config=settings).writer(f"s3://{bucket}/{key}") as writer:
            writer.write(Path(file).read_bytes())

    def delete(self, bucket: str, key: str) -> None:
        # Not public: the file system of distributed checkpoints takes no endpoint, its client does.
        client = S3Client(**self.place)
        S3FileSystem(self.place["region"], s3_client=client).rm_file(f"s3://{bucket}/{key}")


if __name__ == "__main__":
    serve(Torch())

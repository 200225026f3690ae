"""minio-py."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from driving import Driver, serve
from minio import Minio
from minio.commonconfig import CopySource


class MinioPy(Driver):
    distributions = ("minio",)

    def __init__(self) -> None:
        self.client = Minio(
            urlsplit(os.environ["S3_ENDPOINT"]).netloc,
            access_key=os.environ["AWS_ACCESS_KEY_ID"],
            secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            secure=False,
        )

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        return [str(found.object_name) for found in self.client.list_objects(bucket, prefix, recursive=True)]

    def read(self, bucket: str, key: str, file: str) -> None:
        self.client.fget_object(bucket, key, file)

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        with self.client.get_object(bucket, key, offset=start, length=end - start) as answer:
            Path(file).write_bytes(answer.read())

    def write(self, bucket: str, key: str, file: str) -> None:
        self.client.fput_object(bucket, key, file)

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        self.client.fput_object(bucket, key, file, part_size=5 << 20)

    def delete(self, bucket: str, key: str) -> None:
        self.client.remove_object(bucket, key)

    def copy(self, bucket: str, key: str, target: str) -> None:
        self.client.copy_object(bucket, target, CopySource(bucket, key))


if __name__ == "__main__":
    serve(MinioPy())

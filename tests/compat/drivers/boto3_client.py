"""boto3: the transfer manager for files, the paginator for listings."""

from __future__ import annotations

from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig
from driving import Driver, serve

MIB = 1 << 20


class Boto3(Driver):
    distributions = ("boto3",)

    def __init__(self) -> None:
        self.s3 = boto3.client("s3")

    def transfer(self, part_bytes: int = 8 * MIB) -> TransferConfig:
        return TransferConfig(
            multipart_threshold=part_bytes,
            multipart_chunksize=part_bytes,
        )

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def read(self, bucket: str, key: str, file: str) -> None:
        self.s3.download_file(bucket, key, file, Config=self.transfer())

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        answer = self.s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}")
        Path(file).write_bytes(answer["Body"].read())

    def write(self, bucket: str, key: str, file: str) -> None:
        self.s3.upload_file(file, bucket, key, Config=self.transfer())

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        self.s3.upload_file(file, bucket, key, Config=self.transfer(5 * MIB))

    def delete(self, bucket: str, key: str) -> None:
        self.s3.delete_object(Bucket=bucket, Key=key)

    def copy(self, bucket: str, key: str, target: str) -> None:
        self.s3.copy({"Bucket": bucket, "Key": key}, bucket, target)


if __name__ == "__main__":
    serve(Boto3())

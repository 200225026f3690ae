"""s3cmd; it reads no endpoint from the environment, so it gets one as an option."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from driving import Driver, run, serve


class S3cmd(Driver):
    distributions = ("s3cmd",)

    def s3cmd(self, *arguments: str) -> str:
        address = urlsplit(os.environ["S3_ENDPOINT"]).netloc
        options = ("--no-ssl", f"--host={address}", f"--host-bucket={address}", "--no-progress")
        return run("s3cmd", "--config=/dev/null", *options, *arguments)

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        lines = self.s3cmd("ls", "--recursive", f"s3://{bucket}/{prefix}").splitlines()
        return [line.partition(f"s3://{bucket}/")[2] for line in lines]

    def read(self, bucket: str, key: str, file: str) -> None:
        self.s3cmd("get", "--force", f"s3://{bucket}/{key}", file)

    def write(self, bucket: str, key: str, file: str) -> None:
        self.s3cmd("put", file, f"s3://{bucket}/{key}")

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        self.s3cmd("put", "--multipart-chunk-size-mb=5", file, f"s3://{bucket}/{key}")

    def delete(self, bucket: str, key: str) -> None:
        self.s3cmd("del", f"s3://{bucket}/{key}")

    def copy(self, bucket: str, key: str, target: str) -> None:
        self.s3cmd("cp", f"s3://{bucket}/{key}", f"s3://{bucket}/{target}")


if __name__ == "__main__":
    serve(S3cmd())

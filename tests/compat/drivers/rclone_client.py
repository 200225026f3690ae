"""rclone; the remote is configured on the command line."""

from __future__ import annotations

import os
from pathlib import Path

from driving import Driver, run, serve


class Rclone(Driver):
    def versions(self) -> list[str]:
        return [run("rclone", "version").splitlines()[0].replace("rclone v", "rclone ")]

    def rclone(self, *arguments: str) -> str:
        options = ("--config=", "--retries=1", "--s3-provider=Other", "--s3-env-auth")
        endpoint = f"--s3-endpoint={os.environ['S3_ENDPOINT']}"
        return run("rclone", *options, endpoint, *arguments)

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        lines = self.rclone("lsf", "--recursive", "--files-only", f":s3:{bucket}/{prefix}").splitlines()
        return [prefix + line for line in lines]

    def read(self, bucket: str, key: str, file: str) -> None:
        self.rclone("copyto", f":s3:{bucket}/{key}", file)

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        text = self.rclone("cat", f"--offset={start}", f"--count={end - start}", f":s3:{bucket}/{key}")
        Path(file).write_text(text)

    def write(self, bucket: str, key: str, file: str) -> None:
        self.rclone("copyto", file, f":s3:{bucket}/{key}")

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        sizes = ("--s3-upload-cutoff=5Mi", "--s3-chunk-size=5Mi")
        self.rclone("copyto", *sizes, file, f":s3:{bucket}/{key}")

    def delete(self, bucket: str, key: str) -> None:
        self.rclone("deletefile", f":s3:{bucket}/{key}")

    def copy(self, bucket: str, key: str, target: str) -> None:
        self.rclone("copyto", f":s3:{bucket}/{key}", f":s3:{bucket}/{target}")


if __name__ == "__main__":
    serve(Rclone())

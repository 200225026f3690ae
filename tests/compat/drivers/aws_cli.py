"""The aws CLI, version 1: `aws s3` where it can, `aws s3api` for ranges."""

from __future__ import annotations

import json

from driving import Driver, run, serve


class AwsCli(Driver):
    distributions = ("awscli",)

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        found = json.loads(
            run("aws", "s3api", "list-objects-v2", "--bucket", bucket, "--prefix", prefix, "--output", "json")
        )
        return [each["Key"] for each in found.get("Contents", ())]

    def read(self, bucket: str, key: str, file: str) -> None:
        run("aws", "s3", "cp", f"s3://{bucket}/{key}", file)

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        run(
            "aws",
            "s3api",
            "get-object",
            "--bucket",
            bucket,
            "--key",
            key,
            "--range",
            f"bytes={start}-{end - 1}",
            file,
        )

    def write(self, bucket: str, key: str, file: str) -> None:
        run("aws", "s3", "cp", file, f"s3://{bucket}/{key}")

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        self.write(bucket, key, file)  # above 8 MiB by itself

    def delete(self, bucket: str, key: str) -> None:
        run("aws", "s3", "rm", f"s3://{bucket}/{key}")

    def copy(self, bucket: str, key: str, target: str) -> None:
        run("aws", "s3", "cp", f"s3://{bucket}/{key}", f"s3://{bucket}/{target}")


if __name__ == "__main__":
    serve(AwsCli())

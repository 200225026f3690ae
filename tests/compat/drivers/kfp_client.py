"""A pipeline of one component under the local runner of kfp: the component uses boto3, unchanged.

Every action is a run of its own; the component's process inherits the variables of the job.
No annotations from the future here: kfp reads the types of a component's parameters.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from driving import CommandFailed, Driver, serve
from kfp import dsl, local


@dsl.component
def s3_step(action: str, bucket: str, key: str, file: str, more: str) -> str:
    """Do one action with boto3 and return what it found, as JSON."""
    import json

    import boto3
    from boto3.s3.transfer import TransferConfig

    s3 = boto3.client("s3")
    if action == "list":
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        return json.dumps([found["Key"] for page in pages for found in page.get("Contents", ())])
    if action == "read":
        with open(file, "wb") as opened:
            opened.write(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    elif action == "range":
        with open(file, "wb") as opened:
            opened.write(s3.get_object(Bucket=bucket, Key=key, Range=more)["Body"].read())
    elif action == "write":
        part_bytes = int(more)
        sizes = TransferConfig(multipart_threshold=part_bytes, multipart_chunksize=part_bytes)
        s3.upload_file(file, bucket, key, Config=sizes)
    elif action == "delete":
        s3.delete_object(Bucket=bucket, Key=key)
    elif action == "copy":
        s3.copy({"Bucket": bucket, "Key": key}, bucket, more)
    return "[]"


@contextmanager
def printed() -> Iterator[IO[bytes]]:
    """Collect what the runner and the component print, which is where a user sees errors."""
    with tempfile.TemporaryFile() as log:
        kept = [os.dup(1), os.dup(2)]
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield log
        finally:
            sys.stdout.flush()
            for number, original in enumerate(kept, 1):
                os.dup2(original, number)
                os.close(original)


class Kfp(Driver):
    distributions = ("kfp", "boto3")

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=self.folder.name,
            raise_on_error=True,
        )

    def step(self, action: str, bucket: str, key: str, file: str = "", more: str = "") -> str:
        @dsl.pipeline
        def pipeline() -> str:
            return s3_step(action=action, bucket=bucket, key=key, file=file, more=more).output

        with printed() as log:
            try:
                return str(pipeline().output)
            except RuntimeError as error:
                sys.stdout.flush()
                log.seek(0)
                found = re.findall(r"^\s+((?:\w+\.)+\w+: .+)$", log.read().decode(), re.MULTILINE)
                raise CommandFailed(found[-1] if found else str(error)) from error

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        return list(json.loads(self.step("list", bucket, prefix)))

    def read(self, bucket: str, key: str, file: str) -> None:
        self.step("read", bucket, key, file)

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        self.step("range", bucket, key, file, f"bytes={start}-{end - 1}")

    def write(self, bucket: str, key: str, file: str) -> None:
        self.step("write", bucket, key, file, str(8 << 20))

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        self.step("write", bucket, key, file, str(5 << 20))

    def delete(self, bucket: str, key: str) -> None:
        self.step("delete", bucket, key)

    def copy(self, bucket: str, key: str, target: str) -> None:
        self.step("copy", bucket, key, more=target)


if __name__ == "__main__":
    serve(Kfp())

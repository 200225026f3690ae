"""Jobs for clients: one input that all of them read, and an `out` for each."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from client_process import ENVIRONMENTS, HERE, ClientProcess
from clients import ODD_KEYS, Client

from sidegate.gateway.serving import GatewayThread, Options
from sidegate.gateway.session import JobSession
from sidegate.pfs.commits import Commit
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store
from sidegate.pps.environment import JobEnvironment, build_environment

MIB = 1 << 20
MANY = 10_000
LARGE_BYTES = 20 * MIB
TABLE_ROWS = 100_000
TABLE_SUM = sum(row % 1000 for row in range(TABLE_ROWS))
KEPT = ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


def text(count: int, seed: str = "") -> bytes:
    """The same letters for the same seed, not compressible by much, with no line end."""
    return hashlib.shake_128(f"text {seed}".encode()).hexdigest((count + 1) // 2)[:count].encode()


def many_keys(prefix: str) -> list[str]:
    return [f"{prefix}{number // 1000}/part-{number:05}.csv" for number in range(MANY)]


@dataclass
class World:
    """A store with the input commit, and local files to send."""

    store: Store
    commit: Commit
    folder: Path

    def file_of(self, count: int, seed: str = "") -> Path:
        """Return a local file of that many letters."""
        path = self.folder / f"{count}-{seed}.txt"
        if not path.exists():
            path.write_bytes(text(count, seed))
        return path

    @property
    def table(self) -> Path | None:
        """The Parquet table that is in the input as well, None without pyarrow to make it."""
        path = self.folder / "table.parquet"
        return path if path.exists() else None


def make_world(folder: Path) -> Iterator[World]:
    """Make a store whose repo `inputs` holds 10 000 files and a few others."""
    Store.create(folder / ".sidegate")
    with Store.open(folder / ".sidegate") as store:
        store.repos.create("inputs")
        store.repos.create("outputs")
        make_table(folder / "table.parquet")
        contents = {"small.txt": text(1000, "small"), "large.txt": text(LARGE_BYTES, "large")}
        contents |= {f"odd/{key}": text(100, key) for key in ODD_KEYS.values()}
        if (folder / "table.parquet").exists():
            contents["table/table.parquet"] = (folder / "table.parquet").read_bytes()
        changes: list[Any] = [(key, record(store, content)) for key, content in contents.items()]
        line = record(store, b"1\n")
        changes += [(key, line) for key in many_keys("many/")]
        store.stagings.write_open("inputs", "master", changes)
        (commit,) = store.finish_open("inputs", "master")
        yield World(store, commit, folder)


def record(store: Store, content: bytes) -> Any:
    cutter = store.cutter()
    cutter.write(content)
    return store.record(cutter.finish())


def make_table(path: Path) -> None:
    """Write a Parquet table with the pyarrow of the clients, if that is there."""
    python = ENVIRONMENTS / "core" / "bin" / "python"
    if python.exists():
        subprocess.run([python, HERE / "drivers" / "make_table.py", str(TABLE_ROWS), path], check=True)


class ClientJob:
    """A sidecar and a client that has the variables of its job."""

    def __init__(self, world: World, client: Client, folder: Path, *, own_reads: bool) -> None:
        self.world = world
        self.client = client
        self.folder = folder
        self.staging: Staging = world.store.stagings.begin_attempt("outputs", "master")
        self.session = JobSession(
            world.store, {"inp": world.commit}, self.staging, pipeline="pipe", own_reads=own_reads
        )
        self.gateway = GatewayThread(world.store, self.session, Options(grace_seconds=2))
        job = JobEnvironment("job", "datum", "commit", self.gateway.endpoint, "job-key", str(folder))
        user = {name: os.environ[name] for name in KEPT if name in os.environ}
        user |= {"HOME": str(folder), "LC_ALL": "C.UTF-8"}
        self.process = ClientProcess(client, build_environment(job, user, {}).variables, folder)
        self.ask = self.process.ask
        self.versions: list[str] = self.ask("versions")

    def close(self) -> None:
        self.process.close()
        self.session.close()
        self.gateway.close()
        self.world.store.stagings.drop(self.staging.id)

    def written(self, key: str) -> bytes | None:
        """What is staged under a key, read without any gateway."""
        found = self.staging.get(key)
        return None if found is None else b"".join(self.world.store.read(found))

    def below(self, prefix: str) -> list[str]:
        """The staged keys that begin with `prefix`."""
        return [path for path, _ in self.staging.files() if path.startswith(prefix)]

    def export(self, prefix: str) -> Path:
        """Lay out what is staged below a prefix as local files."""
        target = self.folder / "export"
        for key in self.below(prefix):
            content = self.written(key)
            if content and not key.endswith("/"):
                path = target / key.removeprefix(prefix).lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return target

    def parts(self, prefix: str) -> int:
        """The largest number of parts of a staged object below a prefix, as its ETag says."""
        s3 = boto3.client(
            "s3",
            endpoint_url=self.gateway.endpoint,
            region_name="us-east-1",
            aws_access_key_id="observer",
            aws_secret_access_key="observer",
        )
        try:
            found = s3.list_objects_v2(Bucket="out", Prefix=prefix).get("Contents", [])
        finally:
            s3.close()
        return max(int(each["ETag"].strip('"').partition("-")[2] or 1) for each in found)

"""Gateways for real clients, which run as their users run them: no retries, no tuned settings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from client_jobs import ClientJob, World, make_world
from client_report import ClientReport
from clients import Client

from sidegate.gateway.authorization import require_keys
from sidegate.gateway.general import GeneralNamespace
from sidegate.gateway.serving import GatewayThread, Options
from sidegate.gateway.session import JobSession
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store, wall_clock_us

KEY, SECRET = "AKIDEXAMPLE", "secret/with+odd=characters"
INPUT_FILES = {
    "folder/a.csv": b"1,2\n" * 1000,
    "folder/deep/b.bin": bytes(range(256)) * 300,
    "top.txt": b"top",
}


@dataclass
class Place:
    """A bucket that a client may write to, with what checks it from inside."""

    endpoint: str
    bucket: str
    store: Store
    staging: Staging | None = None
    input_files: dict[str, bytes] = field(default_factory=dict)

    def files(self) -> dict[str, bytes]:
        """What is stored, read without any gateway."""
        view: Any = self.staging or self.store.branch_view(self.bucket, "master")
        return {path: b"".join(self.store.read(record)) for path, record in view.files()}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    directory = tmp_path / "store" / ".sidegate"
    Store.create(directory)
    with Store.open(directory) as opened:
        opened.repos.create("labs")
        yield opened


@pytest.fixture
def general(store: Store) -> Iterator[Place]:
    gateway = GatewayThread(store, GeneralNamespace(store), Options(grace_seconds=2))
    yield Place(gateway.endpoint, "labs", store)
    gateway.close()


@pytest.fixture
def keyed(store: Store) -> Iterator[Place]:
    """A gateway that takes signed requests only."""
    options = Options(grace_seconds=2, authorize=require_keys({KEY: SECRET}, wall_clock_us))
    gateway = GatewayThread(store, GeneralNamespace(store), options)
    yield Place(gateway.endpoint, "labs", store)
    gateway.close()


@pytest.fixture
def sidecar(store: Store) -> Iterator[Place]:
    """A job's sidecar with an input `inp` and a write-only `out`."""
    changes = []
    for path, content in INPUT_FILES.items():
        cutter = store.cutter()
        cutter.write(content)
        changes.append((path, store.record(cutter.finish())))
    store.repos.create("inputs")
    store.stagings.write_open("inputs", "master", changes)
    (commit,) = store.finish_open("inputs", "master")
    staging = store.stagings.begin_attempt("labs", "master")
    session = JobSession(store, {"inp": commit}, staging, pipeline="pipe")
    gateway = GatewayThread(store, session, Options(grace_seconds=2))
    yield Place(gateway.endpoint, "out", store, staging, INPUT_FILES)
    gateway.close()


@pytest.fixture(params=["general", "sidecar"])
def place(request: pytest.FixtureRequest) -> Place:
    """Either namespace."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def aws(tmp_path: Path) -> Callable[..., str]:
    """Run the aws CLI against a place; fails the test when it fails, unless told otherwise."""
    beside = Path(sys.executable).with_name("aws")
    program = str(beside) if beside.exists() else shutil.which("aws")
    if program is None:
        pytest.fail("the aws CLI is not installed: `pip install --group test`")
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "LC_ALL": "C.UTF-8",
    }

    def run(place: Place, *arguments: str, status: int = 0) -> str:
        command = [program, "--endpoint-url", place.endpoint, *arguments]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The store behind the jobs of all clients, with 10 000 files in their input."""
    yield from make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def client_job(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ClientJob]]:
    """The job of a client, which lasts until another one is asked for."""
    current: list[tuple[object, ClientJob]] = []

    def find(client: Client, *, own_reads: bool) -> ClientJob:
        wanted = (client.name, own_reads)
        if current and current[0][0] != wanted:
            current.pop()[1].close()
        if not current:
            job = ClientJob(world, client, tmp_path_factory.mktemp("client"), own_reads=own_reads)
            current.append((wanted, job))
        return current[0][1]

    yield find
    for _, job in current:
        job.close()


@pytest.fixture(scope="session")
def report() -> Iterator[ClientReport]:
    """What was found, written to the file that SIDEGATE_COMPAT_REPORT names."""
    found = ClientReport()
    yield found
    target = os.environ.get("SIDEGATE_COMPAT_REPORT")
    if target:
        Path(target).write_text(found.render())

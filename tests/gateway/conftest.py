"""Stores, jobs and open gateways for the gateway's tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from gateway_harness import INPUT_FILES, Client, Clock, Job, commit_files, start

from sidegate.gateway.general import GeneralNamespace
from sidegate.pfs import cutting
from sidegate.pfs.store import Store


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("template") / ".sidegate"
    Store.create(directory)
    return directory


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects of a few KiB span many chunks."""
    monkeypatch.setattr(cutting, "MIN_BYTES", 512)
    monkeypatch.setattr(cutting, "AVERAGE_BYTES", 2048)
    monkeypatch.setattr(cutting, "MAX_BYTES", 8192)


@pytest.fixture
def store(empty_store: Path, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    directory = tmp_path / ".sidegate"
    shutil.copytree(empty_store, directory)
    with Store.open(directory, clock=clock) as opened:
        yield opened


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The event loop and the parser; modules where both matter ask for PAIRS."""
    wanted: tuple[str, str] = getattr(request, "param", ("auto", "auto"))
    for name in wanted:
        if name not in ("auto", "asyncio") and find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    return wanted


@pytest.fixture
def launch_job(store: Store, pair: tuple[str, str]) -> Iterator[Callable[..., Job]]:
    """Start jobs on the inputs `inp` and `other_input`."""
    store.repos.create("labs")
    store.repos.create("others")
    first = commit_files(store, "labs", INPUT_FILES)
    second = commit_files(store, "others", {"o.txt": b"other"})
    jobs: list[Job] = []

    def launch(**options: object) -> Job:
        jobs.append(Job(store, {"inp": first, "other_input": second}, pair, **options))  # type: ignore[arg-type]
        return jobs[-1]

    yield launch
    for job in jobs:
        job.close()


@pytest.fixture
def job(launch_job: Callable[..., Job]) -> Job:
    """A write-only job."""
    return launch_job()


@pytest.fixture
def own_reads_job(launch_job: Callable[..., Job]) -> Job:
    return launch_job(own_reads=True)


@pytest.fixture
def general(store: Store, pair: tuple[str, str]) -> Iterator[Client]:
    """A client of an open gateway; the store is the fixture of that name."""
    gateway = start(store, GeneralNamespace(store), pair)
    client = Client(gateway.address)
    yield client
    client.close()
    gateway.close()


@pytest.fixture
def labs(general: Client) -> Client:
    """The same with a bucket `labs`."""
    general.put("/labs")
    return general

"""A job's sidecar with several workers: one view, one output, one count of what was done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from workers_harness import WORKER_MODULE, Client, processes, until

from sidegate.app import SidecarSettings, session_opener
from sidegate.errors import Unavailable
from sidegate.fleet import Order, SessionFleet
from sidegate.gateway.traffic import Traffic
from sidegate.pfs.commits import Commit
from sidegate.pfs.publish import Publication
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store
from sidegate.pps.sessions import Session

WORKERS = 2


@pytest.fixture
def store(directory: Path) -> Iterator[Store]:
    with Store.open(directory) as opened:
        opened.repos.create("labs")
        opened.repos.create("monthly", kind="pipeline")
        yield opened


@pytest.fixture
def labs(store: Store) -> Commit:
    cutter = store.cutter()
    cutter.write(b"hello")
    store.branch_view("labs", "master").put_many([("a.txt", store.record(cutter.finish()))])
    (commit,) = store.finish_open("labs", "master")
    return commit


@pytest.fixture
def staging(store: Store) -> Staging:
    return store.stagings.begin_attempt("monthly", "master")


@pytest.fixture
def session(store: Store, labs: Commit, staging: Staging) -> Iterator[Session]:
    opener = session_opener(store, SidecarSettings(workers=WORKERS))
    with opener({"labs": labs}, staging, "write-only", "monthly") as opened:
        yield opened


def clients(session: Session) -> list[Client]:
    """Return a client of each worker."""
    url = urlsplit(session.endpoint)
    found: dict[str, Client] = {}
    while len(found) < WORKERS:
        client = Client((url.hostname or "", url.port or 0))
        found.setdefault(client.worker, client)
    return [found[worker] for worker in sorted(found)]


def worker_pids() -> set[int]:
    return {pid for pid, parent, words in processes() if parent == os.getpid() and WORKER_MODULE in words}


def test_workers_show_one_view_and_their_counts_are_added(
    store: Store, session: Session, staging: Staging
) -> None:
    first, second = clients(session)
    for client in (first, second):
        assert client.get("/labs/a.txt") == b"hello"
    for number in range(10):
        writer, reader = (first, second) if number % 2 else (second, first)
        writer.put(f"/out/{number}", b"%d" % number * 1000)
        assert reader.ask("HEAD", f"/out/{number}")[0] == 200
        assert f"<Key>{number}</Key>".encode() in reader.get("/out?list-type=2")
        assert reader.ask("GET", f"/out/{number}")[0] == 403
    assert first.ask("DELETE", "/out/9")[0] == 204
    assert second.ask("HEAD", "/monthly/9")[0] == 404
    assert first.ask("PUT", "/labs/x", b"")[0] == 403

    assert session.verdict().refusal is None
    assert worker_pids() == set()
    told = session.traffic()
    by_name = {place.name: place for place in told.places}
    assert (by_name["labs"].requests["read"], by_name["labs"].objects_read) == (2, 1)
    assert (by_name["labs"].read_bytes, by_name["labs"].refusals) == (10, {"AccessDenied": 1})
    assert (by_name["out"].requests["write"], by_name["out"].written_bytes) == (10, 10_000)
    assert by_name["out"].refusals["AccessDenied"] == 10
    assert all(place.exact for place in told.places)
    info = next(info for info in store.stagings.all() if info.id == staging.id)
    commit = store.publisher.publish(info, Publication(replace=True))
    assert commit is not None
    assert commit.file_count == 9


def test_traffic_is_told_while_the_job_runs(session: Session) -> None:
    first, second = clients(session)
    first.get("/labs/a.txt")
    second.get("/labs/a.txt")

    def reads() -> int:
        return sum(place.requests.get("read", 0) for place in session.traffic().places)

    until(lambda: reads() == 2, "both reads")


def test_a_killed_worker_is_replaced_beside_the_job(session: Session) -> None:
    client, _ = clients(session)
    client.put("/out/kept", b"x")
    before = worker_pids()
    assert len(before) == WORKERS
    os.kill(min(before), signal.SIGKILL)
    until(lambda: len(worker_pids()) == WORKERS and worker_pids() != before, "another worker")
    for client in clients(session):
        assert client.ask("HEAD", "/out/kept")[0] == 200
    session.close()
    assert worker_pids() == set()
    assert not [thread for thread in threading.enumerate() if thread.name in ("supervisor", "traffic")]


JOB = """
import os, urllib.request
endpoint = os.environ["S3_ENDPOINT"]
workers, requests = set(), 0
while len(workers) < 2:
    with urllib.request.urlopen(f"{endpoint}/-/health") as answer:
        workers.add(answer.headers["x-sidegate-worker"])
for number in range(8):
    with urllib.request.urlopen(f"{endpoint}/labs/a.txt") as answer:
        data = answer.read() + str(number).encode()
    url = f"{endpoint}/out/{number}"
    urllib.request.urlopen(urllib.request.Request(url, data, method="PUT")).close()
"""


def test_a_job_may_have_several_by_option(directory: Path, labs: Commit, tmp_path: Path) -> None:
    spec = {
        "pipeline": {"name": "monthly2"},
        "input": {"pfs": {"repo": "labs", "glob": "/", "s3": True}},
        "transform": {"cmd": [sys.executable, "-c", JOB]},
        "s3_out": True,
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    command = [
        sys.executable,
        "-m",
        "sidegate",
        "--store",
        str(directory),
        "run",
        str(tmp_path / "spec.json"),
    ]
    done = subprocess.run([*command, "--gateway-workers", "2"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    with Store.open(directory) as store:
        commit = store.commits.head("monthly2")
        assert commit is not None
        assert commit.file_count == 8


def test_workers_that_cannot_serve_are_told_of(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    order = Order(
        directory=str(tmp_path / "not there"),
        durability="process",
        base_domains=(),
        loop="auto",
        parser="auto",
        md5_tags=False,
        grace_seconds=2.0,
    )
    with pytest.raises(Unavailable, match=r"worker \d could not serve: its process ended with exit code 1"):
        SessionFleet(store, order, WORKERS, Traffic({}))
    assert "there is no store in" in capfd.readouterr().err
    assert worker_pids() == set()

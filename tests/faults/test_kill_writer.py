"""A writer is killed at any moment; nothing it acknowledged is lost."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from blake3 import blake3

from sidegate.pfs.checking import check
from sidegate.pfs.collection import collect
from sidegate.pfs.recovery import recover_abandoned
from sidegate.pfs.store import Store

WRITER = """
import pathlib, sys
from blake3 import blake3
from sidegate.pfs import chunks
from sidegate.pfs.store import Store

chunks.PACK_BYTES = 1 << 20
store = Store.open(pathlib.Path(sys.argv[1]))
attempt = store.stagings.begin_attempt("labs", "attempt")
for number in range(100_000):
    name = f"{sys.argv[2]}/{number:05}"
    cutter = store.cutter()
    cutter.write(blake3(name.encode()).digest(length=number * 7919 % 300_000))
    record = store.record(cutter.finish())
    store.stagings.write_open("labs", "master", [(name, record)])
    attempt.put(name, record)
    print(name, flush=True)
    if number % 10 == 9:
        store.finish_open("labs", "master")
"""


def expected(name: str) -> bytes:
    size = int(name.rpartition("/")[2]) * 7919 % 300_000
    return blake3(name.encode()).digest(length=size) if size else b""


def write_until_killed(directory: Path, prefix: str, lines: int, more_seconds: float) -> list[str]:
    """Run a writer, kill it some time after its `lines`-th file; return what it acknowledged."""
    command = [sys.executable, "-c", WRITER, str(directory), prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(lines)]
        timer = threading.Timer(more_seconds, process.kill)
        timer.start()
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
        timer.join()
    assert process.returncode == -9
    return acknowledged


@pytest.mark.parametrize("seed", range(3))
def test_acknowledged_files_survive_kills(tmp_path: Path, seed: int) -> None:
    generator = random.Random(seed)
    directory = tmp_path / ".sidegate"
    Store.create(directory)
    with Store.open(directory) as store:
        store.repos.create("labs")
    acknowledged: list[str] = []
    for number in range(3):
        moment = generator.random() * 0.3
        acknowledged += write_until_killed(directory, f"run{number}", generator.randrange(1, 30), moment)
        with Store.open(directory) as store:
            report = check(store)
            assert report.clean, report.findings
            view = store.branch_view("labs", "master")
            present = dict(view.files())
            for name in acknowledged:
                assert b"".join(store.read(present[name])) == expected(name), name
            # What was in flight at the kill may be there or not, but nothing half.
            assert len(present) <= len(acknowledged) + number + 1
            assert collect(store).attempts_dropped == 1
            assert all(info.purpose != "attempt" for info in store.stagings.all())
    with Store.open(directory) as store:
        if store.stagings.pending("labs", "master"):
            store.finish_open("labs", "master")
        head = store.commits.head("labs")
        assert head is not None
        assert {path for path, _ in store.tree(head).files()} >= set(acknowledged)
        assert store.stagings.all() == []


def test_a_killed_writer_does_not_block_the_next(tmp_path: Path) -> None:
    directory = tmp_path / ".sidegate"
    Store.create(directory)
    with Store.open(directory) as store:
        store.repos.create("labs")
        acknowledged = write_until_killed(directory, "run", 12, 0.01)
        if store.stagings.pending("labs", "master"):
            store.finish_open("labs", "master")
        # The pack it wrote, and those that were full and not yet known to be on disk.
        assert recover_abandoned(store.chunks) >= 1
        assert recover_abandoned(store.chunks) == 0
        head = store.commits.head("labs")
        assert head is not None
        assert {path for path, _ in store.tree(head).files()} >= set(acknowledged)
        assert check(store).clean

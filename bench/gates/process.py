"""A measured process seen from outside: started below a tool, asked, marked, ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from corpus import OUTPUT_REPO, make
from gates.cells import GATE_SCALE, Cell, requests_of, start_upload
from gates.connection import Connection
from sidegate.pfs.store import Store

SERVER = Path(__file__).with_name("server.py")
STOP_SECONDS = 120


class NotMeasured(Exception):
    """A tool that counts is not there, or may not do its work here; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that are served, and a file with the bytes of `raw.bin`."""

    sidecar: Path
    commit: str
    durable: Path
    raw_file: Path


def make_stores(directory: Path) -> Stores:
    """Make both stores below a directory; the same in each run, but for ids."""
    corpus = make(directory, GATE_SCALE)
    durable = directory / "durable"
    Store.create(durable)
    with Store.open(durable) as store:
        store.repos.create(OUTPUT_REPO)
    return Stores(corpus.store, corpus.commit, durable, corpus.raw_file)


class MeasuredProcess:
    """The server below a tool; `repeat` does a cell, `mark` divides what the tool counts."""

    def __init__(
        self, stores: Stores, below: list[str], server: Path = SERVER, *, steady: bool = True
    ) -> None:
        arguments = [str(server), str(stores.sidecar), stores.commit, str(stores.durable)]
        arguments += ["--steady"] if steady else []
        self._process = subprocess.Popen(
            [*below, sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=server_environment(),
        )
        self.pid = self._process.pid
        ports = json.loads(self._answer())
        self.addresses = {kind: ("127.0.0.1", int(port)) for kind, port in ports.items()}
        self._connections = {kind: Connection(address) for kind, address in self.addresses.items()}
        self._requests: dict[str, Iterator[bytes]] = {}
        self.upload_id = upload_id_of(self._connections["sidecar"].ask(start_upload()))

    def repeat(self, cell: Cell, times: int) -> None:
        """Do a cell a number of times, one after another over one connection."""
        if cell.kind == "inside":
            self.obey(f"do {times} {cell.name}")
            return
        connection = self._connections[cell.kind]
        requests = self._requests.setdefault(cell.name, requests_of(cell, self.upload_id))
        for _ in range(times):
            connection.ask(next(requests))

    def mark(self) -> None:
        """Divide what came before from what comes."""
        self.obey("mark")

    def obey(self, line: str) -> None:
        """Have the process do what a line says (see server.py)."""
        stdin = _pipe(self._process.stdin)
        stdin.write(line + "\n")
        stdin.flush()
        if self._answer() != "done\n":
            raise RuntimeError(f"the measured process did not do {line!r}")

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far."""
        # The clock id of another process, as glibc's clock_getcpuclockid makes it.
        return time.clock_gettime((~self.pid << 3) | 2)

    def close(self) -> None:
        """End it in its own way."""
        for connection in self._connections.values():
            connection.close()
        self._end()
        if self._process.returncode != 0:
            raise RuntimeError(f"the measured process ended with exit code {self._process.returncode}")

    def _end(self) -> None:
        _pipe(self._process.stdin).close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _pipe(self._process.stdout).close()

    def _answer(self) -> str:
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"the measured process ended: exit code {self._process.wait()}")
        return line


def server_environment() -> dict[str, str]:
    """Return an environment in which two runs do the same."""
    here = str(SERVER.parent.parent)
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    fixed = {"PYTHONHASHSEED": "0", "PYTHONPATH": path, "SIDEGATE_NATIVE": "require", "MALLOC_ARENA_MAX": "2"}
    return os.environ | fixed


def upload_id_of(document: bytes) -> str:
    """Return the id from the answer to CreateMultipartUpload."""
    return document.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()


@contextmanager
def measured_process(
    stores: Stores, below: list[str], server: Path = SERVER, *, steady: bool = True
) -> Iterator[MeasuredProcess]:
    """Run a measured process for the length of the block."""
    process = MeasuredProcess(stores, below, server, steady=steady)
    try:
        yield process
    finally:
        process.close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the measured process has no pipes")
    return pipe

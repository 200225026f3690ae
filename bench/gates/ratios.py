"""The CPU time of the yardstick to ours, per request, in pairs in the same run.

Both servers answer the same volleys: one request on each of a few connections,
then all answers.  CPU time, not rates: neighbours on the machine disturb it less.
The yardstick writes bodies to a file that grows, as ours does: what new pages
cost on a machine meets both.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from statistics import median

from corpus import SMALL_BYTES
from gates.cells import PART_BYTES, RANGE_BYTES, Cell, request, requests_of
from gates.connection import Connection
from gates.process import MeasuredProcess, NotMeasured, Stores, measured_process
from sidegate.bench.warm_pool import WarmPool

CONNECTIONS = 8
PAIRS = 5
PAIR_SECONDS = 0.25
PAGE_BYTES = 300_000
STOP_SECONDS = 15
WARM_BYTES = 1 << 30
"""What a cell that writes stores at most; fresh memory of a virtual machine is seven times dearer."""

BARE = {
    "HEAD 4 KiB": request("HEAD", f"/{'head':/<31}"),
    "GET 4 KiB": request("GET", f"/bytes/{SMALL_BYTES:021d}"),
    "GET 64 KiB range": request("GET", f"/file/{RANGE_BYTES:021d}"),
    "PUT 4 KiB": request("PUT", f"/drop/{0:021d}", body=bytes(SMALL_BYTES)),
    "LIST 1000": request("GET", f"/bytes/{PAGE_BYTES:021d}"),
    "multipart part 4 MiB": request("PUT", f"/drop/{0:021d}", body=bytes(PART_BYTES)),
}
"""What the yardstick is asked for in each cell that is compared; bodies it writes to a file."""


@dataclass(slots=True)
class Side:
    """One server: who it is, what it is asked, over which connections."""

    pid: int
    connections: list[Connection]
    requests: Iterator[bytes]

    def cpu_seconds_per_request(self, seconds: float) -> float:
        """Return the CPU time of all threads for a request, over a while."""
        clock = (~self.pid << 3) | 2  # of another process, as glibc's clock_getcpuclockid makes it
        began, until, count = time.clock_gettime(clock), time.perf_counter() + seconds, 0
        while time.perf_counter() < until or count == 0:
            volley = [(connection, next(self.requests)) for connection in self.connections]
            for connection, asked in volley:
                connection.send(asked)
            for connection, asked in volley:
                connection.receive(asked)
            count += len(volley)
        return (time.clock_gettime(clock) - began) / count


def measure_ratios(stores: Stores, cells: Sequence[Cell], pairs: int = PAIRS) -> dict[str, float]:
    """Return the yardstick's CPU time to ours for each cell that has a counterpart."""
    compared = [cell for cell in cells if cell.name in BARE]
    with (
        WarmPool(WARM_BYTES) as pool,
        yardstick(stores.raw_file) as (pid, address),
        measured_process(stores, pinned(), steady=False) as ours,
    ):
        pool.refill()
        return {cell.name: ratio_of(cell, ours, pid, address, pairs) for cell in compared}


def ratio_of(cell: Cell, ours: MeasuredProcess, pid: int, address: tuple[str, int], pairs: int) -> float:
    """Return the median of the pairs of one cell; the first pair warms up."""
    bare = Side(pid, [Connection(address) for _ in range(CONNECTIONS)], repeat(BARE[cell.name]))
    own = Side(
        ours.pid,
        [Connection(ours.addresses[cell.kind]) for _ in range(CONNECTIONS)],
        requests_of(cell, ours.upload_id),
    )
    try:
        found = [
            bare.cpu_seconds_per_request(PAIR_SECONDS) / own.cpu_seconds_per_request(PAIR_SECONDS)
            for _ in range(pairs + 1)
        ]
    finally:
        for connection in bare.connections + own.connections:
            connection.close()
    return median(found[1:])


@contextmanager
def yardstick(raw_file: Path) -> Iterator[tuple[int, tuple[str, int]]]:
    """Run the bare server; gives its process id and address."""
    command = [
        *pinned(),
        sys.executable,
        "-m",
        "sidegate.bench.yardstick",
        "--port",
        "0",
        "--file",
        str(raw_file),
        "--write",
        str(raw_file.with_name("written.bin")),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            raise RuntimeError(f"the yardstick did not start: exit code {process.wait()}")
        yield process.pid, ("127.0.0.1", int(json.loads(line)["port"]))
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()


def pinned() -> list[str]:
    """Return the command that keeps a server on one core, where there is another for the client."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return []
    if shutil.which("taskset") is None:
        raise NotMeasured("taskset (util-linux) is not installed")
    return ["taskset", "-c", str(cores[0])]

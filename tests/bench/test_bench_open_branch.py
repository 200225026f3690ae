"""Reads beside writers: what is older than what was acknowledged is found, and so is a missing worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from memory_s3 import MemoryS3

from sidegate.bench.cells import CELLS
from sidegate.bench.corpus import SCALES, small_object
from sidegate.bench.endpoints import parse_endpoint
from sidegate.bench.open_branch import BesideWritersWork
from sidegate.bench.signing import Signer
from sidegate.bench.target import Target
from sidegate.errors import Unavailable
from sidegate.native.exchange import Rhythm

SMOKE = SCALES["smoke"]
(CELL,) = (cell for cell in CELLS if cell.name == "get-4k-open")

Start = Callable[..., Target]


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[MemoryS3] = []

    def make(*faults: str) -> Target:
        server = MemoryS3(*faults)
        servers.append(server)
        stored = {
            one.key: one.read(0, one.size_bytes) for one in map(small_object, range(SMOKE.small_objects))
        }
        server.buckets = {"open": dict(stored), "commit": dict(stored)}
        endpoint = parse_endpoint(server.url)
        target = Target(endpoint, Signer(endpoint.authority, "none", None, time.time), writes="open")
        return replace(target, branch="open", writers=(target, target))

    yield make
    for server in servers:
        server.close()


@pytest.mark.parametrize("bucket", ["open", "commit"])
def test_reads_beside_writers_are_counted_and_compared(start: Start, bucket: str) -> None:
    work = BesideWritersWork(CELL, replace(start(), branch=bucket), SMOKE, 2)
    tally = work.run(Rhythm(0.1, 1 << 30, 20.0, True))[CELL.name]
    assert tally.answered > 0
    assert (tally.failed, tally.unanswered) == (0, 0), tally.examples
    assert work.verify() == []


def test_a_read_that_is_older_than_an_acknowledged_write_is_found(start: Start) -> None:
    wrong = BesideWritersWork(CELL, start("stale"), SMOKE, 2).verify()
    assert wrong
    assert all("older than what was acknowledged" in line for line in wrong)


def test_what_the_writers_are_refused_counts(start: Start) -> None:
    work = BesideWritersWork(CELL, start("read-only"), SMOKE, 2)
    tally = work.run(Rhythm(0.1, 1 << 30, 20.0, True))[CELL.name]
    assert tally.failed > 0
    assert any("MethodNotAllowed" in line or "405" in line for line in work.verify())


def test_wrong_bytes_of_what_nobody_writes_are_found(start: Start) -> None:
    work = BesideWritersWork(CELL, replace(start("wrong bytes"), branch="commit"), SMOKE, 2)
    assert work.run(Rhythm(0.1, 1 << 30, 20.0, True))[CELL.name].failed > 0


def test_a_server_without_that_worker_is_told(start: Start) -> None:
    with pytest.raises(Unavailable, match=r"worker 7 of the server at .* takes no connections"):
        replace(start(), worker="7").connect()

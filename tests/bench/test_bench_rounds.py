"""What is noted of rounds in which something goes wrong."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from memory_s3 import MemoryS3

from sidegate.bench.cells import CELLS
from sidegate.bench.corpus import SCALES
from sidegate.bench.endpoints import parse_endpoint
from sidegate.bench.report import failures
from sidegate.bench.results import Result
from sidegate.bench.rounds import Settings, measure
from sidegate.bench.signing import Signer
from sidegate.bench.target import Target

CELL = next(cell for cell in CELLS if cell.name == "put-4k")
SETTINGS = Settings(SCALES["smoke"], duration_seconds=0.02, rounds=1, connections=2)
HINT = "the disk it stores on is full"


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> dict[Path, int]:
    """How many bytes are free, by folder."""
    free: dict[Path, int] = {}
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1 << 40, 0, free[place]))
    return free


def puts(stores: Path | None, *faults: str) -> Result:
    server = MemoryS3(*faults)
    server.buckets = {"bucket": {}}
    try:
        endpoint = parse_endpoint(server.url)
        signer = Signer(endpoint.authority, "none", None, time.time)
        target = Target(endpoint, signer, writes="bucket", stores=stores)
        (result,) = measure([CELL], [target], SETTINGS, lambda text: None)
        return result
    finally:
        server.close()


def test_a_full_disk_is_named_beside_what_a_peer_answers(tmp_path: Path, room: dict[Path, int]) -> None:
    room[tmp_path] = 3 << 20
    result = puts(tmp_path / "not made yet", "read-only")
    assert result.failures > 0
    (shown,) = failures({"results": [result.as_document()]})
    assert "405" in shown
    assert f"{HINT}, 3 MiB are free in {tmp_path}" in shown


def test_a_disk_with_room_is_not_blamed(tmp_path: Path, room: dict[Path, int]) -> None:
    room[tmp_path] = 1 << 30
    result = puts(tmp_path, "read-only")
    assert result.failures > 0
    assert HINT not in failures({"results": [result.as_document()]})[0]


def test_nothing_is_said_where_all_is_right(tmp_path: Path, room: dict[Path, int]) -> None:
    room[tmp_path] = 0
    result = puts(tmp_path)
    assert failures({"results": [result.as_document()]}) == []
    assert result.as_document()["hint"] is None


def test_of_a_server_elsewhere_nothing_is_known() -> None:
    result = puts(None, "read-only")
    assert result.failures > 0
    assert HINT not in failures({"results": [result.as_document()]})[0]

"""What is noted of rounds in which something goes wrong."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest
from memory_s3 import MemoryS3, is_wrong_by_some

from sidegate.bench import rounds
from sidegate.bench.cells import CELLS, choose, taking_turns
from sidegate.bench.corpus import SCALES
from sidegate.bench.endpoints import parse_endpoint
from sidegate.bench.goals import GOALS
from sidegate.bench.loading import load
from sidegate.bench.reading import ReadWork
from sidegate.bench.report import failures
from sidegate.bench.results import Result
from sidegate.bench.rounds import Settings, measure
from sidegate.bench.signing import Signer
from sidegate.bench.target import Target
from sidegate.native.exchange import Exchange, Rhythm, Tally

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


@contextmanager
def target_of(*faults: str, stores: Path | None = None) -> Iterator[Target]:
    server = MemoryS3(*faults)
    server.buckets = {"bucket": {}}
    try:
        endpoint = parse_endpoint(server.url)
        signer = Signer(endpoint.authority, "none", None, time.time)
        yield Target(endpoint, signer, reads="bucket", writes="bucket", stores=stores)
    finally:
        server.close()


def puts(stores: Path | None, *faults: str) -> Result:
    with target_of(*faults, stores=stores) as target:
        (result,) = measure([CELL], [target], SETTINGS, lambda text: None)
    return result


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


def test_what_is_held_against_another_cell_takes_turns_with_it() -> None:
    held = {goal.cell: goal.other for goal in GOALS if goal.kind == "cell"}
    assert held == {cell.name: cell.beside for cell in CELLS if cell.beside}
    groups = [[cell.name for cell in group] for group in taking_turns(CELLS)]
    assert [name for name, *_ in groups if name in held.values()] == ["put-1m", "put-64m"]
    assert ["put-1m", "put-1m-sha256", "put-1m-chunked"] in groups
    assert sorted(chain.from_iterable(groups)) == sorted(cell.name for cell in CELLS if cell.part_of is None)


def test_without_the_other_a_cell_takes_turns_alone() -> None:
    assert [[cell.name for cell in group] for group in taking_turns(choose(["put-1m-*"]))] == [
        ["put-1m-sha256"],
        ["put-1m-chunked"],
    ]


def test_rounds_of_both_alternate_and_results_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = choose(["put-1m", "put-64m", "put-1m-sha256"])
    turns: list[str] = []
    note = rounds._Server.round
    monkeypatch.setattr(
        rounds._Server, "round", lambda self: [turns.append(self.whole.cell.name), note(self)]
    )
    told: list[str] = []
    with target_of() as target:
        results = measure(cells, [target], replace(SETTINGS, rounds=2), told.append)
    assert turns == ["put-1m", "put-1m-sha256", "put-1m-sha256", "put-1m", "put-64m", "put-64m"]
    assert told[0] == "PUT 1 MiB; PUT 1 MiB, SHA-256"
    assert [result.cell.name for result in results] == ["put-1m", "put-64m", "put-1m-sha256"]
    assert all(result.value and not result.failures for result in results)


@pytest.mark.parametrize(
    ("answer", "false"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", True),
        (b"HTTP/1.1 206 Partial Content\r\n\r\nabc", True),
        (b"HTTP/1.1 503 Slow Down\r\n\r\n200 ", False),
        (b"", False),
    ],
)
def test_an_answer_that_claims_success_and_is_not_right_is_false(answer: bytes, false: bool) -> None:
    result = Result(CELL, "x", SCALES["smoke"], 1)
    rounds._show(result, Tally(failed=1, examples=[(0, answer)]), [Exchange(b"PUT /b/k HTTP/1.1\r\n\r\n")])
    assert result.false is false


@pytest.mark.parametrize(
    ("cell", "fault", "shown"),
    [
        ("get-4k", "wrong bytes", "GET /bucket/small/"),
        (
            "range-64k",
            "",
            "GET /bucket/large.bin: HTTP/1.1 200 OK, ",
        ),
        ("put-4k", "read-only", "PUT /bucket/written/put-4k/"),
        ("put-1m-sha256", "read-only", "PUT /bucket/written/put-1m-sha256/"),
        ("copy-64m", "no copies", "PUT /bucket/written/copy-64m/"),
        ("multipart-64m", "no completion", "POST /bucket/written/multipart-64m/"),
    ],
)
def test_an_example_says_what_was_asked_and_expected(cell: str, fault: str, shown: str) -> None:
    with target_of(fault) as target:
        load(target, [one for one in CELLS if one.name == cell], SCALES["smoke"], print)
        (result, *_) = measure(choose([cell]), [target], SETTINGS, lambda text: None)
    assert result.examples, result
    assert all(example.startswith(shown) for example in result.examples), result.examples
    assert all("; expected " in one or "; the body differs from" in one for one in result.examples)


def test_an_example_names_the_object_that_was_wrong() -> None:
    """Also in rounds that begin where others ended."""
    with target_of("some wrong bytes") as target:
        load(target, choose(["get-4k"]), SCALES["smoke"], print)
        (result,) = measure(choose(["get-4k"]), [target], replace(SETTINGS, rounds=3), lambda text: None)
        work = ReadWork(result.cell, target, SCALES["smoke"], 2)
        for _ in range(4):
            work.run(Rhythm(5.0, 7, 5.0, False))
    paths = [example.split()[1].rstrip(":") for example in result.examples]
    paths += [exchange.head.split()[1].decode() for exchange in work.asked]
    assert len(paths) > 5
    assert all(is_wrong_by_some(path.removeprefix("/bucket/")) for path in paths), paths

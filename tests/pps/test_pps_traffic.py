"""Adding up what the sessions of a job read and wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from specs import S3_SPEC, changed

from conftest import FakeGateway, Stored
from sidegate.pps.isolation import Isolation
from sidegate.pps.joblog import LogEntry
from sidegate.pps.jobs import RunSetting, run_job
from sidegate.pps.spec import parse_spec
from sidegate.pps.traffic import JobTraffic, PlaceTraffic, SessionTraffic

FIRST = PlaceTraffic("in", {"read": 2}, {}, objects_read=2, read_bytes=10)
SECOND = PlaceTraffic("in", {"read": 1, "list": 1}, {"Denied": 1}, objects_read=1, read_bytes=5, exact=False)
OUT = PlaceTraffic("out", {"write": 1}, objects_written=1, written_bytes=7)


class Moments:
    """A clock that is told the time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """The sums of a job and what was handed on."""

    def __init__(self) -> None:
        self.clock = Moments()
        self.shown: list[list[PlaceTraffic]] = []
        self.said: list[str] = []
        self.traffic = JobTraffic(lambda places: self.shown.append(list(places)), self.clock)

    def look(self, *places: PlaceTraffic, **denials: str) -> None:
        self.traffic.look(lambda: SessionTraffic(places, denials), self.said.append)

    def end(self, *places: PlaceTraffic, **denials: str) -> None:
        self.traffic.end_session(SessionTraffic(places, denials), self.said.append)


def test_sessions_add_up() -> None:
    watched = Watched()
    watched.end(FIRST)
    watched.look(SECOND, OUT)
    watched.end(SECOND, OUT)
    total = PlaceTraffic("in", {"read": 3, "list": 1}, {"Denied": 1}, 3, 0, 0, 15, 0, False)
    assert watched.shown == [[FIRST], [total, OUT], [total, OUT]]
    assert [place["name"] for place in watched.traffic.as_document()] == ["in", "out"]
    assert watched.traffic.as_document()[0]["objects_exact"] is False


def test_a_look_is_cheap_however_often() -> None:
    watched = Watched()
    for _ in range(10):
        watched.look(FIRST)
    assert len(watched.shown) == 1
    watched.clock.now = 0.3
    watched.look(FIRST)
    assert watched.shown == [[FIRST], [FIRST]]
    assert watched.traffic.as_document() == []


def test_each_kind_of_denial_is_told_once_per_job() -> None:
    watched = Watched()
    watched.look(OUT, a="read of out")
    watched.end(OUT, a="read of out", b="write to in")
    watched.end(OUT, a="read of out, again")
    assert watched.said == ["read of out", "write to in"]


@pytest.mark.parametrize(
    ("place", "moved"),
    [(PlaceTraffic("in"), False), (PlaceTraffic("in", {"list": 9}), False), (FIRST, True), (OUT, True)],
)
def test_what_has_moved(place: PlaceTraffic, moved: bool) -> None:
    assert place.has_moved is moved


def run(stored: Stored, gateway: FakeGateway, directory: Path, *changes: tuple[str, Any]) -> Any:
    log: list[LogEntry] = []
    shown: list[list[PlaceTraffic]] = []
    stored.put("labresults", {"a": b"1"})
    job = run_job(
        stored.store,
        parse_spec(changed(S3_SPEC, *changes)),
        RunSetting(directory, {"PATH": "/usr/bin:/bin"}, detect_isolation=lambda bases, pfs: Isolation()),
        gateway,
        log.append,
        lambda places: shown.append(list(places)),
    )
    return job, [entry.text for entry in log if entry.stream == "sidegate"], shown


def test_the_record_keeps_what_all_attempts_did(stored: Stored, gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.traffic = SessionTraffic([FIRST, OUT], {"kind": "the job did what it must not"})
    job, log, shown = run(stored, gateway, tmp_path, ("transform.stdin", ["exit 1"]), ("datum_tries", 2))
    assert (job.state, job.attempts) == ("FAILURE", 2)
    by_name = {place["name"]: place for place in job.details["traffic"]}
    assert (by_name["in"]["objects_read"], by_name["in"]["bytes_read"]) == (4, 20)
    assert by_name["out"]["requests"] == {"write": 2}
    assert log.count("the job did what it must not") == 1
    assert shown[-1][0].objects_read == 4


def test_a_running_job_is_looked_at(stored: Stored, gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.traffic = SessionTraffic([FIRST])
    job, _, shown = run(stored, gateway, tmp_path, ("transform.stdin", ["sleep 0.7"]))
    assert job.state == "SUCCESS"
    assert len(shown) >= 3
    assert all(places == [FIRST] for places in shown)


def test_a_job_without_a_gateway_has_none(stored: Stored, gateway: FakeGateway, tmp_path: Path) -> None:
    job, _, shown = run(
        stored, gateway, tmp_path, ("input.pfs.s3", False), ("s3_out", False), ("transform.stdin", ["true"])
    )
    assert (job.state, job.details["traffic"], shown) == ("SUCCESS", [], [])

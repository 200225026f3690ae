"""What `sidegate run` shows of a job's reads and writes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from sidegate.cli import watching as module
from sidegate.cli.watching import Rates, TrafficLines, describe_traffic, watching
from sidegate.pps.traffic import PlaceTraffic

LABS = PlaceTraffic("labs", {"read": 12}, objects_read=12, read_bytes=34_100_000)
OUT = PlaceTraffic("out", {"write": 1}, objects_written=1, written_bytes=1_200)

COPIES = """
import os, time, urllib.request
endpoint = os.environ["S3_ENDPOINT"]
data = urllib.request.urlopen(endpoint + "/labs/a.csv").read()
print("a line of the log")
request = urllib.request.Request(endpoint + "/out/copy", data, method="PUT")
urllib.request.urlopen(request).read()
time.sleep(float(os.environ.get("PAUSE", "0")))
"""


class Moments:
    """A clock that is told the time."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def write_spec() -> str:
    Path("copies.py").write_text(COPIES)
    spec = {
        "pipeline": {"name": "copied"},
        "input": {"pfs": {"repo": "labs", "glob": "/", "s3": True}},
        "transform": {"cmd": [sys.executable, "-u", "copies.py"]},
        "s3_out": True,
    }
    Path("spec.json").write_text(json.dumps(spec))
    return "spec.json"


def test_lines_say_what_was_read_and_written() -> None:
    assert describe_traffic([LABS, OUT]) == ["read labs: 12 objects, 34.1 MB", "wrote out: 1 object, 1.2 kB"]
    assert describe_traffic([PlaceTraffic("labs", {"list": 3}), PlaceTraffic("out")]) == []


def test_lines_of_odd_traffic() -> None:
    many = PlaceTraffic("labs", objects_read=65_536, read_bytes=5, exact=False)
    copied = PlaceTraffic("out", objects_copied=1_000)
    both = PlaceTraffic("out", objects_read=1, read_bytes=1, objects_written=2, written_bytes=3)
    assert describe_traffic([many, copied]) == [
        "read labs: more than 65,536 objects, 5 bytes",
        "wrote out: 0 objects, 0 bytes, 1,000 copied",
    ]
    assert describe_traffic([both]) == ["read out: 1 object, 1 byte", "wrote out: 2 objects, 3 bytes"]


def test_rates_are_of_the_last_seconds() -> None:
    rates = Rates(3.0)
    for second in range(10):
        read_bytes = second * 1_000 if second < 5 else 5_000 + (second - 5) * 100
        rates.add(float(second), [PlaceTraffic("labs", read_bytes=read_bytes)])
    assert rates.of("labs", "read") == 100
    assert rates.of("labs", "wrote") == 0
    assert rates.of("other", "read") == 0


def test_a_first_moment_has_no_rate() -> None:
    rates = Rates(3.0)
    rates.add(0.0, [LABS])
    assert describe_traffic([LABS], rates) == ["read labs: 12 objects, 34.1 MB"]


def test_plain_lines_come_now_and_then_and_only_when_something_moved(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Moments()
    lines = TrafficLines(clock)
    for tenth in range(300):
        clock.now = 100.0 + tenth / 10
        done = min(tenth, 120)  # it rests after 12 s
        lines.show_traffic([PlaceTraffic("labs", objects_read=done, read_bytes=done * 100_000)])
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "[sidegate] read labs: 50 objects, 5.0 MB, 1.0 MB/s",
        "[sidegate] read labs: 100 objects, 10.0 MB, 1.0 MB/s",
        "[sidegate] read labs: 120 objects, 12.0 MB, 400.0 kB/s",
    ]


def test_nothing_is_shown_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Moments()
    with watching(quiet=True, clock=clock) as (show_text, show_traffic):
        clock.now += 60
        show_traffic([LABS, OUT])
        show_text("a line")
    assert capsys.readouterr().err == "a line\n"


def test_inspect_keeps_what_was_read_and_written(run, data: Path) -> None:
    run("file", "put", data, "labs")
    done = run("run", write_spec(), "--json")
    assert (done.code, done.row["state"]) == (0, "SUCCESS")
    assert "objects" not in done.err
    by_name = {place["name"]: place for place in done.row["details"]["traffic"]}
    assert by_name["labs"] == {
        "name": "labs",
        "requests": {"read": 1},
        "refusals": {},
        "objects_read": 1,
        "objects_written": 0,
        "objects_copied": 0,
        "objects_exact": True,
        "bytes_read": 6,
        "bytes_written": 0,
    }
    assert (by_name["out"]["objects_written"], by_name["out"]["bytes_written"]) == (1, 6)
    shown = run("job", "inspect", done.row["job"]).out
    assert "traffic labs: read 1 object, 6 bytes; 1 request\n" in shown
    assert "traffic out:  wrote 1 object, 6 bytes; 1 request\n" in shown


def test_a_running_job_says_what_moves(run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINE_SECONDS", 0.1)
    monkeypatch.setenv("PAUSE", "0.7")
    run("file", "put", data, "labs")
    done = run("run", write_spec())
    assert "[sidegate] read labs: 1 object, 6 bytes" in done.err
    assert "wrote out: 1 object, 6 bytes" in done.err
    assert done.err.count("[sidegate] read") <= 2


def test_a_terminal_shows_status_lines_below_the_log(run, data: Path) -> None:
    run("file", "put", data, "labs")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PAUSE": "0.7", "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-m", "sidegate", "run", write_spec()],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    seen = bytearray()
    try:
        while block := os.read(ours, 4096):
            seen += block
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(ours)
        commit, _ = process.communicate(timeout=20)
    text = seen.decode()
    assert process.returncode == 0, text
    assert commit.strip().isalnum()
    assert "read labs: 1 object, 6 bytes" in text
    assert "wrote out: 1 object, 6 bytes" in text
    assert text.count("a line of the log") == 1
    # The cursor is shown again, and the outcome stands where the lines were.
    assert text.rindex("\x1b[?25h") < text.index("SUCCESS after")

"""A job's log as a file and as a stream."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidegate.pps import joblog
from sidegate.pps.errors import JobRecordBroken
from sidegate.pps.joblog import JobLog, LogEntry, log_path, read_log

ENTRIES = [
    LogEntry(1.5, "stdout", "grüße\u2028\x85 \\xff", "d" * 64, 1),
    LogEntry(2.0, "stderr", "", "d" * 64, 2),
]


def test_entries_are_kept_and_handed_on(tmp_path: Path) -> None:
    seen: list[LogEntry] = []
    path = log_path(tmp_path, "j1")
    with JobLog(path, seen.append, lambda: 3.25) as log:
        log.write(ENTRIES[0])
        assert list(read_log(tmp_path, "j1")) == ENTRIES[:1], "an entry is in the file at once"
        log.write(ENTRIES[1])
        log.say("done")
    expected = [*ENTRIES, LogEntry(3.25, "sidegate", "done")]
    assert seen == expected
    assert list(read_log(tmp_path, "j1")) == expected
    first = json.loads(path.read_text().splitlines()[0])
    assert list(first) == ["time", "stream", "datum", "attempt", "text"]


def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    assert list(read_log(tmp_path, "none")) == []


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = log_path(tmp_path, "j1")
    with JobLog(path, lambda entry: None, lambda: 0) as log:
        log.write(ENTRIES[0])
        log.write(ENTRIES[1])
    data = path.read_bytes()
    for length in range(len(data) - 1, data.index(b"\n") + 1, -7):
        path.write_bytes(data[:length])
        assert list(read_log(tmp_path, "j1")) == ENTRIES[:1]


@pytest.mark.parametrize("line", ["{", "{}", "[]", "1"])
def test_a_broken_line_is_corruption(tmp_path: Path, line: str) -> None:
    path = log_path(tmp_path, "j1")
    path.parent.mkdir()
    path.write_text(f"{line}\n")
    with pytest.raises(JobRecordBroken, match="line 1"):
        list(read_log(tmp_path, "j1"))


def test_a_full_log_still_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "LOG_BYTES", 100)
    seen: list[LogEntry] = []
    with JobLog(log_path(tmp_path, "j1"), seen.append, lambda: 0) as log:
        for _ in range(10):
            log.say("x" * 50)
    kept = [entry.text for entry in read_log(tmp_path, "j1")]
    assert len(seen) == 10
    assert kept[:-1] == ["x" * 50]
    assert "not kept" in kept[-1]

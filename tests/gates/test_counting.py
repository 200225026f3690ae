"""From the output of callgrind and strace to the cost of one round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gates import counting
from gates.cells import CELLS, cell_named, requests_of
from gates.process import NotMeasured, upload_id_of

ONE = replace(cell_named("GET 4 KiB"), count=10, repeats=1)

TRACE = """\
7 read(9<socket:[1]>, ""..., 65536) = 600
7 getsid(0) = 7
7 read(9<socket:[1]>, ""..., 65536) = 600
8 fdatasync(5</store/pack> <unfinished ...>
7 epoll_pwait(3<anon_inode:[eventpoll]>, [], 1024, 0, NULL, 8) = 0
8 <... fdatasync resumed>) = 0
8 write(4<anon_inode:[eventfd]>, ""..., 8) = 8
7 read(4<anon_inode:[eventfd]>, ""..., 1024) = 8
8 futex(0x7f, FUTEX_WAIT_PRIVATE, 2, NULL) = 0
7 write(9<socket:[1]>, ""..., 200) = 200
7 getsid(0) = 7
7 exit_group(0) = ?
"""


def test_calls_are_counted_between_marks() -> None:
    assert counting.calls_between_marks(TRACE) == [{"read": 1}, {"read": 1, "fdatasync": 1, "write": 1}]


def test_a_round_costs_half_the_difference() -> None:
    assert counting.per_round(1000 + 10 * 7, 1000 + 30 * 7, 10) == 7
    once, thrice = {"read": 10, "openat": 1}, {"read": 30, "openat": 1, "write": 20}
    assert counting.calls_per_round(once, thrice, 10) == {"read": 1.0, "write": 1.0}


def test_phases_are_dealt_out_to_cells() -> None:
    other = replace(ONE, repeats=2)
    assert counting.measured_phases([ONE, other], range(8)) == [(ONE, [1], [2]), (other, [4, 6], [5, 7])]
    with pytest.raises(RuntimeError, match="too few phases"):
        counting.measured_phases([ONE, ONE], range(5))
    with pytest.raises(RuntimeError, match="1 phases were counted that are of no cell"):
        counting.measured_phases([ONE, ONE], range(7))


def test_the_profile_of_a_cell_is_its_last_phase() -> None:
    cells = [replace(ONE, name="first", repeats=2), replace(ONE, name="second")]
    assert counting.profile_name(cells, "first") == "callgrind.out.5"
    assert counting.profile_name(cells, "second") == "callgrind.out.8"


def dump(directory: Path, *totals: int) -> None:
    for number, total in enumerate(totals, 1):
        (directory / f"callgrind.out.{number}").write_text(f"# callgrind format\ntotals: {total}\n")


def test_totals_are_read_from_dumps(tmp_path: Path) -> None:
    dump(tmp_path, 500, 1000 + 10 * 7, 1000 + 30 * 7)
    assert counting.instructions_of([ONE], tmp_path) == [7.0]
    (tmp_path / "callgrind.out.1").write_text("events: Ir\n")
    with pytest.raises(NotMeasured, match="no total"):
        counting.instructions_of([ONE], tmp_path)


def test_what_a_timer_did_in_one_repeat_does_not_count(tmp_path: Path) -> None:
    dump(tmp_path, 0, 1000 + 10 * 7, 1000 + 30 * 7 + 999, 1000 + 10 * 7 + 999, 1000 + 30 * 7)
    assert counting.instructions_of([replace(ONE, repeats=2)], tmp_path) == [7.0]


@pytest.mark.parametrize(
    ("below", "tool"), [(counting.below_callgrind, "valgrind"), (counting.below_strace, "strace")]
)
def test_a_tool_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, below, tool: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotMeasured, match=f"^{tool} is not installed$"):
        below(tmp_path)


def test_a_tool_that_may_not_work_says_why(tmp_path: Path) -> None:
    refusing = tmp_path / "tool"
    refusing.write_text("#!/bin/sh\necho 'ptrace: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o700)
    with pytest.raises(NotMeasured, match=r"not allowed here: ptrace: Operation not permitted"):
        counting.require([str(refusing)], "not allowed here")


@pytest.mark.parametrize(
    "cell", [cell for cell in CELLS if cell.kind != "inside"], ids=lambda cell: cell.name
)
def test_requests_are_the_same_in_each_run(cell) -> None:
    first, second = requests_of(cell, "id"), requests_of(cell, "id")
    sent = [next(first) for _ in range(3)]
    assert sent == [next(second) for _ in range(3)]
    assert len(set(sent)) == 3


def test_the_id_of_an_upload_is_found() -> None:
    assert upload_id_of(b"<R><UploadId>abc</UploadId></R>") == "abc"

"""Each gate fails when the gateway really is slower, and holds when it is not.

A cell is measured twice as it is, then once slowed (see slowed_server.py): in one
process, except where what was stored before counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gates import counting
from gates.cells import Cell, cell_named
from gates.comparison import CALLS, FAILED, SYNC_CALLS, Figures, judge_calls, judge_instructions, judge_ratio
from gates.process import MeasuredProcess, NotMeasured, Stores, make_stores, measured_process
from gates.ratios import pinned, ratio_of, yardstick
from sidegate.native import describe

SLOWED = Path(__file__).with_name("slowed_server.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(900),  # under callgrind, beside other work
    pytest.mark.skipif(describe().implementation == "pure", reason=describe().reason),
]

GET = cell_named("GET 4 KiB")
PUT = replace(cell_named("PUT 4 KiB"), count=100)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    return make_stores(tmp_path)


def below_or_skip(command: Callable[[Path], list[str]], target: Path) -> list[str]:
    try:
        return command(target)
    except NotMeasured as problem:
        pytest.skip(str(problem))


def run_slowed_at_last(process: MeasuredProcess, cell: Cell, slowdown: str) -> None:
    counting.run_cells(process, [cell, cell])
    process.obey(f"do 1 {slowdown}")
    counting.run_cells(process, [cell])


def test_more_instructions(stores: Stores, tmp_path: Path) -> None:
    below = below_or_skip(counting.below_callgrind, tmp_path)
    with measured_process(stores, below, SLOWED) as process:
        run_slowed_at_last(process, GET, "slow down")
    was, again, slowed = counting.instructions_of([GET, GET, GET], tmp_path)
    assert judge_instructions(GET.name, was, again).outcome != FAILED
    verdict = judge_instructions(GET.name, was, slowed)
    assert verdict.outcome == FAILED, verdict


def test_one_more_sync(tmp_path: Path) -> None:
    def measured(name: str, slowdown: str | None = None) -> Figures:
        (tmp_path / name).mkdir()
        trace = tmp_path / name / "trace"
        below = below_or_skip(counting.below_strace, trace)
        with measured_process(make_stores(tmp_path / name), below, SLOWED) as process:
            if slowdown is not None:
                process.obey(f"do 1 {slowdown}")
            counting.run_cells(process, [PUT])
        return Figures(calls=counting.calls_of([PUT], trace.read_text())[0])

    was, again, slowed = measured("was"), measured("again"), measured("slowed", "sync more")
    assert FAILED not in [verdict.outcome for verdict in judge_calls(PUT.name, was, again)]
    verdicts = judge_calls(PUT.name, was, slowed)
    assert [(v.gate, v.outcome) for v in verdicts] == [(CALLS, FAILED), (SYNC_CALLS, FAILED)]
    assert all("fdatasync +1" in verdict.text for verdict in verdicts)


def test_a_smaller_ratio(stores: Stores) -> None:
    with yardstick(stores.raw_file) as bare, measured_process(stores, pinned(), SLOWED, steady=False) as ours:
        was, again = (ratio_of(GET, ours, *bare, pairs=3) for _ in range(2))
        ours.obey("do 1 slow down")
        slowed = ratio_of(GET, ours, *bare, pairs=3)
    assert judge_ratio(GET.name, was, again).outcome != FAILED
    assert judge_ratio(GET.name, was, slowed).outcome == FAILED

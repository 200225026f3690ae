"""When a gate holds, fails, or compares nothing, and what it says."""

from __future__ import annotations

import pytest

from gates.comparison import (
    BETTER,
    FAILED,
    HELD,
    NOT_COMPARED,
    Figures,
    Verdict,
    better_of,
    closing_line,
    judge_calls,
    judge_instructions,
    judge_ratio,
    report,
)


@pytest.mark.parametrize(
    ("now", "outcome"),
    [(100_000, HELD), (102_900, HELD), (103_100, FAILED), (97_100, HELD), (96_900, BETTER)],
)
def test_instructions_may_grow_by_three_percent(now: float, outcome: str) -> None:
    assert judge_instructions("GET", 100_000, now).outcome == outcome


def test_what_failed_is_named_with_was_and_is_and_a_remedy() -> None:
    verdict = judge_instructions("GET", 100_000, 110_000, "callgrind_annotate FILE")
    assert (verdict.gate, verdict.cell) == ("instructions", "GET")
    for part in ("was 100 000", "is 110 000", "+10.0%", "callgrind_annotate FILE", "make bench-accept"):
        assert part in verdict.text


def outcomes(was: dict[str, float], now: dict[str, float], allowed: float = 0.5) -> list[str]:
    return [v.outcome for v in judge_calls("PUT", Figures(calls=was), Figures(calls=now), allowed)]


def test_one_more_call_fails_and_a_wobble_does_not() -> None:
    was = {"read": 1.0, "pwrite64": 8.0}
    assert outcomes(was, was) == [HELD, HELD]
    assert outcomes(was, {"read": 1.0, "pwrite64": 8.2}) == [HELD, HELD]
    assert outcomes(was, {"read": 1.0, "pwrite64": 9.0}) == [FAILED, HELD]
    assert outcomes(was, {"read": 1.0, "pwrite64": 9.0}, allowed=3.0) == [HELD, HELD]
    assert outcomes(was, {"read": 1.0, "pwrite64": 7.0}) == [BETTER, HELD]


def test_a_call_may_take_the_place_of_another() -> None:
    assert outcomes({"read": 1.0, "write": 1.0}, {"recvfrom": 1.0, "writev": 1.0}) == [HELD, HELD]


def test_a_sync_fails_also_where_other_calls_went() -> None:
    assert outcomes({"pwrite64": 8.0}, {"pwrite64": 5.0, "fdatasync": 1.0}) == [BETTER, FAILED]
    assert outcomes({"fdatasync": 2.0}, {"fdatasync": 1.0}) == [BETTER, BETTER]


def test_the_calls_that_grew_are_named() -> None:
    (verdict, _) = judge_calls(
        "PUT", Figures(calls={"read": 1.0}), Figures(calls={"read": 1.0, "openat": 2.0})
    )
    assert "more of: openat +2;" in verdict.text


@pytest.mark.parametrize(("now", "outcome"), [(0.30, HELD), (0.22, HELD), (0.20, FAILED), (0.45, BETTER)])
def test_seven_tenths_of_the_ratio_must_be_kept(now: float, outcome: str) -> None:
    assert judge_ratio("GET", 0.30, now).outcome == outcome


def test_what_is_not_stored_is_not_compared() -> None:
    verdicts = [
        judge_instructions("GET", None, 5.0),
        *judge_calls("GET", Figures(), Figures(calls={"read": 1.0})),
        judge_ratio("GET", None, 0.5),
    ]
    assert [verdict.outcome for verdict in verdicts] == [NOT_COMPARED] * 4


def test_what_was_not_measured_gives_no_verdict() -> None:
    assert judge_calls("GET", Figures(calls={"read": 1.0}), Figures()) == []


def test_the_better_of_two_measurements_counts() -> None:
    one = Figures(100.0, {"fdatasync": 1.0}, {"AMD": 0.5})
    other = Figures(90.0, {"read": 3.0}, {"AMD": 0.4, "Intel": 0.3})
    assert better_of(one, other) == Figures(90.0, {"read": 3.0}, {"AMD": 0.5, "Intel": 0.3})
    assert better_of(one, Figures()) == one


def test_a_processor_has_its_own_ratio_and_a_new_one_the_least() -> None:
    known = Figures(ratios={"AMD": 0.5, "Intel": 0.3})
    assert [known.ratio_on(kind) for kind in ("AMD", "Intel", "Arm")] == [0.5, 0.3, 0.3]
    assert Figures().ratio_on("AMD") is None


def test_the_report_ends_with_what_failed_and_the_count() -> None:
    held, failed, unknown, better = (
        Verdict("ratio", f"cell {outcome}", outcome, "text")
        for outcome in (HELD, FAILED, NOT_COMPARED, BETTER)
    )
    lines = report([failed, unknown, held, better])
    assert [line.split("  ")[0] for line in lines[:-1]] == [HELD, BETTER, NOT_COMPARED, FAILED]
    assert lines[-1] == closing_line([held, failed, unknown, better])
    assert lines[-1].startswith("gates: 2 held (1 of them better")
    assert lines[-1].endswith("1 failed, 1 not compared")

"""Threads that work in the background, as the operating system sees them."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sidegate.scheduling import (
    EXPECTED_SECONDS,
    SLICE_US,
    QuickAnswers,
    _sched_yield,
    give_way,
    work_in_background,
)

_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}


class Clock:
    seconds = 1.0

    def __call__(self) -> float:
        return self.seconds


def test_a_quick_answer_has_another_one_expected_for_a_while() -> None:
    clock = Clock()
    answers = QuickAnswers(clock)
    assert not answers.are_expected()
    answers.given = True
    assert answers.are_expected()
    clock.seconds += EXPECTED_SECONDS / 2
    assert answers.are_expected()
    answers.given = True
    assert answers.are_expected()
    clock.seconds += EXPECTED_SECONDS * 3 / 4
    assert answers.are_expected()
    clock.seconds += EXPECTED_SECONDS / 2
    assert not answers.are_expected()


@pytest.fixture
def gil_kept() -> Iterator[None]:
    """No thread is made to give up the GIL: it does so by itself or never."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


def in_thread(work: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join(30)
    return results[0]


@pytest.mark.usefixtures("gil_kept")
def test_giving_way_gives_up_the_gil() -> None:
    begun = threading.Event()
    turns: list[int] = []

    def other() -> None:
        begun.set()
        turns.append(1)

    thread = threading.Thread(target=other)
    thread.start()
    for _ in range(1_000_000):
        if turns:
            break
        give_way()
    assert turns
    thread.join(30)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a niceness is the whole process's")
def test_background_work_is_nice_and_no_other_thread() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()

    def work() -> int:
        work_in_background(3)
        return niceness()

    assert in_thread(work) == min(before + 3, 19)
    assert niceness() == before


@pytest.mark.skipif(
    platform.machine() not in _SCHED_GETATTR, reason="the number of the call is not known here"
)
def test_background_work_takes_short_slices() -> None:
    def slice_ns() -> int:
        attributes = ctypes.create_string_buffer(48)
        call = ctypes.CDLL(None).syscall
        if call(ctypes.c_long(_SCHED_GETATTR[platform.machine()]), 0, attributes, 48, 0) != 0:
            return 0
        return int(struct.unpack("=IIQiIQQQ", attributes.raw)[5])

    def work() -> tuple[int, int]:
        before = slice_ns()
        work_in_background(1)
        return before, slice_ns()

    before, after = in_thread(work)
    if not before:
        pytest.skip("this kernel has no slices of threads (Linux 6.12 and later have)")
    assert after == SLICE_US * 1000


def test_giving_way_where_the_c_library_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    monkeypatch.setattr("time.sleep", pauses.append)
    _sched_yield.cache_clear()
    try:
        give_way()
    finally:
        _sched_yield.cache_clear()
    assert pauses == [0]

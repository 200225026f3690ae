"""Timing a function by rounds, on the wall and on the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Timing:
    """The answer of the last round, and how long each round took."""

    answer: Any
    seconds: list[float]
    cpu_seconds: list[float]


def timed(
    benchmark: Any,
    work: Callable[[], Any],
    rounds: int,
    setup: Callable[[], None] | None = None,
    warmup_rounds: int = 0,
) -> Timing:
    """Run a case through pytest-benchmark; all of this process's CPU time counts."""
    seconds: list[float] = []
    cpu_seconds: list[float] = []

    def measured() -> Any:
        began, cpu_began = time.perf_counter(), time.process_time()
        answer = work()
        cpu_seconds.append(time.process_time() - cpu_began)
        seconds.append(time.perf_counter() - began)
        return answer

    answer = benchmark.pedantic(measured, rounds=rounds, setup=setup, warmup_rounds=warmup_rounds)
    kept = slice(warmup_rounds if len(seconds) > warmup_rounds else 0, None)
    return Timing(answer, seconds[kept], cpu_seconds[kept])

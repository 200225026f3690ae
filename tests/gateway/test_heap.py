"""Freed memory is kept for the next answer, unless the environment says otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

ANSWERS = """
import os, resource, sys
from sidegate.gateway.heap import keep_freed_memory

print(keep_freed_memory(os.environ) if sys.argv[1] == "kept" else None)

def answer():
    return [b"x" * 300_000 for _ in range(4)]

answer()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    answer()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

needs_glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="another C library than glibc, or one that is not known"
)


def faults_of_answers(how: str, **environment: str) -> tuple[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", ANSWERS, how],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    said, faults = done.stdout.split()
    return said, int(faults)


@needs_glibc
def test_answers_find_the_memory_of_those_before() -> None:
    said, faults = faults_of_answers("kept")
    assert said == "True"
    assert faults < 100
    # What they take where it is given back each time.
    assert faults_of_answers("as it is", MALLOC_TRIM_THRESHOLD_="131072")[1] > 100 * 70


@needs_glibc
def test_what_the_environment_sets_stays() -> None:
    said, faults = faults_of_answers("kept", MALLOC_TRIM_THRESHOLD_="131072")
    assert said == "False"
    assert faults > 100 * 70
    assert faults_of_answers("kept", GLIBC_TUNABLES="glibc.malloc.trim_threshold=131072")[0] == "False"
    assert faults_of_answers("kept", MALLOC_ARENA_MAX="2")[0] == "True"

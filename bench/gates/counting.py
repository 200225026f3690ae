"""Counting what a cell costs: instructions by callgrind, system calls by strace.

Both see the marks of the measured process as calls of getsid(2): callgrind
writes its counts out and starts anew, strace prints a line.  Between them lie,
for each cell, `count` rounds and three times `count` (see `Cell`); half the
difference, divided by `count`, is the cost of one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gates.cells import Cell
from gates.process import MeasuredProcess, NotMeasured, Stores, measured_process

MARK = "getsid"

PROFILE = "callgrind.out"

TRACED_TIMES = 5
"""Enough rounds that one checkpoint of SQLite's log more or less is not a call in each of them."""

SYNCS = ("fsync", "fdatasync", "msync", "sync", "syncfs")
"""Those that wait for the disk; sync_file_range(2) does not as we call it, it has writing begin."""

UNCOUNTED = frozenset(
    (
        # How often threads wake one another up, and the loop itself, is up to the scheduler.
        *("futex", "epoll_wait", "epoll_pwait", "epoll_ctl", "io_uring_enter", "poll"),
        *("sched_yield", "restart_syscall"),
        # Memory is asked for in steps that depend on all that was before.
        *("brk", "mmap", "munmap", "mprotect", "madvise", "mremap"),
        # Threads that begin or end, and signals.
        *("clone", "clone3", "rseq", "set_robust_list", "rt_sigprocmask", "rt_sigreturn", "exit"),
        # Not in the way of any request: these never leave the process for long.
        *("getpid", "gettid", "clock_gettime", "gettimeofday"),
    )
)
"""System calls whose number is not the same in each run."""

_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((?:\d+<([^>]*)>)?", re.MULTILINE)
_TOTAL = re.compile(r"^(?:totals|summary): (\d+)$", re.MULTILINE)

T = TypeVar("T")


def per_round(after_count: float, after_thrice: float, count: int) -> float:
    """Return what one round costs: what happens once is in both and cancels out."""
    return (after_thrice - after_count) / (2 * count)


def more_of(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells as they are done where rounds are cheap."""
    return [replace(cell, count=TRACED_TIMES * cell.count) for cell in cells]


def run_cells(process: MeasuredProcess, cells: Sequence[Cell]) -> None:
    """Do each cell in its phases, each of them ended by a mark."""
    for cell in cells:
        for times in cell.phases:
            process.repeat(cell, times)
            process.mark()


# -- instructions ------------------------------------------------------------------


def count_instructions(stores: Stores, cells: Sequence[Cell], directory: Path) -> dict[str, float]:
    """Return instructions per round of each cell; the profiles stay in `directory`.  Raises NotMeasured."""
    with measured_process(stores, below_callgrind(directory)) as process:
        run_cells(process, cells)
    counted = instructions_of(cells, directory)
    return {cell.name: each for cell, each in zip(cells, counted, strict=True)}


def below_callgrind(directory: Path) -> list[str]:
    """Return the command below which instructions are counted into a directory; raises NotMeasured."""
    if shutil.which("valgrind") is None:
        raise NotMeasured("valgrind is not installed")
    require(["setarch", "-R"], "address randomisation cannot be turned off here")
    outputs = [f"--callgrind-out-file={directory / PROFILE}", f"--log-file={directory / 'valgrind.log'}"]
    return [
        *["setarch", "-R", "valgrind", "--tool=callgrind", "--fair-sched=yes"],
        f"--dump-before={MARK}",
        *outputs,
    ]


def instructions_of(cells: Sequence[Cell], directory: Path) -> list[float]:
    """Return the instructions per round of the cells that ran one after another."""
    dumps = range(1, sum(len(cell.phases) for cell in cells) + 1)
    phases = measured_phases(cells, [total_of(directory / f"{PROFILE}.{number}") for number in dumps])
    return [per_round(min(once), min(thrice), cell.count) for cell, once, thrice in phases]


def measured_phases(cells: Sequence[Cell], phases: Sequence[T]) -> list[tuple[Cell, list[T], list[T]]]:
    """Return each cell with its phases of `count` rounds, and those of three times `count`."""
    rest, found = list(phases), []
    for cell in cells:
        own, rest = rest[: len(cell.phases)], rest[len(cell.phases) :]
        found.append((cell, own[1::2], own[2::2]))
        if len(own) < len(cell.phases):
            raise RuntimeError(f"too few phases were counted of {cell.name}: {len(own)}")
    if rest:
        raise RuntimeError(f"{len(rest)} phases were counted that are of no cell")
    return found


def profile_name(cells: Sequence[Cell], name: str) -> str:
    """Return the file with the profile of the last phase of a cell."""
    names = [cell.name for cell in cells]
    return f"{PROFILE}.{sum(len(cell.phases) for cell in cells[: names.index(name) + 1])}"


def total_of(dump: Path) -> int:
    """Return the instructions that a dump of callgrind counts."""
    found = _TOTAL.search(dump.read_text(errors="replace"))
    if found is None:
        raise NotMeasured(f"callgrind wrote no total into {dump.name}")
    return int(found[1])


# -- system calls ------------------------------------------------------------------


def count_calls(stores: Stores, cells: Sequence[Cell], directory: Path) -> dict[str, dict[str, float]]:
    """Return the system calls per round of each cell, by name; raises NotMeasured."""
    trace, cells = directory / "strace.out", more_of(cells)
    with measured_process(stores, below_strace(trace)) as process:
        run_cells(process, cells)
    return {cell.name: each for cell, each in zip(cells, calls_of(cells, trace.read_text()), strict=True)}


def below_strace(trace: Path) -> list[str]:
    """Return the command below which system calls are written to a file; raises NotMeasured."""
    if shutil.which("strace") is None:
        raise NotMeasured("strace is not installed")
    # -y prints what a descriptor is, so that threads that wake the loop can be told from requests.
    command = ["strace", "-f", "-qq", "-y", "-s", "0", "-o"]
    require([*command, "/dev/null"], "ptrace is not allowed here")
    return [*command, str(trace)]


def calls_of(cells: Sequence[Cell], trace: str) -> list[dict[str, float]]:
    """Return the system calls per round of the cells that ran one after another."""
    phases = measured_phases(cells, calls_between_marks(trace))
    return [
        calls_per_round(min(once, key=_total), min(thrice, key=_total), cell.count)
        for cell, once, thrice in phases
    ]


def calls_between_marks(trace: str) -> list[Counter[str]]:
    """Return how often each call was made up to each mark of a trace."""
    phases: list[Counter[str]] = [Counter()]
    for name, descriptor in _CALL.findall(trace):
        if name == MARK:
            phases.append(Counter())
        elif name not in UNCOUNTED and "eventfd" not in descriptor:
            phases[-1][name] += 1
    return phases[:-1]


def calls_per_round(once: Mapping[str, int], thrice: Mapping[str, int], count: int) -> dict[str, float]:
    """Return the calls of one round by name, without those that cancelled out."""
    found = {name: per_round(once.get(name, 0), times, count) for name, times in thrice.items()}
    return {name: round(times, 3) for name, times in sorted(found.items()) if round(times, 3) != 0}


def _total(calls: Mapping[str, int]) -> int:
    return sum(calls.values())


def require(command: list[str], problem: str) -> None:
    """Raise NotMeasured when `command` cannot start a program."""
    try:
        done = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NotMeasured(f"{problem}: {error.filename} is not installed") from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise NotMeasured(f"{problem}: {reason}")

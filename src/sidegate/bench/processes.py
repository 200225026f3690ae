"""Server processes seen from outside: CPU time and memory of one and its children.

Read from the kernel, so that watching costs the server nothing.  Those of peers
are stopped while others are measured.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from sidegate.errors import NotFound, Unsupported

_PROC = Path("/proc")
IDLE_SHARE: Final = 0.1
"""Of a core: a server that uses less has nothing under way."""

_LOOK_SECONDS: Final = 0.05


class ProcessTree:
    """A process with all that it started, workers included."""

    def __init__(self, pid: int) -> None:
        """Raises NotFound when there is no such process, Unsupported without /proc."""
        if not _PROC.joinpath("self", "stat").exists():
            raise Unsupported("a server's CPU time can be read on Linux only", remedy="leave out --pid")
        if not _PROC.joinpath(str(pid)).exists():
            raise NotFound(f"there is no process {pid} on this machine", pid=pid)
        self.pid = pid
        self._last_seen: dict[int, float] = {}

    def members(self) -> list[int]:
        """Return the ids of all processes of the tree."""
        children: dict[int, list[int]] = {}
        for entry in os.listdir(_PROC):
            if entry.isdigit():
                with suppress(OSError, ValueError):
                    fields = _PROC.joinpath(entry, "stat").read_text().rpartition(")")[2].split()
                    children.setdefault(int(fields[1]), []).append(int(entry))
        found = [self.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_seconds(self) -> float:
        """Return the CPU time of all threads so far, also of members that have ended since."""
        for pid in self.members():
            with suppress(OSError):
                # The clock id of another process, as glibc's clock_getcpuclockid makes it.
                self._last_seen[pid] = time.clock_gettime((~pid << 3) | 2)
        return sum(self._last_seen.values())

    def settle(self, patience_seconds: float) -> bool:
        """Wait until it has nothing under way; False when the patience ends first."""
        deadline = time.monotonic() + patience_seconds
        before = self.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            now = self.cpu_seconds()
            if now - before < IDLE_SHARE * _LOOK_SECONDS and not self._has_runnable():
                return True
            before = now
        return False

    def pause(self) -> None:
        """Stop all of it where it is (SIGSTOP): it takes no time from others."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def _has_runnable(self) -> bool:
        """Whether a thread runs, waits for a core or for the disk: a waiting one uses no CPU time."""
        for pid in self.members():
            for path in _PROC.joinpath(str(pid), "task").glob("*/stat"):
                with suppress(OSError):
                    if path.read_text().rpartition(")")[2].split()[0] in ("R", "D"):
                        return True
        return False

    def _send(self, number: signal.Signals) -> None:
        for pid in self.members():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def resident_bytes(self) -> int:
        """Return the largest resident size since `forget_peak`, or else since the start, summed."""
        return sum(_status_bytes(pid, "VmHWM") for pid in self.members())

    def forget_peak(self) -> None:
        """Let the peak start anew from the current size (proc(5), clear_refs 5), if we may."""
        for pid in self.members():
            with suppress(OSError):
                _PROC.joinpath(str(pid), "clear_refs").write_text("5")


def _status_bytes(pid: int, name: str) -> int:
    with suppress(OSError):
        for line in _PROC.joinpath(str(pid), "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
    return 0

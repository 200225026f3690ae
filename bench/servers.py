"""Server processes under measurement: started on a core, watched, stopped.

CPU time and memory are read from outside, so watching costs the server nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
STOP_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Cores:
    """Where server and client run."""

    server: int
    client: int

    @classmethod
    def choose(cls) -> Cores:
        """Return two cores of those this process may use, or the same one twice."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[1 % len(usable)])

    @property
    def apart(self) -> bool:
        """Whether server and client have a core each."""
        return self.server != self.client

    def describe(self) -> str:
        """Say where both run."""
        if self.apart:
            return f"server on core {self.server}, client on core {self.client}"
        return f"only core {self.server} for server AND client: the figures are not comparable"


class ServerProcess:
    """One server; ready when the constructor returns."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.name = name
        self._process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
        if self._process.stdout is None:
            raise RuntimeError("the server has no stdout")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{name} did not start: exit code {self._process.wait()}")
        self.address = ("127.0.0.1", int(json.loads(line)["port"]))
        self.pid = self._process.pid

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far."""
        # The clock id of another process, as glibc's clock_getcpuclockid makes it.
        return time.clock_gettime((~self.pid << 3) | 2)

    def waited_seconds(self) -> float:
        """Return how long its main thread was ready to run, but something else had the core."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9

    def peak_bytes(self) -> int:
        """Return the largest resident size since `forget_peak`, or since the start."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
        raise RuntimeError("the kernel does not tell the resident size")

    def forget_peak(self) -> None:
        """Let the peak start anew from the current size (proc(5), clear_refs 5)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def stop(self) -> None:
        """End it in its own way."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def start_gateway(store: Path, commit: str, cores: Cores) -> ServerProcess:
    """Start a sidecar over a store."""
    return ServerProcess("gateway", [str(HERE / "gateway_server.py"), str(store), commit, str(cores.server)])


def start_yardstick(file: Path, cores: Cores) -> ServerProcess:
    """Start the bare server; `file` is what it sends large answers from."""
    server = ServerProcess("yardstick", [str(HERE / "yardstick.py"), "--file", str(file)])
    os.sched_setaffinity(server.pid, {cores.server})
    return server

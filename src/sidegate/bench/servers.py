"""Server processes that a run starts itself: on a core, watched, stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sidegate.bench.endpoints import Endpoint, parse_endpoint
from sidegate.bench.placing import on_cores, own_cores
from sidegate.bench.processes import ProcessTree
from sidegate.errors import Unavailable

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Cores:
    """Where servers and client run; the same core twice when there is only one."""

    server: int
    client: int

    @classmethod
    def choose(cls) -> Cores:
        """Return two cores of those that this process may use; raises Unsupported."""
        usable = sorted(own_cores())
        return cls(usable[0], usable[1 % len(usable)])

    @property
    def apart(self) -> bool:
        """Whether server and client have a core each."""
        return self.server != self.client

    def describe(self) -> str:
        """Say where both run."""
        if self.apart:
            return f"servers on core {self.server}, client on core {self.client}"
        return f"only core {self.server} for servers AND client: the figures are not comparable"


class ServerProcess:
    """One server on its core, or on several."""

    def __init__(
        self,
        label: str,
        command: Sequence[str],
        core: int | set[int],
        *,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        log: Path,
    ) -> None:
        """Ready when this returns; raises Unavailable when it does not start.

        Without `port` the first line that it prints is JSON with `port` or `endpoint`.
        """
        self.label = label
        self._log = log
        self._process = _spawn(command, core, {**os.environ, **(environment or {})}, log, wants_line=not port)
        try:
            self.endpoint = self._wait(port) if port else self._read_endpoint()
        except BaseException:
            self.stop()
            raise
        self.tree = ProcessTree(self._process.pid)

    def stop(self) -> None:
        """End it in its own way, and what does not end then at once."""
        self._process.terminate()
        self._process.send_signal(signal.SIGCONT)  # it may be paused
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read_endpoint(self) -> Endpoint:
        line = self._process.stdout.readline() if self._process.stdout is not None else b""
        if not line:
            raise self._failure()
        said = json.loads(line)
        url = said.get("endpoint") or f"http://127.0.0.1:{said['port']}"
        return replace(parse_endpoint(url), label=self.label)

    def _wait(self, port: int) -> Endpoint:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._failure()
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
            except OSError:
                time.sleep(0.05)
            else:
                return Endpoint(self.label, "127.0.0.1", port)
        raise self._failure()

    def _failure(self) -> Unavailable:
        said = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return Unavailable(f"{self.label} did not start: {said[0][:300]}")


def _spawn(
    command: Sequence[str],
    core: int | set[int],
    environment: Mapping[str, str],
    log: Path,
    *,
    wants_line: bool,
) -> subprocess.Popen[bytes]:
    """Start a process that never ran on another core: its threads inherit where it is."""
    with on_cores({core} if isinstance(core, int) else core), log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if wants_line else output,
            stderr=output,
            env=dict(environment),
        )


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def start_yardstick(label: str, file: Path, core: int, folder: Path, *options: str) -> ServerProcess:
    """Start the bare server; `file` is what it sends large answers from, `options` say where bodies go."""
    command = [sys.executable, "-m", "sidegate.bench.yardstick", "--file", str(file), *options]
    return ServerProcess(label, command, core, log=folder / f"{label}.log")


def start_sidecar(label: str, store: Path, inputs: Mapping[str, str], core: int | set[int]) -> ServerProcess:
    """Start a job's gateway over commits by bucket, with an `out` that can be read back."""
    command = [sys.executable, "-m", "sidegate.bench.sidecar", str(store), json.dumps(dict(inputs))]
    return ServerProcess(label, command, core, log=store.parent / f"{label}.log")


def start_serve(label: str, store: Path, durability: str, core: int, workers: int = 1) -> ServerProcess:
    """Start the general gateway as `sidegate serve` does; open commits stay open."""
    options = ["serve", "--address", "127.0.0.1:0", "--json", "--finish-after", "never"]
    options += ["--durability", durability, "--workers", str(workers)]
    command = [sys.executable, "-m", "sidegate", "--store", str(store), *options]
    return ServerProcess(label, command, core, log=store.parent / f"{label}.log")

"""`sidegate serve` with several workers, and clients whose connections lead to a known one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE_SECONDS = 60.0
WORKER_MODULE = "sidegate.worker"


def until(holds: Callable[[], bool], what: str) -> None:
    """Return once `holds` does; looks again until then."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.01)


def processes() -> Iterator[tuple[int, int, str]]:
    """Yield (pid, parent, arguments) of every process that is not a zombie."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True)
    for line in listing.stdout.splitlines():
        pid, parent, state, arguments = line.split(None, 3)
        if not state.startswith("Z"):
            yield int(pid), int(parent), arguments


class Client:
    """One keep-alive connection; `worker` is who serves it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._connection = HTTPConnection(*address, timeout=PATIENCE_SECONDS)
        self.worker = self.ask("GET", "/-/health")[1].get("x-sidegate-worker", "")

    def ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        self._connection.request(method, target, body)
        response = self._connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read()

    def get(self, target: str) -> bytes:
        status, _, body = self.ask("GET", target)
        assert status == 200, body
        return body

    def put(self, target: str, body: bytes = b"") -> None:
        status, _, answer = self.ask("PUT", target, body)
        assert status == 200, answer

    def begin_put(self, target: str, size: int, first: bytes) -> None:
        """Send the head of a PUT and the first bytes of its body."""
        self._connection.putrequest("PUT", target)
        self._connection.putheader("content-length", str(size))
        self._connection.endheaders()
        self._connection.send(first)

    def end_put(self, rest: bytes) -> int:
        self._connection.send(rest)
        response = self._connection.getresponse()
        response.read()
        return response.status

    def close(self) -> None:
        self._connection.close()


class Serving:
    """A running `sidegate serve`."""

    def __init__(self, directory: Path, *words: str, **variables: str) -> None:
        self.directory = directory
        command = [sys.executable, "-m", "sidegate", "--store", str(directory), "serve", "--json"]
        # A file, not a pipe: nobody reads it while the server runs.
        self._log_path = directory.parent / "serve.log"
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--address", "127.0.0.1:0", *words],
                env={**os.environ, **variables},
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # so that what it leaves behind can be found and ended
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log
        url = urlsplit(json.loads(line)["endpoint"])
        self.address = (url.hostname or "", url.port or 0)
        self._clients: list[Client] = []

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    def client(self) -> Client:
        self._clients.append(Client(self.address))
        return self._clients[-1]

    def clients(self, count: int) -> list[Client]:
        """Return as many clients, of one worker each."""
        by_worker: dict[str, Client] = {}
        spare = []
        while len(by_worker) < count:
            client = self.client()
            if client.worker in by_worker:
                spare.append(client)
            else:
                by_worker[client.worker] = client
        for client in spare:
            client.close()
        return [by_worker[worker] for worker in sorted(by_worker)]

    def worker_pids(self) -> dict[str, int]:
        """Return the process of each worker by its number."""
        found = {}
        for pid, parent, arguments in processes():
            if parent == self.process.pid and WORKER_MODULE in arguments:
                found[arguments.partition(WORKER_MODULE)[2].split()[0]] = pid
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def serving(directory: Path, *words: str, **variables: str) -> Iterator[Serving]:
    server = Serving(directory, *words, **variables)
    try:
        yield server
    finally:
        server.close()

"""A client in a process and an environment of its own, asked over pipes."""

from __future__ import annotations

import json
import selectors
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clients import Client

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent.parent / ".venv-clients"
PATIENCE_SECONDS = 100.0


class ClientError(Exception):
    """What the client told its user instead of doing what was asked."""


class ClientProcess:
    """A driver that runs; `log` takes what the client prints beside its answers."""

    def __init__(self, client: Client, variables: Mapping[str, str], folder: Path) -> None:
        self._log = folder / "client.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [interpreter(client), HERE / "drivers" / f"{client.driver}.py"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env=dict(variables),
                text=True,
                encoding="utf-8",
            )

    def ask(self, action: str, **arguments: object) -> Any:
        """Return what the driver's method returns; raises ClientError."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"action": action, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._answer(action))
        if "error" in answer:
            raise ClientError(answer["error"])
        return answer["value"]

    def _answer(self, action: str) -> str:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            ready = selector.select(PATIENCE_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self.close()
            log = self._log.read_text(errors="replace")[-2000:]
            raise AssertionError(
                f"{action}: no answer, the client ended or took {PATIENCE_SECONDS:.0f} s\n{log}"
            )
        return line

    def close(self) -> None:
        """End the process, at once."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:  # what it was asked last was never read
                    continue


def interpreter(client: Client) -> Path:
    """Return the Python of the client's environment, which need not exist."""
    return ENVIRONMENTS / client.group / "bin" / "python"

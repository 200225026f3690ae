"""What the drivers of S3 clients share: requests in, one JSON line each, and answers out.

A driver runs in the environment of its client, with the variables of a job.  Each action is a method;
contents travel as local files, so that a command line tool and a library are asked the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any


class CommandFailed(Exception):
    """A command line client ended with an error; the text is what it told its user."""


class Driver:
    """The actions that tests ask for; a driver has those that its client offers."""

    distributions: tuple[str, ...] = ()

    def versions(self) -> list[str]:
        """Name what runs, with versions."""
        return [f"{name} {version(name)}" for name in self.distributions]

    def list_keys(self, bucket: str, prefix: str) -> list[str]:
        """Return every key that begins with `prefix`, which ends in a slash."""
        raise NotImplementedError

    def read(self, bucket: str, key: str, file: str) -> None:
        """Bring an object into a local file."""
        raise NotImplementedError

    def read_range(self, bucket: str, key: str, start: int, end: int, file: str) -> None:
        """Bring the bytes from `start` to before `end` into a local file."""
        raise NotImplementedError

    def write(self, bucket: str, key: str, file: str) -> None:
        """Make an object of a local file."""
        raise NotImplementedError

    def write_parts(self, bucket: str, key: str, file: str) -> None:
        """Make an object of a local file, in parts."""
        raise NotImplementedError

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        raise NotImplementedError

    def copy(self, bucket: str, key: str, target: str) -> None:
        """Make `target` what `key` is, in the same bucket."""
        raise NotImplementedError

    def sum_table(self, location: str) -> int:
        """Add up the column `value` of the Parquet below an S3 address or a local folder."""
        raise NotImplementedError

    def write_table(self, source: str, location: str) -> None:
        """Copy a Parquet table to an S3 address as Parquet, as the client likes to lay it out."""
        raise NotImplementedError


def run(*command: str | Path) -> str:
    """Run a command line client and return what it prints; raises CommandFailed."""
    program = Path(sys.executable).with_name(str(command[0]))
    words = [str(program) if program.exists() else str(command[0]), *map(str, command[1:])]
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise CommandFailed(done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}")
    return done.stdout


def serve(driver: Driver) -> None:
    """Answer requests until there are no more; nothing else may be printed among the answers."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        action = request.pop("action")
        try:
            answer: dict[str, Any] = {"value": getattr(driver, action)(**request)}
        except CommandFailed as error:
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever a client raises is an answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)

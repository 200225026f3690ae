"""What a job printed, kept as JSON lines and handed on as it comes.

One file per job, `logs/<job id>.jsonl` in the store's folder; one object per
line with `time` (seconds since the epoch), `stream`, `datum`, `attempt`, `text`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sidegate.pps.errors import JobRecordBroken

SIDEGATE = "sidegate"
"""The stream of what Sidegate says about the job, beside stdout and stderr."""

LOG_BYTES = 1 << 30
"""Beyond this the lines are still handed on, but no longer kept."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line; `datum` and `attempt` are None for the job as a whole."""

    time_seconds: float
    stream: str
    text: str
    datum: str | None = None
    attempt: int | None = None


LogCallback = Callable[[LogEntry], None]


def log_path(store_directory: Path, job_id: str) -> Path:
    """Return where a job's log lies."""
    return store_directory / "logs" / f"{job_id}.jsonl"


class JobLog:
    """Writes a job's log; each entry is in the file when `write` returns."""

    def __init__(self, path: Path, callback: LogCallback, clock: Callable[[], float]) -> None:
        path.parent.mkdir(exist_ok=True)
        # A closed log still hands on: `close` may come before the last word.
        self._file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 (closed by close)
        self._callback = callback
        self._clock = clock
        self._kept_bytes = 0

    def write(self, entry: LogEntry) -> None:
        """Keep an entry and hand it on."""
        if self._kept_bytes <= LOG_BYTES:
            self._keep(entry)
            if self._kept_bytes > LOG_BYTES:
                self._keep(
                    LogEntry(entry.time_seconds, SIDEGATE, "the log is full: what follows is not kept")
                )
        self._callback(entry)

    def say(self, text: str, datum: str | None = None, attempt: int | None = None) -> None:
        """Write an entry of our own."""
        self.write(LogEntry(self._clock(), SIDEGATE, text, datum, attempt))

    def _keep(self, entry: LogEntry) -> None:
        fields = {
            "time": round(entry.time_seconds, 6),
            "stream": entry.stream,
            "datum": entry.datum,
            "attempt": entry.attempt,
            "text": entry.text,
        }
        self._kept_bytes += self._file.write(json.dumps(fields) + "\n")

    def __enter__(self) -> JobLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def read_log(store_directory: Path, job_id: str) -> Iterator[LogEntry]:
    """Yield a job's log, nothing when it has none.

    A last line that is cut short is left out: the runner was killed there, or is writing it.
    Raises JobRecordBroken for any other line that cannot be read.
    """
    path = log_path(store_directory, job_id)
    if not path.exists():
        return
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n"):
                return
            yield _parse_entry(line, path, number)


def _parse_entry(line: str, path: Path, number: int) -> LogEntry:
    try:
        fields = json.loads(line)
        return LogEntry(fields["time"], fields["stream"], fields["text"], fields["datum"], fields["attempt"])
    except (ValueError, KeyError, TypeError):
        raise JobRecordBroken(
            f"line {number} of {path} is not a log entry",
            remedy="remove the line",
            path=str(path),
            line=number,
        ) from None

"""Runs one process: feeds it, listens to it, and ends it and its children.

Synchronous and single-threaded: the caller's thread moves the bytes, asks
whether to stop, and is slowed down by a slow log. Knows no datums and no jobs.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sidegate.pps.errors import LaunchFailed
from sidegate.pps.isolation import make_plan, spawn_launcher
from sidegate.pps.lines import LineSplitter
from sidegate.pps.process_family import ProcessFamily

GRACE_SECONDS = 10.0
_SETTLE_SECONDS = 1.0
"""Time for what ends by itself with its leader, as the JVM of `python job.py` with PySpark does."""

_ASK_SECONDS = 0.2
_DRAIN_SECONDS = 1.0
_BLOCK_BYTES = 64 * 1024
STDOUT, STDERR = "stdout", "stderr"


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a process printed; `time_seconds` since the epoch."""

    stream: str
    text: str
    time_seconds: float


class Ending(enum.Enum):
    """Why a process is no longer there."""

    EXITED = "exited"
    TIMED_OUT = "timed out"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Command:
    """What to run.

    `timeout_seconds` None: no limit. `scratch` and `memory` say where a private /tmp keeps its
    content (neither: /tmp is shared), `pfs` what /pfs shows, `shared` which folders below /tmp stay
    as they are.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    stdin: bytes = b""
    timeout_seconds: float | None = None
    grace_seconds: float = GRACE_SECONDS
    scratch: Path | None = None
    memory: bool = False
    pfs: Path | None = None
    shared: Sequence[Path] = ()

    @property
    def isolates(self) -> bool:
        """Say whether the process gets a namespace of its own."""
        return self.scratch is not None or self.memory or self.pfs is not None


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a process ended; exactly one of `exit_code` and `signal` is set."""

    ending: Ending
    exit_code: int | None = None
    signal: signal.Signals | int | None = None
    seconds: float = 0.0
    left_behind: int = field(default=0)

    def describe(self) -> str:
        """Say in a few words how it ended."""
        if self.signal is None:
            return f"exit code {self.exit_code}"
        name = self.signal.name if isinstance(self.signal, signal.Signals) else str(self.signal)
        return f"killed by {name}"


LogSink = Callable[[LogLine], None]
StopRequest = Callable[[], bool]


def run_process(
    command: Command,
    sink: LogSink,
    should_stop: StopRequest = lambda: False,
    *,
    clock: Callable[[], float] = time.time,
) -> ProcessResult:
    """Run a command to its end and return how it ended.

    `should_stop` is asked every 0.2 s at least. When the time is over, on a stop, and when
    anything raises here (Ctrl-C, a broken sink), the process and all its descendants get SIGTERM
    and after the grace time SIGKILL; then the exception goes on. Descendants that outlive the
    process are ended in the same way. Raises LaunchFailed when there is no such command or folder.
    """
    run = _Run(command, sink, should_stop, clock)
    try:
        run.start()
        return run.follow()
    except BaseException:
        run.end_now()
        raise
    finally:
        run.close()


class _Run:
    """One process, from start to end."""

    def __init__(
        self, command: Command, sink: LogSink, should_stop: StopRequest, clock: Callable[[], float]
    ) -> None:
        self.command = command
        self.sink = sink
        self.should_stop = should_stop
        self.clock = clock
        self.selector = selectors.DefaultSelector()
        self.splitters: dict[str, LineSplitter] = {STDOUT: LineSplitter(), STDERR: LineSplitter()}
        self.unsent = memoryview(command.stdin)
        self.process: subprocess.Popen[bytes] | None = None
        self.family = ProcessFamily(0)
        self.started_at = time.monotonic()
        self.ending = Ending.EXITED
        self.kill_at: float | None = None
        self.killed = False
        self.left_behind = 0

    def start(self) -> None:
        command = self.command
        plan = make_plan(
            command.argv,
            command.env,
            str(command.cwd),
            scratch=command.scratch,
            memory=command.memory,
            pfs=command.pfs,
            shared=command.shared,
            isolate=command.isolates,
        )
        reading, writing = os.pipe()
        try:
            self.process = spawn_launcher(
                plan,
                writing,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
            self.family = ProcessFamily(self.process.pid)
            os.close(writing)
            writing = -1
            with open(reading, "rb", closefd=False) as status:
                reports = [json.loads(line) for line in status]
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        self._check_reports(reports)
        self._register_streams(self.process)

    def _check_reports(self, reports: list[dict[str, object]]) -> None:
        if not reports:
            raise LaunchFailed("the launcher ended without a word", remedy="see the log of the system")
        last = reports[-1]
        if last["stage"] == "ready":
            if self.command.isolates and isinstance(last["namespace"], int):
                self.family.namespace = last["namespace"]
            return
        raise _launch_error(self.command, last)

    def _register_streams(self, process: subprocess.Popen[bytes]) -> None:
        for name, stream in ((STDOUT, process.stdout), (STDERR, process.stderr)):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
                self.selector.register(stream, selectors.EVENT_READ, name)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            self.selector.register(process.stdin, selectors.EVENT_WRITE, "stdin")
        if hasattr(os, "pidfd_open"):
            # Only to wake up at once; whether it has ended is asked for below, on every system.
            with contextlib.suppress(OSError):
                self.selector.register(os.pidfd_open(process.pid), selectors.EVENT_READ, "exit")

    def follow(self) -> ProcessResult:
        while not self._leader_has_exited():
            self._move(self._wait_seconds())
            self._decide()
        self._end_survivors()
        self._drain()
        return self._result()

    def _wait_seconds(self) -> float:
        moments = [time.monotonic() + _ASK_SECONDS]
        if self.kill_at is not None:
            moments.append(self.kill_at)
        elif self.command.timeout_seconds is not None:
            moments.append(self.started_at + self.command.timeout_seconds)
        return max(0.0, min(moments) - time.monotonic())

    def _decide(self) -> None:
        """Begin to end the process when its time is over or a stop is asked for."""
        now = time.monotonic()
        limit = self.command.timeout_seconds
        if self.kill_at is None:
            if limit is not None and now - self.started_at >= limit:
                self._terminate(Ending.TIMED_OUT)
            elif self.should_stop():
                self._terminate(Ending.STOPPED)
        elif now >= self.kill_at and not self.killed:
            self.killed = True
            self.family.signal(signal.SIGKILL)

    def _terminate(self, ending: Ending) -> None:
        self.ending = ending
        self.kill_at = time.monotonic() + self.command.grace_seconds
        self.family.signal(signal.SIGTERM)

    def _leader_has_exited(self) -> bool:
        """Look without reaping: as a zombie the leader keeps the group's id.

        Where there is no waitid (macOS before Python 3.13) it is reaped, and whoever is left of
        the group keeps its id.
        """
        if self.process is None:
            return True
        if not hasattr(os, "waitid"):
            return self.process.poll() is not None
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, options) is not None

    def _end_survivors(self) -> None:
        """End what the leader left behind, with what remains of the grace time."""
        survivors = self.family.survivors()
        settled_at = time.monotonic() + _SETTLE_SECONDS
        while survivors and self.kill_at is None and time.monotonic() < settled_at:
            self._move(0.02)
            survivors = self.family.survivors()
        self.left_behind = len(survivors) if self.kill_at is None else 0
        if survivors and self.kill_at is None:
            self._terminate(self.ending)
        while survivors and self.kill_at is not None:
            self._move(min(0.05, max(0.0, self.kill_at - time.monotonic())))
            survivors = self.family.survivors()
            if survivors and time.monotonic() >= self.kill_at:
                self.family.signal(signal.SIGKILL)
                self.kill_at = time.monotonic() + _ASK_SECONDS
        self.family.signal(signal.SIGKILL)

    def _drain(self) -> None:
        """Read what is left in the pipes; one held elsewhere is given up."""
        give_up_at = time.monotonic() + _DRAIN_SECONDS
        while self._open_outputs() and time.monotonic() < give_up_at:
            self._move(0.05)
        for name, splitter in self.splitters.items():
            self._deliver(name, splitter.finish())

    def _open_outputs(self) -> bool:
        return any(key.data in self.splitters for key in self.selector.get_map().values())

    def _move(self, wait_seconds: float) -> None:
        """Wait for something to happen and move the bytes that can move."""
        for key, _ in self.selector.select(wait_seconds):
            if key.data == "stdin":
                self._send(key)
            elif key.data == "exit":
                self.selector.unregister(key.fileobj)
                os.close(key.fd)
            else:
                self._receive(key)

    def _send(self, key: selectors.SelectorKey) -> None:
        try:
            if self.unsent:
                self.unsent = self.unsent[os.write(key.fd, self.unsent[:_BLOCK_BYTES]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.unsent = memoryview(b"")  # the process does not want to read it: its own affair
        if not self.unsent:
            self._close_stream(key)

    def _receive(self, key: selectors.SelectorKey) -> None:
        try:
            block = os.read(key.fd, _BLOCK_BYTES)
        except BlockingIOError:
            return
        if block:
            self._deliver(key.data, self.splitters[key.data].feed(block))
        else:
            self._close_stream(key)

    def _close_stream(self, key: selectors.SelectorKey) -> None:
        self.selector.unregister(key.fileobj)
        if not isinstance(key.fileobj, int):
            key.fileobj.close()  # type: ignore[attr-defined]  # typeshed: only "has fileno"

    def _deliver(self, stream: str, lines: list[str]) -> None:
        now = self.clock()
        for line in lines:
            self.sink(LogLine(stream, line, now))

    def _result(self) -> ProcessResult:
        code = self.process.wait() if self.process is not None else 0
        seconds = time.monotonic() - self.started_at
        if code >= 0:
            return ProcessResult(self.ending, exit_code=code, seconds=seconds, left_behind=self.left_behind)
        number: signal.Signals | int = -code
        with contextlib.suppress(ValueError):
            number = signal.Signals(-code)
        return ProcessResult(self.ending, signal=number, seconds=seconds, left_behind=self.left_behind)

    def end_now(self) -> None:
        """End everything, without the log: something here has failed."""
        if self.process is None or self.process.returncode is not None:
            return
        self.sink = _ignore
        try:
            self._terminate(Ending.STOPPED)
            while not (self._leader_has_exited() and not self.family.survivors()):
                self._move(0.05)
                self._decide()
        finally:
            # A second Ctrl-C lands here: no more grace.
            self.family.signal(signal.SIGKILL)
            self.process.wait()

    def close(self) -> None:
        for key in list(self.selector.get_map().values()):
            if key.data == "exit":
                os.close(key.fd)
        self.selector.close()
        if self.process is not None:
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()


def _ignore(line: LogLine) -> None:
    """Take a line that nobody will read."""


def _launch_error(command: Command, report: Mapping[str, object]) -> LaunchFailed:
    stage = report["stage"]
    if stage == "isolation":
        return LaunchFailed(
            f"the process could not be isolated: {report['reason']}",
            remedy="run it again; the machine has changed",
        )
    number = int(str(report["number"]))
    reason = os.strerror(number)
    if stage == "working directory":
        return LaunchFailed(
            f"the working directory {command.cwd} cannot be entered: {reason}",
            remedy="make it, or set transform.working_dir",
        )
    program = command.argv[0]
    remedies = {
        errno.ENOENT: "install it or name it with its path; a script also needs the interpreter it names",
        errno.EACCES: "make it executable (chmod +x), or name its interpreter first",
        errno.ENOEXEC: 'begin the script with "#!" and its interpreter, or name the interpreter first',
    }
    return LaunchFailed(
        f"the command {program!r} cannot be run: {reason}",
        remedy=remedies.get(number, "see whether it runs by hand"),
        command=list(command.argv),
    )

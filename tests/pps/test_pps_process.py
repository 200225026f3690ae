"""Real processes: what they say, how they end, and that nothing is left."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from sidegate.pps.errors import LaunchFailed
from sidegate.pps.process import STDERR, STDOUT, Command, Ending, LogLine, ProcessResult, run_process
from sidegate.pps.process_family import ProcessFamily

ENV = {"PATH": os.environ["PATH"]}
MARKER = "SIDEGATE_TEST_MARKER"


def run(
    argv: list[str],
    *,
    env: Mapping[str, str] = ENV,
    cwd: Path = Path("/"),
    should_stop: Callable[[], bool] = lambda: False,
    sink: Callable[[LogLine], None] | None = None,
    **fields: Any,
) -> tuple[ProcessResult, list[tuple[str, str]]]:
    lines: list[LogLine] = []
    command = Command(argv, env, cwd, **{"grace_seconds": 0.4, **fields})
    result = run_process(command, sink or lines.append, should_stop, clock=lambda: 12.5)
    assert all(line.time_seconds == 12.5 for line in lines)
    return result, [(line.stream, line.text) for line in lines]


def shell(script: str, **fields: Any) -> tuple[ProcessResult, list[tuple[str, str]]]:
    return run(["sh"], stdin=script.encode(), **fields)


def python(source: str, **fields: Any) -> tuple[ProcessResult, list[tuple[str, str]]]:
    return run([sys.executable, "-I", "-S", "-c", source], **fields)


def alive(marker: str) -> list[str]:
    """Return the processes whose command line holds a marker."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if marker.encode() in words and int(pid) != os.getpid():
            found.append(words.decode())
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("the condition did not come true in 10 s")
        threading.Event().wait(0.01)


@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_exit_codes(code: int) -> None:
    result, _ = shell(f"exit {code}")
    assert (result.ending, result.exit_code, result.signal) == (Ending.EXITED, code, None)
    assert result.describe() == f"exit code {code}"


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGKILL, "SIGKILL"), (signal.SIGSEGV, "SIGSEGV"), (40, "40")]
)
def test_signals(number: int, words: str) -> None:
    result, _ = python(f"import os; os.kill(os.getpid(), {int(number)})")
    assert (result.ending, result.exit_code, result.signal) == (Ending.EXITED, None, number)
    assert result.describe() == f"killed by {words}"


def test_both_streams_are_captured_apart() -> None:
    _, lines = shell("echo out; echo err >&2; printf part")
    assert [text for stream, text in lines if stream == STDOUT] == ["out", "part"]
    assert [text for stream, text in lines if stream == STDERR] == ["err"]


def test_lines_arrive_while_the_process_runs() -> None:
    seen: list[str] = []
    result, _ = python(
        "print('now', flush=True); import time; time.sleep(60)",
        sink=lambda line: seen.append(line.text),
        should_stop=lambda: bool(seen),
    )
    assert seen == ["now"]
    assert result.ending is Ending.STOPPED


def test_large_input_and_output_flow_at_once() -> None:
    data = b"x" * 99 + b"\n"
    result, lines = run(["cat"], stdin=data * 50_000)
    assert result.exit_code == 0
    assert len(lines) == 50_000
    assert {text for _, text in lines} == {"x" * 99}


def test_a_process_that_reads_no_input() -> None:
    result, lines = run(["echo", "done"], stdin=b"x" * 1_000_000)
    assert (result.exit_code, lines) == (0, [(STDOUT, "done")])


def test_a_process_that_closes_its_output_and_goes_on() -> None:
    result, _ = python("import os, time; os.close(1); os.close(2); time.sleep(0.3); os._exit(7)")
    assert result.exit_code == 7


def test_binary_output_is_shown() -> None:
    _, lines = python("import sys; sys.stdout.buffer.write(bytes(range(128, 132)))")
    assert lines == [(STDOUT, "\\x80\\x81\\x82\\x83")]


def test_environment_is_exactly_what_is_given() -> None:
    environment = {**ENV, "A": "ü\n=", "EMPTY": ""}
    _, lines = python("import os, json; print(json.dumps(dict(os.environ)))", env=environment)
    seen = json.loads(lines[0][1])
    assert {name: seen[name] for name in environment} == environment
    assert set(seen) - set(environment) <= {"LC_CTYPE"}  # Python's own, for the C locale


def test_arguments_that_are_not_utf8_pass_unchanged() -> None:
    _, lines = run(
        [sys.executable, "-I", "-c", "import os, sys; print(os.fsencode(sys.argv[1]))", os.fsdecode(b"\xff")]
    )
    assert lines == [(STDOUT, "b'\\xff'")]


def test_working_directory_and_relative_program(tmp_path: Path) -> None:
    script = tmp_path / "job"
    script.write_text("#!/bin/sh\npwd\n")
    script.chmod(0o755)
    _, lines = run(["./job"], cwd=tmp_path)
    assert lines == [(STDOUT, str(tmp_path))]


def test_signals_are_as_a_program_expects_them() -> None:
    _, lines = python(
        "import re; print(re.findall('Sig(?:Ign|Blk):.([0-9a-f]+)', open('/proc/self/status').read()))",
        env=ENV,
    )
    blocked, ignored = (int(mask, 16) for mask in ast.literal_eval(lines[0][1]))
    # 32 and 33 are glibc's own: what make starts has them ignored, and no program can change that.
    of_glibc = 1 << 31 | 1 << 32
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25) once it runs; nothing else may be ignored.
    assert (blocked, ignored & ~of_glibc) == (0, 1 << 12 | 1 << 24)
    result, _ = shell("yes | head -1; exit 0")
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("argv", "cwd", "words", "remedy"),
    [
        (["no-such-command"], "/", "'no-such-command' cannot be run: No such file", "install it"),
        (["/etc"], "/", "Permission denied", "chmod"),
        (["./missing"], "/", "No such file", "install it"),
        (["true"], "/no/such/folder", "working directory /no/such/folder", "transform.working_dir"),
    ],
)
def test_what_cannot_be_started(argv: list[str], cwd: str, words: str, remedy: str) -> None:
    with pytest.raises(LaunchFailed, match=words) as caught:
        run(argv, cwd=Path(cwd))
    assert remedy in (caught.value.remedy or "")


def test_a_script_without_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "job"
    script.write_text("echo hi\n")
    script.chmod(0o755)
    with pytest.raises(LaunchFailed, match="Exec format error") as caught:
        run([str(script)])
    assert "#!" in (caught.value.remedy or "")


def test_time_out_ends_the_process() -> None:
    result, _ = run(["sleep", "60"], timeout_seconds=0.2)
    assert (result.ending, result.signal) == (Ending.TIMED_OUT, signal.SIGTERM)
    assert result.seconds < 5


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    result, _ = shell("trap '' TERM; sleep 60; sleep 60", timeout_seconds=0.2)
    assert (result.ending, result.signal) == (Ending.TIMED_OUT, signal.SIGKILL)


def test_a_process_may_end_itself_in_the_grace_time() -> None:
    result, lines = shell(
        "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done",
        timeout_seconds=0.5,
        grace_seconds=10,
    )
    assert (result.ending, result.exit_code) == (Ending.TIMED_OUT, 5)
    assert lines[-1] == (STDOUT, "bye")


def test_stop_request() -> None:
    asked = []
    result, _ = run(["sleep", "60"], should_stop=lambda: bool(asked) or asked.append(1) is not None)
    assert (result.ending, result.signal) == (Ending.STOPPED, signal.SIGTERM)


def test_children_are_ended_with_their_parent() -> None:
    marker = f"{MARKER}-{os.getpid()}-children"
    result, _ = shell(
        f"sh -c 'sleep 60; : {marker}' & sh -c 'sleep 60; : {marker}' & wait", timeout_seconds=0.3
    )
    assert result.ending is Ending.TIMED_OUT
    assert alive(marker) == []


def test_background_children_are_ended_when_the_command_ends() -> None:
    marker = f"{MARKER}-{os.getpid()}-background"
    result, lines = shell(
        f"sh -c 'trap \"\" TERM; while sleep 1; do : {marker}; done' & sleep 0.2; echo done"
    )
    assert (result.exit_code, lines) == (0, [(STDOUT, "done")])
    assert result.left_behind >= 1
    assert alive(marker) == []


def test_own_process_groups_of_the_session_are_found() -> None:
    marker = f"{MARKER}-{os.getpid()}-group"
    source = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setpgid(0, 0)\n"
        f"    os.execlp('sh', 'sh', '-c', 'sleep 60; : {marker}')\n"
        "time.sleep(0.2)\n"
    )
    result, _ = python(source)
    assert result.exit_code == 0
    assert alive(marker) == []


def test_a_pipe_that_a_stranger_holds_does_not_hold_us() -> None:
    started = time.monotonic()
    result, lines = run(
        ["sh", "-c", "echo before; exec setsid sh -c 'echo after; exit 0'"],
    )
    assert result.exit_code == 0
    assert ("stdout", "before") in lines
    assert time.monotonic() - started < 5


class Interrupted(KeyboardInterrupt):
    """Stands for Ctrl-C."""


def test_ctrl_c_ends_the_process_and_goes_on() -> None:
    marker = f"{MARKER}-{os.getpid()}-interrupt"
    lines: list[str] = []

    def interrupt() -> bool:
        if lines:
            raise Interrupted
        return False

    with pytest.raises(Interrupted):
        shell(
            f"echo up; sh -c 'sleep 60; : {marker}'",
            should_stop=interrupt,
            sink=lambda line: lines.append(line.text),
        )
    assert alive(marker) == []


def test_a_broken_log_ends_the_process() -> None:
    marker = f"{MARKER}-{os.getpid()}-sink"

    def broken(line: LogLine) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        shell(f"echo up; sh -c 'sleep 60; : {marker}'", sink=broken)
    assert alive(marker) == []


def test_nothing_stays_open() -> None:
    run(["true"])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        shell("echo x")
        with pytest.raises(LaunchFailed):
            run(["no-such-command"])
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_process_dies_with_its_runner() -> None:
    marker = f"{MARKER}-{os.getpid()}-runner"
    source = (
        "import os; from pathlib import Path; from sidegate.pps.process import Command, run_process\n"
        f"script = 'while :; do sleep 1; : {marker}; done'\n"
        "run_process(Command(['sh', '-c', script], dict(os.environ), Path('/')), print)\n"
    )
    runner = subprocess.Popen([sys.executable, "-c", source])
    try:
        wait_until(lambda: any(words.startswith("sh\0") for words in alive(marker)))
    finally:
        runner.kill()
        runner.wait()
    wait_until(lambda: not any(words.startswith("sh\0") for words in alive(marker)))


def test_family_of_a_process_that_is_gone() -> None:
    family = ProcessFamily(leader=2**22 - 1)
    assert family.survivors() == []
    family.signal(signal.SIGTERM)


def test_a_process_is_followed_where_there_is_only_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pidfd_open", "waitid"):
        monkeypatch.delattr(os, name, raising=False)
    result, lines = shell("echo one; echo two >&2; exit 7")
    assert (result.ending, result.exit_code) == (Ending.EXITED, 7)
    assert sorted(lines) == [(STDERR, "two"), (STDOUT, "one")]
    result, _ = python("import time; time.sleep(60)", timeout_seconds=0.2)
    assert result.ending is Ending.TIMED_OUT

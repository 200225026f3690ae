"""The command as a whole: help, exit codes, errors, completion."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from sidegate import errors
from sidegate.cli import exit_codes
from sidegate.cli.commands import Command, Group
from sidegate.cli.exit_codes import BY_ERROR, MEANINGS, ExitCode, exit_code
from sidegate.cli.main import COMMANDS, sidegate
from sidegate.version import VERSION

FIXED_NAMES = """
init run provenance serve doctor version gc fsck completion
repo create,list,inspect,delete branch create,list,inspect,delete
commit create,list,inspect,delete,start,finish file put,get,cat,ls,rm,diff job list,inspect,logs,stop
"""


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from walk(inner, (*path, name))


EVERY = dict(walk(sidegate))
PRINTING = [path for path, command in EVERY.items() if any("--json" in one.opts for one in command.params)]


def spawn(*words: str, **settings: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sidegate", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **settings,  # type: ignore[call-overload]
    )


# -- names and help ----------------------------------------------------------


def test_the_names_that_scripts_rely_on_are_there() -> None:
    words = FIXED_NAMES.split()
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if "," not in word:
            assert word in EVERY
            for name in following.split(",") if "," in following else ():
                assert f"{word} {name}" in EVERY


@pytest.mark.parametrize("path", EVERY)
def test_every_command_has_help_with_examples_that_are_right(bare_run, path: str) -> None:
    shown = bare_run(*path.split(), "--help")
    assert shown.code == 0
    _, found, examples = shown.out.partition("\nExamples:\n")
    assert found
    lines = [line.strip() for line in examples.partition("\n\n")[0].splitlines() if line.strip()]
    mine = [line for line in lines if f"sidegate {path}".strip() in line]
    assert mine
    for line in lines:
        called = re.search(r"sidegate ((?:[a-z][a-z0-9]* ?)+)", line)
        assert called is not None, line
        words = called[1].split()
        assert words[0] in COMMANDS, line
        if words[0] in ("repo", "branch", "commit", "file", "job", "bench"):
            assert " ".join(words[:2]) in EVERY, line
        for option in re.findall(r"(?<= )--?[a-z][a-z-]*", line.partition("|")[0]):
            depth = 2 if " ".join(words[:2]) in EVERY else 1
            known = {name for one in EVERY[" ".join(words[:depth])].params for name in one.opts}
            assert option in known or "pg_dump" in line, line


@pytest.mark.parametrize("path", EVERY)
def test_every_command_says_what_it_does_in_a_line(path: str) -> None:
    command = EVERY[path]
    assert isinstance(command, Command | Group)
    assert command.help
    assert not command.get_short_help_str(limit=70).endswith("...")


@pytest.mark.parametrize("path", EVERY)
def test_every_command_takes_the_store(path: str) -> None:
    assert [one for one in EVERY[path].params if "--store" in one.opts]


def test_every_command_that_prints_data_has_json() -> None:
    plain = {"file cat", "completion", "repo delete", "branch delete", "commit delete", "job stop"}
    commands = {path for path, command in EVERY.items() if not isinstance(command, click.Group)}
    assert set(PRINTING) == commands - plain


@pytest.mark.parametrize("words", [[], ["repo"], ["file"]])
def test_a_command_alone_shows_help(bare_run, words: list[str]) -> None:
    shown = bare_run(*words)
    assert (shown.code, shown.out) == (ExitCode.USAGE, "")
    assert shown.err.startswith("Usage: sidegate")


# -- exit codes ----------------------------------------------------------------


def test_every_code_is_documented_in_help(bare_run) -> None:
    shown = bare_run("--help").out.partition("Exit codes:")[2]
    assert {int(line.split()[0]) for line in shown.splitlines() if line.strip()} == {*ExitCode}
    assert set(MEANINGS) == {*ExitCode}


ERRORS = {
    "NotFound": 3,
    "AlreadyExists": 4,
    "Conflict": 4,
    "Precondition": 4,
    "Invalid": 2,
    "Corrupt": 5,
    "Unavailable": 1,
    "Unsupported": 2,
    "Denied": 4,
    "SidegateError": 1,
}


@pytest.mark.parametrize(("name", "code"), ERRORS.items())
def test_every_error_has_its_code(name: str, code: int) -> None:
    assert exit_code(getattr(errors, name)("x")) == code


def test_no_error_of_the_tree_is_forgotten() -> None:
    tree = {errors.SidegateError, *errors.SidegateError.__subclasses__()}
    own = {kind for kind in tree if kind.__module__ == errors.__name__}
    assert {kind.__name__ for kind in own} == set(ERRORS)
    assert {kind for kind, _ in BY_ERROR} == own
    assert exit_codes.BY_ERROR[-1][0] is errors.SidegateError


# -- errors ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rpeo"], "there is no command 'rpeo'; did you mean 'repo'?"),
        (["repo", "crate"], "there is no command 'crate'; did you mean 'create'?"),
        (["repo", "xyzzy"], "there are create, list, inspect, delete; see `sidegate repo --help`"),
        (["repo", "list", "--jsn"], "No such option '--jsn'"),
        (["repo", "create"], "Missing argument 'REPO'; see `sidegate repo create --help`"),
        (["version", "x"], "unexpected extra argument (x); see `sidegate version --help`"),
        (["completion", "csh"], "'csh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_bad_usage_is_one_line_with_the_way_out(bare_run, words: list[str], message: str) -> None:
    outcome = bare_run(*words)
    assert (outcome.code, outcome.out) == (ExitCode.USAGE, "")
    assert message in outcome.error
    assert len(outcome.err.splitlines()) == 1


class Broken(Exception):
    """What nobody expects."""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            Broken("two\nlines"),
            70,
            "this is a bug in sidegate: Broken: two lines; run again with SIDEGATE_TRACEBACK=1",
        ),
        (OSError(28, "No space left on device", "packs/1"), 1, "No space left on device: 'packs/1'"),
        (OSError("odd"), 70, "this is a bug in sidegate: OSError: odd"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            errors.Corrupt("chunk \x1b[1m is lost", remedy="run `sidegate fsck`"),
            5,
            "chunk \\x1b[1m is lost; run `sidegate",
        ),
        (BrokenPipeError(32, "Broken pipe"), 141, None),
    ],
)
def test_what_ends_a_command_is_said_in_one_line(
    bare_run, monkeypatch, error: BaseException, code: int, message: str | None
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("sidegate.native.describe", fail)
    monkeypatch.setattr("sidegate.cli.main._silence", lambda: None)
    outcome = bare_run("version")
    assert (outcome.code, outcome.out) == (code, "")
    if message is None:
        assert outcome.err == ""
    else:
        assert outcome.error.startswith(message)
        assert "Traceback" not in outcome.err


def test_a_traceback_is_shown_when_asked_for(bare_run, monkeypatch) -> None:
    def fail() -> None:
        raise Broken

    monkeypatch.setattr("sidegate.native.describe", fail)
    monkeypatch.setenv("SIDEGATE_TRACEBACK", "1")
    outcome = bare_run("version")
    assert outcome.code == 70
    assert "Traceback" in outcome.err
    assert "in fail" in outcome.err


# -- as a process of its own -------------------------------------------------


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    with spawn("version", "--json", cwd=tmp_path) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert f'"version": "{VERSION}"'.encode() in out


def test_help_and_version_load_neither_database_nor_drawing() -> None:
    script = (
        "import sys\n"
        "from sidegate.cli.main import sidegate\n"
        "for words in (['--help'], ['version'], ['file', 'put', '--help']):\n"
        "    try: sidegate.main(words)\n"
        "    except SystemExit: pass\n"
        "known = {'sqlalchemy', 'alembic', 'rich', 'uvloop', 'asyncio', 'awscrt', 'yaml'}\n"
        "heavy = known & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_goes_away_ends_it_quietly(run, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(range(256)) * 8192)
    run("file", "put", "big", "labs")
    with spawn("file", "cat", "labs:/big", cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(30) == ExitCode.PIPE_CLOSED
        assert process.stderr.read() == b""


def test_ctrl_c_ends_it_with_a_line(run, tmp_path: Path) -> None:
    with spawn("file", "put", "-", "labs:/x", cwd=tmp_path, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"1" * 100)
        process.stdin.flush()
        locks = tmp_path / ".sidegate/locks"
        deadline = time.monotonic() + 30
        while not any(locks.glob("*")) and time.monotonic() < deadline:
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (ExitCode.INTERRUPTED, b"")
    assert err.strip() == b"error: interrupted"
    assert run("branch", "list", "--json").rows == []


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_terminal_that_cannot_show_a_name_still_gets_the_data(run, tmp_path: Path, encoding: str) -> None:
    run("file", "put", "-", "labs:/é", stdin=b"1")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    with spawn("file", "ls", "labs", "--json", cwd=tmp_path, env=environment) as process:
        out, _ = process.communicate()
    assert (b'"\\u00e9"' if encoding == "ascii" else '"é"'.encode()) in out
    with spawn("file", "ls", "labs", cwd=tmp_path, env=environment) as process:
        out, _ = process.communicate()
    assert process.returncode == 0


# -- completion --------------------------------------------------------------


@pytest.mark.parametrize(
    ("shell", "word"),
    [("bash", "complete -o"), ("zsh", "#compdef sidegate"), ("fish", "complete --no-files")],
)
def test_completion_prints_a_script(bare_run, shell: str, word: str) -> None:
    shown = bare_run("completion", shell)
    assert shown.code == 0
    assert word in shown.out
    assert "_SIDEGATE_COMPLETE" in shown.out


@pytest.mark.parametrize(
    ("line", "offered"),
    [("sidegate re", "repo"), ("sidegate file p", "put"), ("sidegate file ls la", "labs")],
)
def test_completion_offers_commands_and_repos(run, tmp_path: Path, line: str, offered: str) -> None:
    asked = {
        "_SIDEGATE_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }
    with spawn(cwd=tmp_path, env={**os.environ, **asked}) as process:
        out, err = process.communicate()
    assert out.decode().splitlines() == [f"plain,{offered}"], err


def test_completion_is_silent_without_a_store(tmp_path: Path) -> None:
    asked = {"_SIDEGATE_COMPLETE": "bash_complete", "COMP_WORDS": "sidegate file ls x", "COMP_CWORD": "3"}
    with spawn(cwd=tmp_path, env={**os.environ, **asked}) as process:
        out, err = process.communicate()
    assert (out.strip(), err) == (b"", b"")

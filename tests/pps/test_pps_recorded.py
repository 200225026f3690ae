"""What a run's record says."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from blake3 import blake3

from sidegate.pps.recorded import record_run

ENV = {"PATH": os.environ["PATH"]}


def test_arguments_files_and_input(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_bytes(b"print(1)\n")
    (tmp_path / "lib").mkdir()
    absolute = tmp_path / "tool.sh"
    absolute.write_bytes(b"echo\n")
    argv = ["python3", "job.py", str(absolute), "--x=job.py", "lib", "missing.py", "a\0b", "job.py"]
    run = record_run(argv, b"cat job.py | sort\n", tmp_path, "img:1", ENV)
    assert run.argv == tuple(argv)
    assert [(file.path, file.size_bytes) for file in run.files] == [
        (str(tmp_path / "job.py"), 9),
        (str(absolute), 5),
    ]
    assert run.files[0].blake3 == blake3(b"print(1)\n").hexdigest()
    assert run.stdin_blake3 == blake3(b"cat job.py | sort\n").hexdigest()
    assert run.program is not None
    assert run.image == "img:1"
    assert run.working_directory == str(tmp_path)
    assert json.loads(json.dumps(run.as_document()))["argv"] == argv


@pytest.mark.parametrize(
    "stdin",
    [b"python3 job.py\n", b"set -x && ./job.py>log\n", b'broken \'quote\ncat "job.py";\n', b"\xff\njob.py"],
)
def test_scripts_that_the_input_names(tmp_path: Path, stdin: bytes) -> None:
    (tmp_path / "job.py").write_bytes(b"x")
    run = record_run(["sh"], stdin, tmp_path, None, ENV)
    assert [Path(file.path).name for file in run.files] == ["job.py"]


def test_no_input_no_program_no_git(tmp_path: Path) -> None:
    run = record_run(["no-such-program"], b"", tmp_path, None, ENV)
    assert (run.program, run.stdin_blake3, run.files, run.git) == (None, None, (), None)


def test_without_git(tmp_path: Path) -> None:
    assert record_run(["sh"], b"", tmp_path, None, {"PATH": str(tmp_path)}).git is None


def test_git_commit_and_changes(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    assert record_run(["sh"], b"", tmp_path, None, ENV).git is None
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "a")
    found = record_run(["sh"], b"", tmp_path, None, ENV).git
    assert found is not None
    assert (found.commit, found.dirty) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "a").write_text("2")
    found = record_run(["sh"], b"", tmp_path, None, ENV).git
    assert found is not None
    assert found.dirty

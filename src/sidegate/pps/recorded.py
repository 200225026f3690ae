"""What was run, so that an auditor can say what an output was made by.

Looks at the argument vector, the files that it and the standard input name,
and the version control of the working directory. Runs nothing but `git`, and
never fails a job: what cannot be found out is left out.
"""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from sidegate.version import VERSION

_HASHED_FILE_BYTES = 256 * 1024 * 1024
"""A script is small; a larger file that a command names is data."""
_GIT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file that the command names; BLAKE3 of its bytes in hex."""

    path: str
    size_bytes: int
    blake3: str


@dataclass(frozen=True, slots=True)
class RecordedGit:
    """The commit that the working directory is at; `dirty` if it differs."""

    commit: str
    dirty: bool


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What a job ran and where."""

    argv: tuple[str, ...]
    program: str | None
    stdin_blake3: str | None
    files: tuple[RecordedFile, ...]
    working_directory: str
    git: RecordedGit | None
    image: str | None
    sidegate: str
    python: str
    platform: str

    def as_document(self) -> dict[str, object]:
        """Return the record as JSON values."""
        return {
            "argv": list(self.argv),
            "program": self.program,
            "stdin_blake3": self.stdin_blake3,
            "files": [{"path": f.path, "size": f.size_bytes, "blake3": f.blake3} for f in self.files],
            "working_directory": self.working_directory,
            "git": None if self.git is None else {"commit": self.git.commit, "dirty": self.git.dirty},
            "image": self.image,
            "sidegate": self.sidegate,
            "python": self.python,
            "platform": self.platform,
        }


def record_run(
    argv: Sequence[str], stdin: bytes, cwd: Path, image: str | None, env: Mapping[str, str]
) -> RecordedRun:
    """Record what is about to run in `cwd` with the variables `env`."""
    return RecordedRun(
        argv=tuple(argv),
        program=shutil.which(argv[0], path=env.get("PATH")) if argv else None,
        stdin_blake3=blake3(stdin).hexdigest() if stdin else None,
        files=tuple(_named_files([*argv, *_words(stdin)], cwd)),
        working_directory=str(cwd),
        git=_find_git(cwd, env),
        image=image,
        sidegate=VERSION,
        python=platform.python_version(),
        platform=platform.platform(),
    )


def _words(stdin: bytes) -> Iterator[str]:
    """Yield the words of a script on standard input, as a shell reads them."""
    for line in stdin.decode("utf-8", "replace").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            yield from lexer
        except ValueError:
            continue  # an open quote: this is not a line of shell


def _named_files(words: Sequence[str], cwd: Path) -> Iterator[RecordedFile]:
    for word in dict.fromkeys(words):
        try:
            path = cwd / word
            if not path.is_file() or path.stat().st_size > _HASHED_FILE_BYTES:
                continue
            hasher = blake3()
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    hasher.update(block)
        except (OSError, ValueError):
            continue
        yield RecordedFile(str(path), path.stat().st_size, hasher.hexdigest())


def _find_git(cwd: Path, env: Mapping[str, str]) -> RecordedGit | None:
    commit = _git(cwd, env, "rev-parse", "HEAD")
    if not commit:
        return None
    status = _git(cwd, env, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    return RecordedGit(commit.strip(), dirty=status is None or bool(status.strip()))


def _git(cwd: Path, env: Mapping[str, str], *arguments: str) -> str | None:
    environment = {**env, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(cwd), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None

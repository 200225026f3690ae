"""The exit codes of the command, and which error gives which: one table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from sidegate.errors import (
    AlreadyExists,
    Conflict,
    Corrupt,
    Denied,
    Invalid,
    NotFound,
    Precondition,
    SidegateError,
    Unavailable,
    Unsupported,
)


class ExitCode(IntEnum):
    """How a command ended."""

    SUCCESS = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    CORRUPT = 5
    BUG = 70  # EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it
    PIPE_CLOSED = 141  # 128 + SIGPIPE


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.SUCCESS: "success",
    ExitCode.FAILED: "the job failed, or something could not be done",
    ExitCode.USAGE: "bad usage, a bad value, or a refused pipeline spec",
    ExitCode.NOT_FOUND: "no such repo, branch, commit, file, job or store",
    ExitCode.REFUSED: "not allowed, in use, or there already",
    ExitCode.CORRUPT: "the store is damaged",
    ExitCode.BUG: "a bug in sidegate",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
    ExitCode.PIPE_CLOSED: "the reader of the output went away",
}

BY_ERROR: tuple[tuple[type[SidegateError], ExitCode], ...] = (
    (NotFound, ExitCode.NOT_FOUND),
    (AlreadyExists, ExitCode.REFUSED),
    (Conflict, ExitCode.REFUSED),
    (Precondition, ExitCode.REFUSED),
    (Denied, ExitCode.REFUSED),
    (Invalid, ExitCode.USAGE),
    (Unsupported, ExitCode.USAGE),
    (Corrupt, ExitCode.CORRUPT),
    (Unavailable, ExitCode.FAILED),
    (SidegateError, ExitCode.FAILED),
)


def exit_code(error: SidegateError) -> ExitCode:
    """Return the code of the first row whose class the error is of."""
    return next(code for kind, code in BY_ERROR if isinstance(error, kind))

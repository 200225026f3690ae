"""Local files: what lies under a folder of this machine, to be taken in.

Nothing is skipped in silence: a thing that is neither file nor folder, a link
that leads nowhere or in a circle, and a name that no store path can hold are
refused; what is left out on purpose is reported.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sidegate.errors import Invalid, NotFound, Unavailable
from sidegate.pfs.paths import PathRefused, check_path


class LocalFileRefused(Invalid):
    """A local thing cannot be taken in, or would be written where it must not."""


class LocalFileMissing(NotFound):
    """A local file or folder is not there."""


class LocalFileFailed(Unavailable):
    """The operating system could not read or write a local file."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to take in, and the path that it gets."""

    source: Path
    path: str
    size_bytes: int


@dataclass(slots=True)
class Findings:
    """What a walk found; `left_out` says what is not taken in, and why."""

    files: list[LocalFile] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder on the way, with the identities of it and all above it."""

    source: Path
    path: str
    ancestors: frozenset[tuple[int, int]]


def walk_folder(folder: Path, prefix: str, *, leave_out: Path | None = None) -> Findings:
    """Find every file under `folder`, by name; each gets a path below `prefix`.

    Links are followed.  `leave_out` is a folder that is not entered: the store
    itself.  Raises LocalFileRefused, LocalFileFailed before anything is read.
    """
    findings = Findings()
    status = stat_source(folder)
    waiting = [_Folder(folder, prefix, frozenset({_identity(status)}))]
    hidden = _identity(stat_source(leave_out)) if leave_out is not None else None
    if _identity(status) == hidden:
        raise LocalFileRefused(f"{str(folder)!r} is the store itself", path=str(folder))
    while waiting:
        current = waiting.pop()
        with reading(current.source):
            names = sorted(os.listdir(current.source))
        if not names:
            findings.left_out.append(f"{current.source} is empty, and only files are kept")
        inner = [found for name in names if (found := _visit(current, name, hidden, findings)) is not None]
        waiting.extend(reversed(inner))
    return findings


def _visit(parent: _Folder, name: str, hidden: tuple[int, int] | None, findings: Findings) -> _Folder | None:
    """Add a file to the findings, or return the folder to walk next."""
    source = parent.source / name
    path = f"{parent.path}/{name}" if parent.path else name
    status = stat_source(source)
    if not stat.S_ISDIR(status.st_mode):
        findings.files.append(local_file(source, path, status))
        return None
    identity = _identity(status)
    if identity == hidden:
        findings.left_out.append(f"{source} is the store itself")
        return None
    if identity in parent.ancestors:
        raise LocalFileRefused(
            f"{str(source)!r} links back to a folder above it", remedy="remove the link", path=str(source)
        )
    return _Folder(source, path, parent.ancestors | {identity})


def local_file(source: Path, path: str, status: os.stat_result) -> LocalFile:
    """Return the file to take in; raises LocalFileRefused for what is not a file."""
    if not stat.S_ISREG(status.st_mode):
        raise LocalFileRefused(
            f"{str(source)!r} is {_describe_kind(status.st_mode)}, not a file",
            remedy="leave it out",
            path=str(source),
        )
    try:
        return LocalFile(source, check_path(path), status.st_size)
    except PathRefused as error:
        raise LocalFileRefused(
            f"{str(source)!r} cannot be taken in: its {error.message}",
            remedy="rename it",
            path=str(source),
        ) from None


def stat_source(source: Path) -> os.stat_result:
    """Return what a path leads to, links followed; raises LocalFileMissing, LocalFileRefused."""
    try:
        with reading(source):
            return os.stat(source)
    except LocalFileMissing:
        if not source.is_symlink():
            raise
        raise LocalFileRefused(
            f"{str(source)!r} is a link to {os.readlink(source)!r}, which is not there",
            remedy="mend or remove the link",
            path=str(source),
        ) from None


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Turn what the operating system refuses while reading into our own errors."""
    with _translated("read", source):
        yield


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn what the operating system refuses while writing into our own errors."""
    with _translated("write", target):
        yield


@contextmanager
def _translated(verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise LocalFileMissing(
            f"there is no local file or folder {str(path)!r}", remedy="check the path", path=str(path)
        ) from None
    except OSError as error:
        raise LocalFileFailed(
            f"cannot {verb} {str(path)!r}: {error.strerror or error}", path=str(path)
        ) from error


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _describe_kind(mode: int) -> str:
    kinds = (
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISCHR, "a character device"),
    )
    return next((words for test, words in kinds if test(mode)), "something else")

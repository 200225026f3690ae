"""A file that is written anew: what was there stays until all of the new one is on the disk.

Where nothing can be put in its place, a pipe or the terminal, it is written to.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_IN_PLACE: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY})
"""Nothing may be made in the folder, or the file is mounted by itself: only it can be written to."""


def write_text(path: Path, text: str) -> None:
    """Write a file, replacing what was there: all of it or nothing.  Raises OSError.

    Its permissions stay, and a link still leads to it. What is no regular file is written to,
    as is one in a folder that nothing can be added to; where stdout or stderr goes to the
    file, it comes after what was printed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    found = _status(path)
    stream = None if found is None else _stream_to(found)
    if stream is not None:
        # Behind what was printed, which an opening of its own would overwrite, or be overwritten by.
        with open(os.dup(stream), "w", encoding="utf-8") as file:
            file.write(text)
        return
    if found is None or _is_replaceable(path, found):
        target = path.resolve()
        partial = target.with_name(f".sidegate-{secrets.token_hex(6)}.partial")
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno not in _IN_PLACE:
                raise
        else:
            if _replace(descriptor, partial, target, text, found):
                return
    path.write_text(text, encoding="utf-8")


def _replace(descriptor: int, partial: Path, target: Path, text: str, found: os.stat_result | None) -> bool:
    """Write beside the target, then take its place; whether that can be done."""
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if found is not None:
                with suppress(OSError):  # only root gives files away
                    os.fchown(descriptor, found.st_uid, found.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
            os.fsync(descriptor)
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in _IN_PLACE:
            return False
        raise
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return True


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _is_replaceable(path: Path, found: os.stat_result) -> bool:
    """Whether another file can take the place of this one and be found by who looks for it."""
    return stat.S_ISREG(found.st_mode) and path.absolute().parts[:2] not in (("/", "dev"), ("/", "proc"))


def _stream_to(found: os.stat_result) -> int | None:
    """Return the descriptor of stdout or stderr if it is what goes to a regular file."""
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError):  # closed
            if stream is not None and stat.S_ISREG(found.st_mode):
                stream.flush()
                if os.path.samestat(found, os.fstat(stream.fileno())):
                    return stream.fileno()
    return None

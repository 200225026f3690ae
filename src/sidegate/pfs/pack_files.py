"""The files of packs: where they are, whether somebody writes to one, how it reaches the disk.

Knows nothing of what is in them.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from sidegate.pfs.disk import sync_data


def pack_path(directory: Path, name: str) -> Path:
    """Return the file of the pack called `name` (32 hex digits)."""
    return directory / name[:2] / f"{name}.pack"


def sync_entry(path: Path) -> None:
    """Make a new file's name, and its folder's, survive the machine."""
    for directory in (path.parent, path.parent.parent):
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def written_us(path: Path) -> int:
    """Return when a pack was last written to, in microseconds; 0 for a missing one."""
    try:
        return path.stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return 0


def is_abandoned(path: Path) -> bool:
    """Whether the writer of a pack is gone, or done with it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def sync_pack(path: Path) -> None:
    """Return once what any process wrote to a pack is on disk; a missing one is fine."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        sync_data(fd)
    finally:
        os.close(fd)
    sync_entry(path)

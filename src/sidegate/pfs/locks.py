"""Locks that say who is still there: files held by `flock`.

The kernel lets go of a lock when its last holder ends, however it ends, so a
free lock means that the owner is gone.  Knows nothing of what is locked.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidegate.errors import Conflict


class LockDirectory:
    """Named locks of one store; a child process made by fork holds them too."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def acquire(self, name: str) -> None:
        """Take a lock; raises Conflict when it is held, by this process or another."""
        self._directory.mkdir(exist_ok=True)
        path = self._directory / name
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            if not _try_lock(fd):
                os.close(fd)
                raise Conflict(f"{name!r} is locked by another process", remedy="try again later", lock=name)
            if _is_named(fd, path):
                break
            os.close(fd)  # its holder removed the file while letting go
        with self._lock:
            self._held[name] = fd

    def release(self, name: str) -> None:
        """Let go of a lock that this process took; no matter if it did not."""
        with self._lock:
            fd = self._held.pop(name, None)
        if fd is not None:
            (self._directory / name).unlink(missing_ok=True)
            os.close(fd)

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Hold a lock for a while; raises Conflict."""
        self.acquire(name)
        try:
            yield
        finally:
            self.release(name)

    def is_free(self, name: str) -> bool:
        """Whether nobody holds the lock."""
        try:
            fd = os.open(self._directory / name, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            return _try_lock(fd)
        finally:
            os.close(fd)

    def remove_free(self, name: str) -> bool:
        """Remove what a dead owner left; returns whether it did."""
        if not self.is_free(name):
            return False
        (self._directory / name).unlink(missing_ok=True)
        return True

    def names(self) -> list[str]:
        """Return the names of all locks, held or left behind."""
        if not self._directory.exists():
            return []
        return sorted(path.name for path in self._directory.iterdir())

    def close(self) -> None:
        """Let go of every lock."""
        for name in list(self._held):
            self.release(name)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_named(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False

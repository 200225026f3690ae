"""The disk under a store: what it refuses, as errors a person can act on, and what Python cannot ask it."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from sidegate.errors import Denied, SidegateError, Unavailable
from sidegate.scheduling import give_way


class StorageFull(Unavailable):
    """The disk that holds the store has no room left."""


def storage_full() -> StorageFull:
    """Return the error for a full disk."""
    return StorageFull(
        "the disk that holds the store is full",
        remedy="free space there, then try again; nothing stored is lost",
    )


def storage_read_only() -> Denied:
    """Return the error for a store that cannot be written."""
    return Denied(
        "the store cannot be written: its disk is read-only or its files belong to someone else",
        remedy="mount it writable, or change the owner of the store's folder",
    )


def too_many_open() -> Unavailable:
    """Return the error for a process, or a system, that may open nothing more."""
    return Unavailable(
        "too many files and connections are open",
        remedy="try again; allow more with `ulimit -n` where `sidegate doctor` says that there are few",
    )


def explain_os_error(error: OSError) -> SidegateError | None:
    """Return what an error of the operating system means, None for others."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return storage_full()
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return storage_read_only()
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return too_many_open()
    return None


@contextmanager
def explained_disk_errors() -> Iterator[None]:
    """Raise StorageFull, Denied or Unavailable for what the disk refuses in the block."""
    try:
        yield
    except OSError as error:
        explained = explain_os_error(error)
        if explained is None:
            raise
        try:
            raise explained from error
        finally:
            del explained  # its traceback keeps this frame, and whatever the block had in memory


def sync_data(fd: int) -> None:
    """Return once a file's bytes are on disk; raises OSError.

    Where there is no fdatasync (macOS) its times are written too.
    """
    if hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:
        os.fsync(fd)


_ZEROS_AT_ONCE_BYTES = 64 << 10


def find_room(fd: int, offset: int, size_bytes: int) -> None:
    """Have a file take up room behind its end, at `offset`; raises OSError.

    Where there is no posix_fallocate (macOS) zeros are written.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, offset, size_bytes)
        return
    end = offset + size_bytes
    while offset < end:
        offset += os.pwrite(fd, bytes(min(_ZEROS_AT_ONCE_BYTES, end - offset)), offset)


_SYNC_FILE_RANGE_WAIT_BEFORE, _SYNC_FILE_RANGE_WRITE = 1, 2  # linux/fs.h


_BEGUN_AT_ONCE_BYTES = 1 << 20  # 60 us, in which a kernel that is not preempted keeps the core


_UNDER_WAY_BYTES = 2 << 20
"""What is written at a time of a file that nobody waits for: whoever syncs meanwhile waits for that."""


def begin_writing(fd: int, *, paced: bool = False) -> bool:
    """Have the kernel begin to write a file's changed pages: sync_file_range(2).

    Promises nothing of when they are on disk.  `paced`: waits for what was begun before, so that the
    disk is not given all at once; the descriptor must be of an opening of its own, because an error
    that it tells here is not told again by a sync.  False where there is no such call.  Raises OSError.
    """
    call = _sync_file_range()
    if call is None:
        return False
    for offset in range(0, os.fstat(fd).st_size, _BEGUN_AT_ONCE_BYTES):
        begun = call(fd, offset, _BEGUN_AT_ONCE_BYTES, _SYNC_FILE_RANGE_WRITE)
        if begun == 0 and paced and offset >= _UNDER_WAY_BYTES:
            earlier = offset - _UNDER_WAY_BYTES
            begun = call(fd, earlier, _BEGUN_AT_ONCE_BYTES, _SYNC_FILE_RANGE_WAIT_BEFORE)
        if begun != 0:
            number = ctypes.get_errno()
            if number in (errno.ENOSYS, errno.EINVAL, errno.ESPIPE):
                return False
            raise OSError(number, os.strerror(number))
        give_way()
    return True


def open_descriptor(path: Path) -> int | None:
    """Return a descriptor by which this process has a file open already, None where that cannot be known.

    For files whose locks go when any descriptor of theirs is closed (fcntl(2)): one that was opened
    anew could never be.  Whoever has it open may close it at any time.
    """
    try:
        names = os.listdir("/proc/self/fd")
    except FileNotFoundError:
        return None
    wanted = str(path)
    for name in names:
        with suppress(FileNotFoundError):  # closed meanwhile, as that of the listing is
            if os.readlink(f"/proc/self/fd/{name}") == wanted:
                return int(name)
    return None


@cache
def _sync_file_range() -> Any:
    """Return the C library's function, None where it has none (only Linux does)."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call

"""What the disk under a store refuses, as errors a person can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sidegate.errors import Denied, SidegateError, Unavailable


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


def explain_os_error(error: OSError) -> SidegateError | None:
    """Return what an error of the operating system means, None for others."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return storage_full()
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return storage_read_only()
    return None


@contextmanager
def explained_disk_errors() -> Iterator[None]:
    """Raise StorageFull or Denied for what the disk refuses in the block."""
    try:
        yield
    except OSError as error:
        explained = explain_os_error(error)
        if explained is None:
            raise
        raise explained from error

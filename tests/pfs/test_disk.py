"""A disk that is full or read-only is named, and nothing stored is lost."""

from __future__ import annotations

import errno
import os
import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from pfs.samples import commit_files, content, noise, put
from sidegate.errors import Denied, SidegateError, Unavailable
from sidegate.pfs.catalog.database import _explain
from sidegate.pfs.checking import check
from sidegate.pfs.disk import StorageFull, explain_os_error
from sidegate.pfs.store import Store


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, Denied),
        (errno.EACCES, Denied),
        (errno.EMFILE, Unavailable),
        (errno.ENFILE, Unavailable),
    ],
)
def test_errors_of_the_system_are_explained(number: int, kind: type[SidegateError]) -> None:
    explained = explain_os_error(OSError(number, "refused"))
    assert isinstance(explained, kind)
    assert explained.remedy


def test_other_errors_are_not() -> None:
    assert explain_os_error(OSError(errno.EBADF, "bad")) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("database or disk is full", StorageFull),
        ("disk I/O error", StorageFull),
        ("attempt to write a readonly database", Denied),
        ("unable to open database file", Denied),
    ],
)
def test_errors_of_the_catalog_are_explained(text: str, kind: type[SidegateError]) -> None:
    assert isinstance(_explain(OperationalError("statement", {}, sqlite3.OperationalError(text))), kind)


def test_a_full_disk_stops_a_write_and_harms_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = commit_files(store, "labs", {"a": b"1"})

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", refuse)
        with pytest.raises(StorageFull, match="is full"):
            put(store, noise(100_000, "large"))
    record = store.tree(commit).get("a")
    assert record is not None
    assert content(store, record) == b"1"
    assert check(store).clean
    put(store, noise(100_000, "large"))

"""Bytes put aside on disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sidegate.errors import Unavailable
from sidegate.pfs.aside import Aside
from sidegate.pfs.disk import StorageFull


def test_bytes_come_back_in_order_and_once(tmp_path: Path) -> None:
    aside = Aside(tmp_path)
    aside.append([b"one", memoryview(b"two")])
    aside.append([b"", bytearray(b"three")])
    assert b"".join(aside.take()) == b"onetwothree"
    assert aside.take() == []
    aside.append([b"again"])
    assert b"".join(aside.take()) == b"again"
    aside.close()
    aside.close()


def test_it_leaves_no_file(tmp_path: Path) -> None:
    aside = Aside(tmp_path)
    aside.append([b"x" * 1000])
    assert list(tmp_path.iterdir()) == []
    aside.close()


def test_short_writes_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: write(fd, bytes(data)[:7], offset))
    aside = Aside(tmp_path)
    aside.append([b"x" * 20, b"y" * 20])
    assert b"".join(aside.take()) == b"x" * 20 + b"y" * 20


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    aside = Aside(tmp_path)
    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises(StorageFull):
        aside.append([b"x"])


def test_bytes_that_are_gone_are_told(tmp_path: Path) -> None:
    aside = Aside(tmp_path)
    aside.append([b"x" * 100])
    os.ftruncate(aside._file.fileno(), 10)
    with pytest.raises(Unavailable, match="10 of 100"):
        aside.take()

"""Packs open for reading: each once, closed when removed or in the way, never while they are read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pfs.samples import noise
from sidegate.errors import Unavailable
from sidegate.pfs import open_packs as open_packs_module
from sidegate.pfs.open_packs import OpenPacks
from sidegate.pfs.pack_files import pack_path
from sidegate.pfs.packs import PackFile, PackMissing

NAMES = [f"{number:032x}" for number in range(12)]


class Keeper(list[PackFile]):
    """Remembers packs until it is told to forget."""

    __hash__ = object.__hash__


@pytest.fixture
def packs(tmp_path: Path) -> OpenPacks:
    for number, name in enumerate(NAMES):
        path = pack_path(tmp_path, name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(noise(100, number))
    return OpenPacks(tmp_path)


@pytest.fixture
def keeper(packs: OpenPacks) -> Keeper:
    keeper = Keeper()
    packs.add_rememberer(keeper)
    return keeper


def allow(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let a process have so many packs open before it forgets."""
    monkeypatch.setattr(open_packs_module, "packs_that_fit", lambda: count)


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:  # EBADF
        return False
    return True


def test_a_pack_is_opened_once_however_many_have_it(
    packs: OpenPacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_packs_module, "OPEN_PACKS", 1)
    held = [packs.get(name) for name in NAMES]
    assert [packs.get(name) for name in NAMES] == held
    assert all(packs.get(name) is pack for name, pack in zip(NAMES, held, strict=True))
    assert len(packs) == len(NAMES)
    del held
    assert len(packs) == 1


def test_a_missing_pack_is_named(packs: OpenPacks) -> None:
    with pytest.raises(PackMissing, match="fff"):
        packs.get("f" * 32)


def test_a_removed_pack_is_closed_once_nobody_reads_it(packs: OpenPacks, keeper: Keeper) -> None:
    for name in NAMES[:3]:
        keeper.append(packs.get(name))
    reading = packs.get(NAMES[0])
    descriptors = [pack.fd for pack in keeper]
    assert packs.drop_removed() == 0
    assert len(keeper) == 3
    for name in NAMES[:2]:
        reading.path.with_name(f"{name}.pack").unlink()
    assert packs.drop_removed() == 2
    assert [is_open(descriptor) for descriptor in descriptors] == [True, False, False]
    assert reading.read(0, 100) == noise(100, 0)
    del reading
    assert not is_open(descriptors[0])
    with pytest.raises(PackMissing):
        packs.get(NAMES[0])
    assert packs.get(NAMES[2]).read(0, 100) == noise(100, 2)


def test_a_pack_about_to_be_removed_is_let_go(packs: OpenPacks) -> None:
    descriptor = packs.get(NAMES[0]).fd
    packs.close(NAMES[0])
    packs.close(NAMES[1])
    assert not is_open(descriptor)


def test_who_remembers_too_many_is_told_to_forget(
    packs: OpenPacks, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(monkeypatch, 5)
    most = 0
    for name in NAMES * 2:
        keeper.append(packs.get(name))
        most = max(most, len(packs))
    assert most == 5
    assert keeper


def test_what_is_read_meanwhile_stays_open(
    packs: OpenPacks, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the limit: then it is not worth forgetting with each that is opened."""
    allow(monkeypatch, 4)
    forgotten = []
    monkeypatch.setattr(Keeper, "clear", lambda self: forgotten.append(len(packs)))
    reading = [packs.get(name) for name in NAMES]
    assert [pack.read(0, 100) for pack in reading] == [noise(100, number) for number in range(len(NAMES))]
    assert forgotten == [4, 7, 10]
    assert not keeper


def test_without_a_descriptor_those_of_others_are_used(
    packs: OpenPacks, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper.extend(packs.get(name) for name in NAMES[:3])
    really_open = PackFile.open
    refused = OSError(errno.EMFILE, "Too many open files")

    def open_with_room(path: Path) -> PackFile:
        if len(packs) > 2:
            raise refused
        return really_open(path)

    monkeypatch.setattr(PackFile, "open", open_with_room)
    assert packs.get(NAMES[4]).read(0, 100) == noise(100, 4)
    assert not keeper


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_without_any_descriptor_it_is_said(
    packs: OpenPacks, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> PackFile:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(PackFile, "open", refuse)
    with pytest.raises(Unavailable, match="too many files") as raised:
        packs.get(NAMES[0])
    assert "ulimit -n" in str(raised.value.remedy)


def test_other_refusals_stay_what_they_are(packs: OpenPacks, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> PackFile:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(PackFile, "open", refuse)
    with pytest.raises(OSError, match="Input/output"):
        packs.get(NAMES[0])

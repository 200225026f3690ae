"""What a collection removes while a gateway runs gives its room back: nobody keeps it open."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from gateway_harness import Client, Clock, commit_files, noise, start

from sidegate.gateway import serving
from sidegate.gateway.general import GeneralNamespace
from sidegate.pfs.collection import collect
from sidegate.pfs.store import Store

YEAR_SECONDS = 365 * 86400
"""Longer ago than any window, also for files, which are as old as they are."""


@pytest.fixture
def client(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Of a gateway that often looks for removed packs."""
    monkeypatch.setattr(serving, "REMOVED_PACKS_SECONDS", 0.02)
    gateway = start(store, GeneralNamespace(store), ("auto", "auto"))
    client = Client(gateway.address)
    yield client
    client.close()
    gateway.close()


def same_file(descriptor: int, inode: int) -> bool:
    try:
        return os.fstat(descriptor).st_ino == inode
    except OSError:
        return False


def test_a_removed_pack_is_closed(client: Client, store: Store, clock: Clock) -> None:
    content = noise(50_000)
    with Store.open(store.directory, clock=clock) as another:
        another.repos.create("labs")
        commit_files(another, "labs", {"kept": b"kept"})
    with Store.open(store.directory, clock=clock) as another:
        another.repos.create("others")
        commit_files(another, "others", {"lost": content})
    assert client.get("/others/lost").body == content
    [pack] = [path for path in store.directory.rglob("*.pack") if path.stat().st_size > len(content)]
    descriptor = store.chunks.packs.get(pack.stem).fd
    inode = os.fstat(descriptor).st_ino

    store.repos.delete("others")
    with Store.open(store.directory, clock=clock) as another:
        for _ in range(2):
            clock.advance(YEAR_SECONDS)
            collect(another)
    assert not pack.exists()
    deadline = time.monotonic() + 20
    while same_file(descriptor, inode) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not same_file(descriptor, inode)
    assert client.get("/labs/kept").body == b"kept"

"""Stores for the tests: empty, on a clock moved by hand, and with small parameters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pfs.samples import Clock, MemoryChunks
from sidegate.pfs import cutting, extent_lists, nodes
from sidegate.pfs.store import Store
from sidegate.pfs.tree import NodeCache


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of an empty store."""
    directory = tmp_path / ".sidegate"
    Store.create(directory)
    return directory


@pytest.fixture
def store(directory: Path, clock: Clock) -> Iterator[Store]:
    """An open store with the repo `labs`."""
    with Store.open(directory, clock=clock) as store:
        store.repos.create("labs")
        yield store


@pytest.fixture
def small_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 64 to 1024 bytes."""
    monkeypatch.setattr(cutting, "MIN_BYTES", 64)
    monkeypatch.setattr(cutting, "AVERAGE_BYTES", 256)
    monkeypatch.setattr(cutting, "MAX_BYTES", 1024)


@pytest.fixture
def small_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extent lists of three entries a node."""
    monkeypatch.setattr(extent_lists, "FANOUT", 3)


@pytest.fixture
def small_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index nodes of a few entries."""
    monkeypatch.setattr(nodes, "MIN_NODE_BYTES", 100)
    monkeypatch.setattr(nodes, "TARGET_NODE_BYTES", 300)
    monkeypatch.setattr(nodes, "MAX_NODE_BYTES", 800)


@pytest.fixture
def cache() -> NodeCache:
    """A node cache over chunks in memory."""
    return NodeCache(MemoryChunks())

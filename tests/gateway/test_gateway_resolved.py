"""The cache of resolved objects: what was asked for lately stays, within its bound."""

from __future__ import annotations

import pytest

from sidegate.gateway.resolved import ResolvedCache, ResolvedObject, resolve
from sidegate.pfs.ids import NodeId
from sidegate.pfs.store import Store

ROOT, OTHER_ROOT = NodeId(b"r" * 32), NodeId(b"o" * 32)


@pytest.fixture
def resolved(store: Store) -> ResolvedObject:
    cutter = store.cutter()
    cutter.write(b"content")
    return resolve(store, store.record(cutter.finish()))


def test_the_same_key_in_another_tree_is_another_object(resolved: ResolvedObject) -> None:
    cache = ResolvedCache()
    cache.put(ROOT, "k", resolved)
    assert cache.get(ROOT, "k") is resolved
    assert cache.get(OTHER_ROOT, "k") is None
    assert cache.get(ROOT, "l") is None


def test_what_is_asked_for_stays_and_the_bound_holds(resolved: ResolvedObject) -> None:
    """The most popular key survives any number of others; the others do not pile up."""
    room = 40
    cache = ResolvedCache(limit_bytes=room * resolved.memory_bytes)
    cache.put(ROOT, "popular", resolved)
    for number in range(1000):
        cache.put(ROOT, f"k{number}", resolved)
        assert cache.get(ROOT, "popular") is resolved
    kept = sum(cache.get(ROOT, f"k{number}") is not None for number in range(1000))
    assert room // 2 - 1 <= kept <= room


def test_one_object_beyond_the_bound_is_kept_alone(resolved: ResolvedObject) -> None:
    cache = ResolvedCache(limit_bytes=1)
    cache.put(ROOT, "a", resolved)
    assert cache.get(ROOT, "a") is resolved
    cache.put(ROOT, "b", resolved)
    cache.put(ROOT, "c", resolved)
    assert cache.get(ROOT, "a") is None


def test_all_can_be_forgotten(resolved: ResolvedObject) -> None:
    cache = ResolvedCache(limit_bytes=4 * resolved.memory_bytes)
    for key in "abcd":
        cache.put(ROOT, key, resolved)
    cache.clear()
    assert [cache.get(ROOT, key) for key in "abcd"] == [None] * 4
    for key in "abcd":
        cache.put(ROOT, key, resolved)
    assert cache.get(ROOT, "d") is resolved

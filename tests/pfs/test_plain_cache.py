from __future__ import annotations

from sidegate.pfs.ids import ChunkId
from sidegate.pfs.plain_cache import PlainCache

A, B, C = (ChunkId(bytes([n]) * 32) for n in range(3))


def test_the_least_recently_used_goes_first() -> None:
    cache = PlainCache(limit_bytes=100)
    cache.put(A, bytes(40))
    cache.put(B, bytes(40))
    assert cache.get(A) == bytes(40)
    cache.put(A, bytes(40))
    cache.put(C, bytes(40))
    assert cache.get(B) is None
    assert cache.get(A) == cache.get(C) == bytes(40)


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = PlainCache(limit_bytes=100)
    cache.put(A, bytes(101))
    assert cache.get(A) is None
    cache.put(B, bytes(100))
    assert cache.get(B) == bytes(100)

"""Memory that servers write to is at hand, and nothing of it stays when a run ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidegate.bench import warm_pool
from sidegate.bench.warm_pool import BLOCK_BYTES, LARGEST_BYTES, WarmPool, free_pieces

PAGE = os.sysconf("SC_PAGE_SIZE")
SIZE_BYTES = 8 << 20

TWO_NODES = """\
Node 0, zone      DMA      1      0      0      0      0      0      0      0      1      1      3
Node 0, zone   Normal      5      4      3      2      1      0      0      7      6      9     11
Node 0, zone  Movable      0      0      0      0      0      0      0      0      0      0      0
Node 1, zone   Normal      8      8      8      8      8      8      8      8      8      8      8
"""


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def pretend(monkeypatch: pytest.MonkeyPatch, *looks: dict[int, int]) -> None:
    """Have the kernel say how much is free in pieces, look after look, the last one again and again."""
    said = list(looks)
    monkeypatch.setattr(warm_pool, "free_pieces", lambda: said.pop(0) if len(said) > 1 else said[0])


@pytest.mark.skipif(PAGE != 4096, reason="sizes of blocks are of pages of 4 KiB")
def test_pieces_are_those_of_the_zone_that_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_pool, "_node", lambda: 0)
    pieces = free_pieces(TWO_NODES)
    assert list(pieces) == [PAGE << order for order in range(9)], "what is larger is a block"
    assert pieces[PAGE] == 5 * PAGE
    assert pieces[LARGEST_BYTES] == 6 * LARGEST_BYTES
    assert free_pieces("") == {}
    monkeypatch.setattr(warm_pool, "_node", lambda: 1)
    assert free_pieces(TWO_NODES)[PAGE] == 8 * PAGE


@pytest.mark.skipif(not Path("/proc/buddyinfo").exists(), reason="the kernel does not tell what is free")
def test_pieces_are_read_from_the_kernel() -> None:
    assert free_pieces()[LARGEST_BYTES] >= 0


def test_a_page_of_each_block_is_held_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {LARGEST_BYTES: 0})
    before = resident_bytes()
    with WarmPool(SIZE_BYTES) as pool:
        pool.refill()
        blocks = 4 * SIZE_BYTES // BLOCK_BYTES
        assert sum(len(held) for held in pool._held) == blocks * BLOCK_BYTES
        assert resident_bytes() - before < 2 * SIZE_BYTES, "the rest is free for the servers"
        assert [held[start] for held in pool._held for start in range(0, len(held), BLOCK_BYTES)] == [
            0
        ] * blocks
    assert pool._held == []


def test_what_is_enough_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {LARGEST_BYTES: 0}, {LARGEST_BYTES: SIZE_BYTES}, {LARGEST_BYTES: SIZE_BYTES - 1})
    with WarmPool(SIZE_BYTES) as pool:
        pool.refill()
        pool.refill()
        assert len(pool._held) == 1
        pool.refill()
        assert len(pool._held) == 2, "somebody else took of it meanwhile"


def test_no_more_is_taken_than_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {PAGE: 1 << 60, LARGEST_BYTES: 0})
    monkeypatch.setattr(warm_pool, "_most_bytes", lambda: 2 * BLOCK_BYTES)
    with WarmPool(1 << 40) as pool:
        pool.refill()
        assert sum(len(held) for held in pool._held) <= BLOCK_BYTES


def test_a_kernel_that_tells_nothing_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {})
    with WarmPool(SIZE_BYTES) as pool:
        pool.refill()
        pool.refill()
        assert len(pool._held) == 1

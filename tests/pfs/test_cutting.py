from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete

from pfs.samples import HOUR_US, Clock, noise
from sidegate.errors import Unavailable
from sidegate.pfs import cutting
from sidegate.pfs.catalog.schema import CHUNKS
from sidegate.pfs.cutting import ChunkCutter
from sidegate.pfs.extents import Extent
from sidegate.pfs.ids import Buffer
from sidegate.pfs.store import Store

pytestmark = pytest.mark.usefixtures("small_cuts")

DATA = noise(20_000)


def cut(store: Store, data: bytes, ends: list[int]) -> tuple[Extent, ...]:
    cutter = ChunkCutter(store.chunks)
    for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
        cutter.write(data[start:end])
    assert cutter.size_bytes == len(data)
    return cutter.finish()


def test_cuts_depend_on_the_bytes_alone(store: Store) -> None:
    whole = cut(store, DATA, [])
    assert cut(store, DATA, list(range(1, len(DATA)))) == whole, "byte by byte"

    @given(st.lists(st.integers(0, len(DATA)), max_size=40).map(sorted))
    def check(ends: list[int]) -> None:
        assert cut(store, DATA, ends) == whole

    check()


def test_chunks_keep_their_limits_and_hold_the_bytes(store: Store) -> None:
    extents = cut(store, DATA, [])
    assert len(extents) > 20
    assert all(64 <= extent.length <= 1024 for extent in extents[:-1])
    assert [extent.tail for extent in extents] == [False] * (len(extents) - 1) + [True]
    assert all(extent.whole and extent.offset == 0 for extent in extents)
    assert b"".join(store.chunks.get(extent.chunk) for extent in extents) == DATA


def test_an_insert_moves_no_later_boundary(store: Store) -> None:
    before = cut(store, DATA, [])
    after = cut(store, DATA[:5000] + b"inserted" + DATA[5000:], [])
    assert len({extent.chunk for extent in after} - {extent.chunk for extent in before}) <= 3


@pytest.mark.parametrize(("size", "lengths"), [(0, []), (1, [1]), (1024, [1024]), (1025, [1024, 1])])
def test_bytes_without_a_cut_are_cut_by_force(store: Store, size: int, lengths: list[int]) -> None:
    extents = cut(store, bytes(size), [])
    assert [extent.length for extent in extents] == lengths
    assert [extent.tail for extent in extents] == [length < 1024 for length in lengths]


def test_the_buffer_may_be_reused(store: Store) -> None:
    cutter = ChunkCutter(store.chunks)
    buffer = bytearray(100)
    for start in range(0, len(DATA), 100):
        buffer[:] = DATA[start : start + 100]
        cutter.write(memoryview(buffer))
    assert cutter.finish() == cut(store, DATA, [])


@pytest.mark.parametrize("copy_below", [1, 50, 1000])
def test_taken_blocks_are_given_back_once_nobody_needs_them(
    store: Store, monkeypatch: pytest.MonkeyPatch, copy_below: int
) -> None:
    monkeypatch.setattr(cutting, "COPY_BELOW_BYTES", copy_below)
    whole = cut(store, DATA, [])

    @given(st.lists(st.integers(0, len(DATA)), max_size=40).map(sorted))
    def check(ends: list[int]) -> None:
        cutter = ChunkCutter(store.chunks)
        outside: list[Buffer] = []
        for start, end in zip([0, *ends], [*ends, len(DATA)], strict=True):
            block = bytearray(DATA[start:end])
            outside.append(block)
            cutter.take(memoryview(block), block)
            for free in cutter.free_blocks():
                outside.remove(next(one for one in outside if one is free))
                free[:] = b"\xff" * len(free)  # used again for something else
            held = sum(map(len, outside[1:]))
            assert held <= 1024, "no block but the first and what is of one chunk with its end"
        assert cutter.finish() == whole
        assert len(cutter.free_blocks()) == len(outside)
        assert cutter.free_blocks() == []

    check()


def test_what_is_put_aside_needs_no_block_and_is_stored_all_the_same(store: Store) -> None:
    whole = cut(store, DATA, [])

    @given(st.lists(st.tuples(st.integers(0, len(DATA)), st.booleans()), max_size=30).map(sorted))
    def check(steps: list[tuple[int, bool]]) -> None:
        cutter, start = ChunkCutter(store.chunks), 0
        for end, crowded in [*steps, (len(DATA), False)]:
            block = bytearray(DATA[start:end])
            cutter.take(memoryview(block), block)
            if crowded:
                cutter.spill()
                assert any(free is block for free in cutter.free_blocks())
                block[:] = bytes(len(block))
            start = end
        assert cutter.finish() == whole

    check()
    assert b"".join(store.chunks.get(extent.chunk) for extent in whole) == DATA


def test_closing_drops_what_is_not_stored(store: Store) -> None:
    cutter, block = ChunkCutter(store.chunks), bytearray(DATA[:60])
    cutter.take(memoryview(block), block)
    cutter.spill()
    cutter.close()
    cutter.close()
    assert [free is block for free in cutter.free_blocks()] == [True]
    assert cutter.extents == []


def test_a_part_of_a_block_is_taken(store: Store) -> None:
    cutter = ChunkCutter(store.chunks)
    block = bytearray(b"--" + DATA + b"--")
    cutter.take(memoryview(block)[2:-2], block)
    assert cutter.finish() == cut(store, DATA, [])
    assert [free is block for free in cutter.free_blocks()] == [True]


@pytest.mark.parametrize("collected", [False, True])
def test_a_slow_write_finds_out_that_a_collection_came_between(
    store: Store, clock: Clock, collected: bool
) -> None:
    cutter = ChunkCutter(store.chunks)
    cutter.write(DATA)
    store.chunks.merge_index()
    clock.advance(HOUR_US)
    if collected:
        victim = delete(CHUNKS).where(CHUNKS.c.id == cutter.extents[0].chunk)
        store.database.write(lambda connection: connection.execute(victim))
        with pytest.raises(Unavailable):
            cutter.finish()
    else:
        assert cutter.finish() == cut(store, DATA, [])

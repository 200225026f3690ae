from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfs.samples import noise
from sidegate.pfs.cutting import ChunkCutter
from sidegate.pfs.extents import Extent, is_canonical, slice_extents
from sidegate.pfs.seams import canonical_extents
from sidegate.pfs.store import Store

pytestmark = pytest.mark.usefixtures("small_cuts")

# Noise, text and runs that only the maximum cuts: seams fall in step in different ways.
DATA = noise(6000) + b"line %d of a table\n" * 150 + bytes(5000) + noise(4000, 1)


def cut(store: Store, data: bytes) -> tuple[Extent, ...]:
    cutter = ChunkCutter(store.chunks)
    cutter.write(data)
    return cutter.finish()


pieces = st.lists(st.tuples(st.integers(0, len(DATA)), st.integers(0, 4000)), min_size=1, max_size=8)


def test_joined_copies_of_ranges_become_as_if_cut_in_one_go(store: Store) -> None:
    source = cut(store, DATA)

    @given(pieces)
    def check(ranges: list[tuple[int, int]]) -> None:
        joined: list[Extent] = []
        data = b""
        for offset, length in ranges:
            joined += slice_extents(source, offset, offset + length)
            data += DATA[offset : offset + length]
        assert canonical_extents(store.chunks, tuple(joined)) == cut(store, data)

    check()


def test_joined_parts_become_as_if_cut_in_one_go(store: Store) -> None:
    @given(st.lists(st.integers(0, len(DATA)), max_size=8).map(sorted))
    def check(ends: list[int]) -> None:
        parts = [DATA[a:b] for a, b in zip([0, *ends], [*ends, len(DATA)], strict=True)]
        joined = tuple(extent for part in parts for extent in cut(store, part))
        assert canonical_extents(store.chunks, joined) == cut(store, DATA)

    check()


def test_a_canonical_list_is_returned_unread(store: Store) -> None:
    extents = cut(store, DATA)
    store.chunks.load = None
    assert canonical_extents(store.chunks, extents) is extents
    assert canonical_extents(store.chunks, ()) == ()


def test_a_seam_costs_a_few_chunks(store: Store) -> None:
    first, second = cut(store, noise(30_000, "a")), cut(store, noise(30_000, "b"))
    read: list[int] = []
    load = store.chunks.load
    store.chunks.load = lambda chunk, location: (read.append(1), load(chunk, location))[1]
    result = canonical_extents(store.chunks, first + second)
    assert is_canonical(result)
    assert len(read) < 12 < len(first)

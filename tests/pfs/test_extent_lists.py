from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfs.samples import MemoryChunks
from sidegate.errors import Corrupt
from sidegate.native import collect_parts
from sidegate.pfs import extent_lists
from sidegate.pfs.extent_lists import (
    join_lists,
    join_parts,
    list_nodes,
    load_extents,
    open_node,
    slice_list,
    store_extents,
)
from sidegate.pfs.extents import Extent, slice_extents, total_bytes
from sidegate.pfs.files import INLINE_EXTENTS, ExtentList, FileRecord, encode_record
from sidegate.pfs.ids import ChunkId, NodeId

pytestmark = pytest.mark.usefixtures("small_lists")


def make(count: int) -> tuple[Extent, ...]:
    return tuple(
        Extent(ChunkId(n.to_bytes(32, "big")), n % 3, 10 + n % 7, 10 + n % 7 + (n % 3) * 2, n % 5 == 0)
        for n in range(count)
    )


@pytest.mark.parametrize("count", range(INLINE_EXTENTS + 1))
def test_a_short_list_stays_in_the_record(count: int) -> None:
    chunks = MemoryChunks()
    assert store_extents(chunks, make(count)) == make(count)
    assert not chunks.stored
    assert list(load_extents(chunks, make(count))) == list(make(count))
    assert not list(list_nodes(chunks, make(count)))


# 3 entries a node: one leaf less, exactly full levels, one more, several levels.
@pytest.mark.parametrize(("count", "levels"), [(5, 2), (6, 2), (9, 2), (10, 3), (27, 3), (28, 4), (100, 5)])
def test_a_long_list_is_a_tree(count: int, levels: int) -> None:
    chunks = MemoryChunks()
    stored = store_extents(chunks, make(count))
    assert isinstance(stored, ExtentList)
    assert stored.count == count
    assert open_node(chunks, stored.node)[0] == levels - 1
    assert list(load_extents(chunks, stored)) == list(make(count))
    assert set(list_nodes(chunks, stored)) == set(chunks.stored)


@given(st.integers(5, 60), st.integers(0, 900), st.integers(0, 900))
def test_a_range_is_read_as_from_the_list(count: int, offset: int, end: int) -> None:
    chunks = MemoryChunks()
    stored = store_extents(chunks, make(count))
    assert list(load_extents(chunks, stored, offset, end)) == list(slice_extents(make(count), offset, end))


def test_a_range_reads_one_node_per_level() -> None:
    chunks = MemoryChunks()
    stored = store_extents(chunks, make(81))
    read: list[ChunkId] = []
    get = chunks.get
    chunks.get = lambda chunk: (read.append(chunk), get(chunk))[1]
    middle = total_bytes(make(40))
    assert len(list(load_extents(chunks, stored, middle, middle + 1))) == 1
    assert len(read) == 4


def test_another_chunk_is_no_list() -> None:
    chunks = MemoryChunks()
    node = NodeId(chunks.put(b"something else"))
    with pytest.raises(Corrupt, match="not an extent list"):
        list(load_extents(chunks, ExtentList(node, 5)))


def test_a_torn_node_is_corrupt() -> None:
    chunks = MemoryChunks()
    stored = store_extents(chunks, make(20))
    data = chunks.stored[ChunkId(stored.node)]
    for length in range(len(data)):
        node = NodeId(chunks.put(data[:length]))
        with pytest.raises(Corrupt):
            list(load_extents(chunks, ExtentList(node, 20)))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(0, 900), st.integers(0, 900))
def test_joined_lists_are_their_concatenation(counts: list[int], offset: int, end: int) -> None:
    chunks = MemoryChunks()
    whole = make(sum(counts))
    parts, first = [], 0
    for count in counts:
        part = whole[first : first + count]
        parts.append((store_extents(chunks, part), total_bytes(part)))
        first += count
    before = set(chunks.stored)
    joined = join_lists(chunks, parts)
    assert tuple(load_extents(chunks, joined)) == whole
    assert list(load_extents(chunks, joined, offset, end)) == list(slice_extents(whole, offset, end))
    if isinstance(joined, ExtentList):
        assert joined.count == len(whole)
        assert set(list_nodes(chunks, joined)) >= set(chunks.stored) - before
    else:
        assert len(whole) <= INLINE_EXTENTS


@given(st.integers(0, 90), st.integers(0, 1200), st.integers(0, 1200))
def test_a_slice_of_a_list_is_a_list(count: int, offset: int, end: int) -> None:
    chunks = MemoryChunks()
    whole = make(count)
    size = total_bytes(whole)
    offset, end = sorted((min(offset, size), min(end, size)))
    sliced = slice_list(chunks, store_extents(chunks, whole), offset, end, size)
    assert tuple(load_extents(chunks, sliced)) == tuple(slice_extents(whole, offset, end))


def test_a_slice_reads_two_leaves_however_long_the_list() -> None:
    chunks = MemoryChunks()
    whole = make(243)
    stored = store_extents(chunks, whole)
    read: list[ChunkId] = []
    get = chunks.get
    chunks.get = lambda chunk: (read.append(chunk), get(chunk))[1]
    slice_list(chunks, stored, 1, total_bytes(whole) - 1, total_bytes(whole))
    assert len(read) <= 1 + 2 * 4


def test_a_list_that_is_appended_to_again_and_again_stays_shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extent_lists, "SPLICED_FROM", 10)
    monkeypatch.setattr(extent_lists, "FANOUT", 100)
    chunks = MemoryChunks()
    whole = make(3)
    joined = store_extents(chunks, whole)
    for number in range(300):
        more = make(6)[number % 6 :]
        parts = [(joined, total_bytes(whole)), (store_extents(chunks, more), total_bytes(more))]
        joined = join_lists(chunks, parts)
        whole += more
    assert tuple(load_extents(chunks, joined)) == whole
    assert isinstance(joined, ExtentList)
    depth, node = 1, joined.node
    while (opened := open_node(chunks, node))[0] > 0:
        depth, node = depth + 1, NodeId(opened[1].take(32))
    assert depth < 20


@given(st.lists(st.integers(0, 40), max_size=12), st.booleans(), st.sampled_from([INLINE_EXTENTS, 12, 40]))
def test_parts_join_to_what_their_lists_join_to(
    counts: list[int], only_short: bool, inline_count: int
) -> None:
    chunks = MemoryChunks()
    parts, position = [], 0
    for count in counts:
        count %= INLINE_EXTENTS + 1 if only_short else 41
        parts.append(make(position + count)[position:])
        position += count
    held = [(store_extents(chunks, part, inline_count=inline_count), total_bytes(part)) for part in parts]
    records = [FileRecord(size_bytes, "t", 0, extents) for extents, size_bytes in held]
    joined = join_parts(
        chunks, collect_parts([(n, encode_record(record)) for n, record in enumerate(records)])
    )
    expected = join_lists(chunks, held)
    assert list(load_extents(chunks, joined)) == list(load_extents(chunks, expected)) == list(make(position))
    assert isinstance(joined, ExtentList) == isinstance(expected, ExtentList) == (position > INLINE_EXTENTS)
    if isinstance(joined, ExtentList) and isinstance(expected, ExtentList):
        assert joined.count == expected.count == position
        middle = total_bytes(make(position)) // 2
        assert list(load_extents(chunks, joined, middle)) == list(load_extents(chunks, expected, middle))


def test_leaves_of_parts_are_filled_with_whole_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extent_lists, "FANOUT", 10)
    chunks = MemoryChunks()
    counts = [4, 6, 0, 3, 8, 12, 10, 1]
    whole, rows, first = make(sum(counts)), [], 0
    for number, count in enumerate(counts):
        part = whole[first : first + count]
        rows.append((number, encode_record(FileRecord(total_bytes(part), "t", 0, part))))
        first += count
    joined = join_parts(chunks, collect_parts(rows))
    assert isinstance(joined, ExtentList)
    assert list(load_extents(chunks, joined)) == list(whole)
    leaves = [open_node(chunks, NodeId(node)) for node in list_nodes(chunks, joined)]
    assert [count for level, _, count in leaves if level == 0] == [10, 3, 8, 12, 10, 1]


def test_long_lists_of_parts_become_the_children_of_one() -> None:
    chunks = MemoryChunks()
    whole = make(400)
    held = [store_extents(chunks, whole[start : start + 100]) for start in (0, 100, 200, 300)]
    rows = [
        (n, encode_record(FileRecord(total_bytes(whole[100 * n : 100 * n + 100]), "t", 0, extents)))
        for n, extents in enumerate(held)
    ]
    joined = join_parts(chunks, collect_parts(rows))
    assert list(load_extents(chunks, joined)) == list(whole)

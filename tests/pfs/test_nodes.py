from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.errors import Corrupt
from sidegate.native import IndexNode
from sidegate.pfs import nodes
from sidegate.pfs.ids import NodeId
from sidegate.pfs.nodes import (
    Child,
    Entry,
    decode_child,
    encode_child,
    encode_node,
    ends_node,
    entry_bytes,
)

entries = st.dictionaries(st.binary(min_size=1, max_size=20), st.binary(max_size=30), max_size=30).map(
    lambda mapping: [Entry(key, mapping[key]) for key in sorted(mapping)]
)


@given(st.integers(0, 9), entries)
def test_a_node_is_read_as_written(level: int, rows: list[Entry]) -> None:
    node = IndexNode(encode_node(level, rows, len(rows)))
    assert node.level == level
    assert [Entry(*row) for row in zip(node.keys, node.values, strict=True)] == rows
    assert node.memory_bytes >= sum(map(len, node.keys))


def test_keys_share_their_beginning() -> None:
    rows = [Entry(b"data/a", b"1"), Entry(b"data/b", b"2"), Entry(b"data/bc", b"3"), Entry(b"e", b"")]
    assert encode_node(0, rows, 4) == (
        b"SGT1\x00\x04\x00\x06data/a\x011\x05\x01b\x012\x06\x01c\x013\x00\x01e\x00"
    )


def test_every_torn_node_is_corrupt() -> None:
    data = encode_node(0, [Entry(b"key", b"value"), Entry(b"kez", b"other")], 2)
    for length in range(len(data)):
        with pytest.raises(Corrupt):
            IndexNode(data[:length])
    with pytest.raises(Corrupt):
        IndexNode(data + b"\0")
    with pytest.raises(Corrupt, match="is none"):
        IndexNode(b"SGX1" + data[4:])


def test_a_child_is_read_as_written() -> None:
    child = Child(NodeId(b"\x07" * 32), 1_000_000, 1 << 50)
    assert decode_child(encode_child(child)) == child


def test_no_node_ends_below_the_minimum_or_goes_past_the_maximum() -> None:
    keys = [Entry(b"key %d" % n, b"v" * 50) for n in range(500)]
    assert not any(ends_node(0, entry, nodes.MIN_NODE_BYTES - 1) for entry in keys)
    assert all(ends_node(0, entry, nodes.MAX_NODE_BYTES) for entry in keys)


@pytest.mark.parametrize("value_bytes", [20, 200, 2000])
def test_nodes_come_out_near_the_target_whatever_the_entries(value_bytes: int) -> None:
    sizes, size = [], 0
    for n in range(4_000_000 // value_bytes):
        entry = Entry(b"path/%09d" % n, bytes(value_bytes))
        size += entry_bytes(entry)
        if ends_node(0, entry, size):
            sizes.append(size)
            size = 0
    average = sum(sizes) / len(sizes)
    assert 0.75 * nodes.TARGET_NODE_BYTES < average < 1.35 * nodes.TARGET_NODE_BYTES


def test_levels_split_at_different_keys() -> None:
    keys = [Entry(b"key %d" % n, bytes(60)) for n in range(5000)]
    ends = [{e.key for e in keys if ends_node(level, e, nodes.TARGET_NODE_BYTES)} for level in (0, 1)]
    assert ends[0]
    assert ends[0] != ends[1]

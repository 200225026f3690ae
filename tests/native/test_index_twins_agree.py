"""Differential tests of the index reader and the listing renderer, on anything."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidegate.errors import Corrupt
from sidegate.native import select
from sidegate.native.columns import Columns
from sidegate.pfs.encoding import encode_bytes, encode_integer
from sidegate.pfs.nodes import Child, Entry, encode_child, encode_node

try:
    _, native = select("require")
except ModuleNotFoundError as absent:
    pytest.skip(f"nothing to compare, not compiled: {absent}", allow_module_level=True)
_, pure = select("off")
native_listing, pure_listing = native["listing"], pure["listing"]

Outcome = tuple[Any, ...]


def readers(modules: Mapping[str, Any]) -> Any:
    """Return what reads trees and rows, of several modules, as one."""
    return SimpleNamespace(
        IndexNode=modules["index"].IndexNode,
        FileHeads=modules["file_heads"].FileHeads,
        RowCursor=modules["cursors"].RowCursor,
        TreeCursor=modules["cursors"].TreeCursor,
        PageScan=modules["page_scan"].PageScan,
    )


native_index, pure_index = readers(native), readers(pure)


def outcome(call: Callable[[], Any]) -> Outcome:
    try:
        return ("returned", call())
    except (Corrupt, ValueError, TypeError, IndexError, OverflowError) as error:
        return (type(error),)


# --- nodes

rows = st.dictionaries(st.binary(max_size=12), st.binary(max_size=20), max_size=20)
nodes = st.tuples(st.integers(0, 9), rows).map(
    lambda drawn: encode_node(drawn[0], [Entry(*row) for row in sorted(drawn[1].items())], len(drawn[1]))
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    node = draw(nodes)
    start = draw(st.integers(0, len(node)))
    end = min(len(node), start + draw(st.integers(0, 3)))
    return node[:start] + draw(st.binary(max_size=3)) + node[end:]


def read_node(module: Any, data: Any, sought: bytes) -> Outcome:
    node = module.IndexNode(data)
    pairs = [(node.key(index), node.value(index)) for index in range(len(node))]
    assert list(zip(node.keys, node.values, strict=True)) == pairs
    assert node.memory_bytes >= len(data)
    assert not node.used
    ends = [outcome(lambda index=index: node.key(index)) for index in (-1, len(node))]  # type: ignore[misc]
    return (node.level, pairs, node.find(sought) if node.keys == sorted(node.keys) else None, ends)


@settings(deadline=None, max_examples=500)
@given(data=st.one_of(nodes, damaged(), st.binary(max_size=40)), sought=st.binary(max_size=8))
@example(data=b"SGT1\x00" + b"\xff" * 8 + b"\x7f", sought=b"")
@example(data=b"SGT1\x00" + b"\xff" * 9 + b"\x01", sought=b"")
@example(data=b"SGT1\x00\x01\x01\x00\x00", sought=b"")
@example(data=b"SGT1\x00\x00", sought=b"x")
def test_nodes_are_read_alike(data: bytes, sought: bytes) -> None:
    native = outcome(lambda: read_node(native_index, data, sought))
    assert native == outcome(lambda: read_node(pure_index, data, sought))


@pytest.mark.parametrize("data", [None, "SGT1", bytearray(b"SGT1\0\0"), 3])
def test_nodes_are_bytes(data: Any) -> None:
    assert outcome(lambda: native_index.IndexNode(data)) == (TypeError,)


# --- pages

heads = st.one_of(
    st.builds(
        lambda flags, size, tag, time: (
            b"\x01"
            + encode_integer(flags)
            + encode_integer(size)
            + (bytes(32) if flags & 1 else b"")
            + encode_bytes(tag)
            + encode_integer(time)
            + b"rest"
        ),
        st.integers(0, 3),
        st.integers(0, (1 << 63) - 1),
        st.one_of(st.just(b"0123456789abcdef-1"), st.binary(max_size=3), st.just("é".encode())),
        st.integers(0, (1 << 63) - 1),
    ),
    st.binary(max_size=6),
    st.sampled_from([b"\x02\x00\x00\x00\x00", b"\x01\x04\x00\x00\x00"]),
)
names = st.one_of(st.binary(max_size=5), st.text("ab/", max_size=5).map(str.encode))
sources = st.lists(st.dictionaries(names, st.one_of(heads, heads, heads, st.none()), max_size=12), max_size=3)


class Source:
    """A tree of two levels, or rows, over one dictionary."""

    def __init__(
        self, module: Any, held: dict[bytes, bytes | None], *, as_tree: bool, cold: int | None, leaf: int
    ):
        self._module = module
        self._held = sorted(held.items())
        self._nodes: dict[bytes, Any] = {}
        self._cold, self._leaf, self._with_heads = cold, abs(leaf), leaf > 0
        if as_tree:
            self._root = self._build()
        self.cursor = self._tree() if as_tree else module.RowCursor(self._fetch)

    def _build(self) -> bytes:
        kept = [Entry(key, value) for key, value in self._held if value is not None]
        children = []
        for start in range(0, len(kept), self._leaf):
            leaf = kept[start : start + self._leaf]
            node_id = b"%032d" % start
            self._nodes[node_id] = self._module.IndexNode(encode_node(0, leaf, len(leaf)))
            children.append(Entry(leaf[-1].key, encode_child(Child(node_id, 1, 1))))  # type: ignore[arg-type]
        root = encode_node(1, children, len(children)) if children else encode_node(0, [], 0)
        self._nodes[b"root"] = self._module.IndexNode(root)
        return b"root"

    def _tree(self) -> Any:
        absent = b"%032d" % self._cold if self._cold is not None else b""

        def peek(node_id: bytes) -> Any:
            return None if node_id == absent else self._nodes[node_id]

        def peek_heads(node_id: bytes) -> Any:
            # Of every second leaf the heads are there, of the others the node alone.
            return None if node_id == absent or int(node_id) % 2 else self._heads(node_id)

        if not self._with_heads:
            return self._module.TreeCursor(self._root, peek)
        if self._cold == 3:
            return self._module.TreeCursor(self._root, peek, None, peek_heads, self._heads)
        return self._module.TreeCursor(self._root, peek, None, peek_heads)

    def _heads(self, node_id: bytes) -> Any:
        return self._module.FileHeads(self._nodes[node_id])

    def _fetch(self, start: bytes, limit: int) -> list[tuple[bytes, bytes | None]]:
        # A few at a time, however many are asked for, is wrong; so is more.
        return [row for row in self._held if row[0] >= start][:limit]


def collected(
    module: Any, held: list[dict[bytes, Any]], trees: int, cold: int | None, leaf: int, asked: Any
) -> Outcome:
    page = module.PageScan(*asked)
    sources = [
        Source(module, one, as_tree=bool(trees >> n & 1), cold=cold, leaf=leaf) for n, one in enumerate(held)
    ]
    found = page.collect([source.cursor for source in sources])
    columns = page.columns
    return (
        found,
        columns.names,
        columns.tags,
        [column.tolist() for column in columns if isinstance(column, memoryview)],
        page.groups,
        page.truncated,
        page.last,
    )


asked = st.tuples(names, names, st.one_of(st.just(b""), names, st.just(b"/")), st.integers(-1, 9))


@settings(deadline=None, max_examples=500)
@given(
    held=sources,
    trees=st.integers(0, 7),
    cold=st.sampled_from([None, None, 0, 3, 6]),
    leaf=st.sampled_from([3, -3, 1, 40]),
    asked=asked,
)
@example(held=[{b"\xff\xff": b"\x01\0\0\0\0"}], trees=0, cold=None, leaf=3, asked=(b"", b"", b"\xff", 5))
def test_pages_are_collected_alike(
    held: list[dict[bytes, Any]],
    trees: int,
    cold: int | None,
    leaf: int,
    asked: tuple[bytes, bytes, bytes, int],
) -> None:
    native = outcome(lambda: collected(native_index, held, trees, cold, leaf, asked))
    assert native == outcome(lambda: collected(pure_index, held, trees, cold, leaf, asked))


digits = st.text("0123456789abcdef", min_size=32, max_size=32)
tags = st.one_of(
    digits,
    st.builds("{}-{}".format, digits, st.integers(0, 1 << 40)),
    st.builds("{}{}".format, digits, st.text("-0129aé", max_size=4)),
    st.text("0123456789abcdefA", min_size=31, max_size=33),
)


@settings(deadline=None, max_examples=100)
@given(
    held=st.dictionaries(
        st.text("ab/", max_size=9).map(str.encode),
        st.builds(
            lambda size, tag, time: (
                b"\x01\x00" + encode_integer(size) + encode_bytes(tag.encode()) + encode_integer(time)
            ),
            st.integers(0, (1 << 63) - 1),
            tags,
            st.integers(0, (1 << 63) - 1),
        ),
        max_size=150,
    ),
    start=st.text("ab/", max_size=9).map(str.encode),
    delimiter=st.sampled_from([b"", b"/", b"ab"]),
)
def test_heads_say_what_their_leaf_says(held: dict[bytes, bytes], start: bytes, delimiter: bytes) -> None:
    asked = (start, b"", delimiter, 100)
    whole = outcome(lambda: collected(native_index, [held], 1, None, -60, asked))
    for module in (native_index, pure_index):
        assert whole == outcome(lambda module=module: collected(module, [held], 1, None, 60, asked))  # type: ignore[misc]


def test_heads_are_of_a_leaf() -> None:
    inner = encode_node(1, [Entry(b"a", b"x" * 34)], 1)
    for module in (native_index, pure_index):
        with pytest.raises(ValueError, match="level 1"):
            module.FileHeads(module.IndexNode(inner))
        with pytest.raises(Corrupt):
            module.FileHeads(module.IndexNode(encode_node(0, [Entry(b"a", b"torn")], 1)))
        assert len(module.FileHeads(module.IndexNode(encode_node(0, [], 0)))) == 0


@pytest.mark.parametrize(
    "root",
    [
        encode_node(1, [Entry(b"a", encode_child(Child(b"0" * 32, 1, 1)))], 1),  # type: ignore[arg-type]
        encode_node(2, [Entry(b"b", encode_child(Child(b"1" * 32, 1, 1)))], 1),  # type: ignore[arg-type]
        encode_node(1, [Entry(b"z", encode_child(Child(b"1" * 32, 1, 1)))], 1),  # type: ignore[arg-type]
        encode_node(1, [Entry(b"b", b"too short")], 1),
    ],
    ids=["empty child", "wrong level", "other last key", "no child"],
)
def test_a_node_that_contradicts_its_parent_is_corrupt(root: bytes) -> None:
    for module in (native_index, pure_index):
        nodes = {
            b"root": module.IndexNode(root),
            b"0" * 32: module.IndexNode(encode_node(0, [], 0)),
            b"1" * 32: module.IndexNode(encode_node(0, [Entry(b"b", b"\x01\0\0\0\0")], 1)),
        }
        page = module.PageScan(b"c" if root[-36:] == root else b"", b"", b"", 5)
        cursor = module.TreeCursor(b"root", nodes.get)
        start = b"c" if b"z" in root[:20] else b""
        page = module.PageScan(start, b"", b"", 5)
        with pytest.raises(Corrupt):
            page.collect([cursor])


NO_PAIRS = [("a", b""), (b"a", "b"), (None, b""), b"a", 5, (), (b"a",), [], [b"a"], (b"a", b"b", b"c")]


@pytest.mark.parametrize("row", NO_PAIRS)
def test_rows_are_pairs_of_bytes(row: Any) -> None:
    page = native_index.PageScan(b"", b"", b"", 5)
    with pytest.raises((TypeError, ValueError)):
        page.collect([native_index.RowCursor(lambda start, limit: [row])])


@pytest.mark.parametrize("row", NO_PAIRS[:1] + NO_PAIRS[2:-1])
def test_rows_gone_past_are_pairs_of_bytes(row: Any) -> None:
    """A page that folds names sends the cursor past rows that it has not stood on."""
    rows = [(b"a/1", b""), row]
    page = native_index.PageScan(b"", b"", b"/", 5)
    with pytest.raises((TypeError, ValueError)):
        page.collect([native_index.RowCursor(lambda start, limit: rows[:limit])])


def test_cursors_are_cursors() -> None:
    with pytest.raises(TypeError):
        native_index.PageScan(b"", b"", b"", 5).collect([object()])


# --- rendering

LAST_US = 253_402_300_799_999_999
moments = st.one_of(st.integers(0, LAST_US), st.sampled_from([-1, LAST_US + 1, 0, LAST_US, (1 << 63) - 1]))
listed = st.lists(
    st.tuples(st.binary(max_size=9), st.binary(max_size=4), st.integers(-1, (1 << 63) - 1), moments),
    max_size=8,
)


def columns_of(listed: list[tuple[bytes, bytes, int, int]]) -> Columns:
    def ends(texts: list[bytes]) -> memoryview:
        return memoryview(array("I", [sum(map(len, texts[: n + 1])) for n in range(len(texts))]))

    names, tags = [row[0] for row in listed], [row[1] for row in listed]
    numbers = [memoryview(array("q", [row[place] for row in listed])) for place in (2, 3)]
    return Columns(b"".join(names), ends(names), b"".join(tags), ends(tags), *numbers)


@settings(deadline=None, max_examples=300)
@given(listed=listed, texts=st.tuples(*[st.binary(max_size=5)] * 5), url=st.booleans())
@example(listed=[(bytes(range(256)), b"", 0, 0)], texts=(b"",) * 5, url=True)
@example(listed=[(bytes(range(256)), b"", 0, 0)], texts=(b"",) * 5, url=False)
def test_rows_are_rendered_alike(listed: Any, texts: Any, url: bool) -> None:
    columns = columns_of(listed)
    native = outcome(lambda: native_listing.render_rows(columns, texts, url=url))
    assert native == outcome(lambda: pure_listing.render_rows(columns, texts, url=url))


@given(
    listed=listed,
    column=st.sampled_from(Columns._fields),
    ends=st.lists(st.integers(0, 40), max_size=8).map(lambda ends: memoryview(array("I", ends))),
)
def test_columns_that_do_not_fit_are_refused_alike(listed: Any, column: str, ends: memoryview) -> None:
    columns = columns_of(listed)
    if column in ("names", "tags"):
        columns = columns._replace(**{column: getattr(columns, column)[:-1]})
    elif column in ("name_ends", "tag_ends"):
        columns = columns._replace(**{column: ends})
    else:
        columns = columns._replace(**{column: getattr(columns, column)[:-1]})
    texts = (b"<", b"|", b"|", b"|", b">")
    native = outcome(lambda: native_listing.render_rows(columns, texts, url=False))
    assert native == outcome(lambda: pure_listing.render_rows(columns, texts, url=False))


@given(names=st.lists(st.binary(max_size=9), max_size=5), url=st.booleans())
def test_names_are_rendered_alike(names: list[bytes], url: bool) -> None:
    native = native_listing.render_names(names, b"<", b">", url=url)
    assert native == pure_listing.render_names(names, b"<", b">", url=url)


def test_the_machine_has_the_numbers_of_a_column() -> None:
    assert ctypes.sizeof(ctypes.c_uint) == array("I").itemsize == 4
    assert array("q").itemsize == 8


@pytest.mark.parametrize("name", ["IndexNode", "PageScan", "RowCursor", "TreeCursor"])
def test_twins_have_the_same_members(name: str) -> None:
    def members(module: Any) -> set[str]:
        instance = {
            "IndexNode": lambda: module.IndexNode(b"SGT1\0\0"),
            "PageScan": lambda: module.PageScan(b"", b"", b"", 1),
            "RowCursor": lambda: module.RowCursor(lambda start, limit: []),
            "TreeCursor": lambda: module.TreeCursor(b"", {}.get),
        }[name]()
        public = {name for name in dir(instance) if not name.startswith("_")}
        # What cursors do among themselves is compiled away.
        return public - {"prepare", "seek", "advance"} - ({"key", "value"} if "Cursor" in name else set())

    assert members(native_index) == members(pure_index)

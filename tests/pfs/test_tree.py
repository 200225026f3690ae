from __future__ import annotations

import pytest
from hypothesis import given

from pfs.samples import MemoryChunks
from pfs.trees import models, ordered, paths, record, tree_of
from sidegate.errors import Corrupt
from sidegate.pfs.ids import NodeId
from sidegate.pfs.tree import NodeCache, Tree

pytestmark = pytest.mark.usefixtures("small_nodes")

LARGE = {f"dir{n // 50:03}/file{n:05}": n % 5 for n in range(2000)}


@given(models, paths)
def test_a_tree_is_a_sorted_map(model: dict[str, int], start: str) -> None:
    cache = NodeCache(MemoryChunks())
    tree = Tree(cache, tree_of(cache, model))
    assert list(tree.files()) == [(path, record(model[path])) for path in ordered(model)]
    following = [path for path in ordered(model) if path.encode() >= start.encode()]
    assert [path for path, _ in tree.files(start)] == following
    assert tree.totals() == (len(model), sum(model.values()))
    for path in [*model, start]:
        assert tree.get(path) == (record(model[path]) if path in model else None)
        assert tree.peek(path) == (True, tree.get(path))


def test_a_large_tree_has_levels_and_seeks(cache: NodeCache) -> None:
    tree = Tree(cache, tree_of(cache, LARGE))
    assert cache.get(tree.root).level >= 3
    assert tree.totals() == (2000, sum(LARGE.values()))
    assert next(tree.files("dir010/"))[0] == "dir010/file00500"
    assert next(tree.files("dir010/file00500\0"))[0] == "dir010/file00501"
    assert next(tree.files("zzz"), None) is None
    assert tree.get("dir010/file00499x") is None


def test_peeking_never_reads(cache: NodeCache) -> None:
    root = tree_of(cache, LARGE)
    fresh = NodeCache(cache.chunks)
    tree = Tree(fresh, root)
    assert tree.peek("dir010/file00500") == (False, None)
    assert tree.get("dir010/file00500") == record(0)
    assert tree.peek("dir010/file00500") == (True, record(0))
    assert tree.peek("dir030/file01500") == (False, None)
    assert tree.peek("zzz")[1] is None


def test_the_cache_keeps_its_limit(cache: NodeCache) -> None:
    root = tree_of(cache, LARGE)
    small = NodeCache(cache.chunks, limit_bytes=20_000)
    assert len(list(Tree(small, root).files())) == 2000
    nodes = small._nodes
    held = sum(node.memory_bytes for node in nodes._kept.values())
    assert held == nodes._bytes <= 20_000


def test_what_was_used_lately_stays(cache: NodeCache) -> None:
    root = tree_of(cache, LARGE)
    leaves = [value[:32] for value in cache.get(root).values]
    room = sum(cache.get(leaf).memory_bytes for leaf in leaves[:2]) + cache.get(root).memory_bytes
    nodes = NodeCache(cache.chunks, limit_bytes=room)
    top = nodes.get(root)
    for leaf in leaves:
        found = nodes.get(leaf)
        assert nodes.peek(leaf) is found
        assert nodes.get(root) is top
    assert [nodes.peek(leaf) is not None for leaf in leaves].count(True) <= 2 < len(leaves)


def test_a_lost_node_is_told(cache: NodeCache) -> None:
    with pytest.raises(Corrupt):
        Tree(cache, NodeId(bytes(32))).get("x")

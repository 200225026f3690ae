from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from pfs.samples import MemoryChunks
from pfs.trees import changes_of, edits, models, ordered, record, tree_of
from sidegate.pfs.diff import Difference, differences
from sidegate.pfs.files import encode_record
from sidegate.pfs.ids import NodeId
from sidegate.pfs.tree import NodeCache, Tree
from sidegate.pfs.tree_edit import Change, apply

pytestmark = pytest.mark.usefixtures("small_nodes")


def naive(before: dict[str, int], after: dict[str, int]) -> list[Difference]:
    result = []
    for path in ordered(before | after):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        kind = "added" if old is None else "removed" if new is None else "changed"
        result.append(
            Difference(
                path, kind, record(old) if old is not None else None, record(new) if new is not None else None
            )
        )
    return result


def compare(cache: NodeCache, before: NodeId, after: NodeId) -> list[Difference]:
    return list(differences(Tree(cache, before), Tree(cache, after), cache))


@given(models, models)
def test_unrelated_trees(before: dict[str, int], after: dict[str, int]) -> None:
    cache = NodeCache(MemoryChunks())
    found = compare(cache, tree_of(cache, before), tree_of(cache, after))
    assert found == naive(before, after)


@given(models, edits)
def test_related_trees(before: dict[str, int], changes: dict[str, int | None]) -> None:
    cache = NodeCache(MemoryChunks())
    after = {path: value for path, value in (before | changes).items() if value is not None}
    assert compare(cache, tree_of(cache, before), tree_of(cache, after)) == naive(before, after)


@pytest.mark.parametrize("path", ["d000/f00000", "d037/f01500", "d074/f02999"])
def test_the_cost_is_what_changed(path: str) -> None:
    cache = NodeCache(MemoryChunks())
    model = {f"d{n // 40:03}/f{n:05}": 1 for n in range(3000)}
    before = tree_of(cache, model)
    after = apply(cache, before, changes_of({path: None}))
    fresh = NodeCache(cache.chunks)
    assert [(found.path, found.kind) for found in compare(fresh, before, after)] == [(path, "removed")]
    assert len(fresh._nodes._kept) <= 8 * (cache.get(before).level + 1)


def test_one_tree_within_another_is_found_whole(cache: NodeCache) -> None:
    inner = {f"m{n:04}": 1 for n in range(300)}
    outer = inner | {f"a{n:04}": 2 for n in range(700)} | {f"z{n:04}": 3 for n in range(700)}
    assert compare(cache, tree_of(cache, inner), tree_of(cache, outer)) == naive(inner, outer)
    assert compare(cache, tree_of(cache, outer), tree_of(cache, inner)) == naive(outer, inner)
    assert compare(cache, tree_of(cache, {}), tree_of(cache, outer)) == naive({}, outer)


def test_the_same_content_written_again_is_no_difference(cache: NodeCache) -> None:
    before = tree_of(cache, {"a": 1})
    later = encode_record(replace(record(1), modified_us=99, tag="again-2"))
    after = apply(cache, before, [Change(b"a", later)])
    assert before != after
    assert compare(cache, before, after) == []

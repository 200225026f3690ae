from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pfs.samples import MemoryChunks
from pfs.trees import changes_of, edits, encoded, models, tree_of
from sidegate.pfs.tree import NodeCache, Tree
from sidegate.pfs.tree_edit import apply, build

pytestmark = pytest.mark.usefixtures("small_nodes")


def edited(model: dict[str, int], changes: dict[str, int | None]) -> dict[str, int]:
    merged = model | changes
    return {path: value for path, value in merged.items() if value is not None}


@given(models, st.lists(edits, max_size=5))
def test_editing_gives_the_root_of_building(
    model: dict[str, int], steps: list[dict[str, int | None]]
) -> None:
    cache = NodeCache(MemoryChunks())
    root = tree_of(cache, model)
    for changes in steps:
        root = apply(cache, root, changes_of(changes))
        model = edited(model, changes)
        assert root == tree_of(cache, model)


@given(models, models)
def test_the_root_does_not_remember_how_it_came_about(first: dict[str, int], second: dict[str, int]) -> None:
    cache = NodeCache(MemoryChunks())
    both = tree_of(cache, first | second)
    assert apply(cache, tree_of(cache, first), changes_of(dict(second))) == both
    detour = apply(cache, both, changes_of(dict.fromkeys(first)))
    assert apply(cache, detour, changes_of({**first, **second})) == both


def test_large_random_edits(cache: NodeCache) -> None:
    generator = random.Random(7)
    model = {f"d{n // 40:03}/f{n:05}": n % 4 for n in range(3000)}
    root = tree_of(cache, model)
    for round_number in range(30):
        changes: dict[str, int | None] = {}
        for _ in range(generator.choice((1, 3, 60, 600))):
            number = generator.randrange(4000)
            value = None if generator.random() < 0.5 else generator.randrange(4)
            changes[f"d{number // 40:03}/f{number:05}"] = value
        if round_number % 7 == 0:  # a whole run of neighbours goes
            changes |= dict.fromkeys(path for path in model if "d010" <= path < "d040")
        root = apply(cache, root, changes_of(changes))
        model = edited(model, changes)
        assert root == tree_of(cache, model), round_number
    root = apply(cache, root, changes_of(dict.fromkeys(model)))
    assert root == build(cache, ())


@pytest.mark.parametrize("path", ["d000/f00000", "d037/f01500", "d074/f02999", "", "zzz"])
def test_one_change_rewrites_a_few_nodes(path: str) -> None:
    chunks = MemoryChunks()
    cache = NodeCache(chunks)
    root = tree_of(cache, {f"d{n // 40:03}/f{n:05}": 1 for n in range(3000)})
    before = len(chunks.stored)
    apply(cache, root, changes_of({path: 2}))
    height = cache.get(root).level + 1
    assert before > 300
    assert len(chunks.stored) - before <= 3 * height


def test_changing_nothing_gives_the_same_root(cache: NodeCache) -> None:
    model = {f"f{n:04}": n % 4 for n in range(500)}
    root = tree_of(cache, model)
    assert apply(cache, root, []) == root
    assert apply(cache, root, changes_of({"f0007": model["f0007"], "none": None, "a": None})) == root


def test_an_empty_tree_has_one_form(cache: NodeCache) -> None:
    empty = build(cache, ())
    assert apply(cache, empty, []) == empty
    one = apply(cache, empty, changes_of({"a": 1, "b": None}))
    assert [value for _, value in Tree(cache, one).entries()] == [encoded(1)]
    assert apply(cache, one, changes_of({"a": None})) == empty

"""Flat paths seen as folders."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfs.samples import commit_files, put
from sidegate.pfs.folders import files_below, folder_totals, is_folder, list_folder
from sidegate.pfs.store import Store
from sidegate.pfs.tree import Tree

FILES = ["a", "a-b", "a/x", "a/y/z", "a0", "b/c", "b/d/e", "b/d/f", "c/", "d//e"]


@pytest.fixture
def tree(store: Store) -> Tree:
    return store.tree(commit_files(store, "labs", {path: path.encode() for path in FILES}))


@pytest.mark.parametrize(
    ("folder", "listed"),
    [
        ("", ["a", "a-b", "a/", "a0", "b/", "c/", "d/"]),
        ("a", ["a/x", "a/y/"]),
        ("a/", ["a/x", "a/y/"]),
        ("b/d", ["b/d/e", "b/d/f"]),
        ("c", ["c/"]),
        ("d", ["d//"]),
        ("nothing", []),
        ("a/x", []),
    ],
)
def test_one_level_is_listed_in_order(tree: Tree, folder: str, listed: list[str]) -> None:
    shown = [entry.path + ("" if entry.record else "/") for entry in list_folder(tree, folder)]
    assert shown == listed


def test_a_view_of_a_branch_is_listed_like_a_tree(store: Store, tree: Tree) -> None:
    store.stagings.write_open("labs", "master", [("new/file", put(store, b"1")), ("a/x", None)])
    listed = [entry.path for entry in list_folder(store.branch_view("labs", "master"), "")]
    assert listed == ["a", "a-b", "a", "a0", "b", "c", "d", "new"]


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("", True), ("a", True), ("b/", True), ("a0", False), ("b/c", False), ("x", False)],
)
def test_a_folder_is_what_has_files_below(tree: Tree, folder: str, expected: bool) -> None:
    assert is_folder(tree, folder) is expected


def test_files_below_a_folder_do_not_include_its_neighbours(tree: Tree) -> None:
    assert [path for path, _ in files_below(tree, "a")] == ["a/x", "a/y/z"]


@settings(max_examples=25)
@given(
    paths=st.sets(st.text("ab/0-", min_size=1, max_size=6).filter(lambda path: path[0] != "/"), max_size=60),
    folder=st.text("ab", max_size=2),
)
@pytest.mark.usefixtures("small_nodes")
def test_totals_are_those_of_the_files_below(store: Store, paths: set[str], folder: str) -> None:
    record = put(store, b"123")
    store.stagings.open_commit("labs", "totals", held=True)
    old = [(path, None) for path, _ in store.branch_view("labs", "totals").files()]
    store.stagings.write_open("labs", "totals", [*old, *((path, record) for path in paths)])
    commit = store.finish_open("labs", "totals")[-1]
    count = sum(1 for _ in files_below(store.tree(commit), folder))
    assert folder_totals(store.cache, commit.root, folder) == (count, 3 * count)

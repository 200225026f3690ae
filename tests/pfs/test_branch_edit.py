"""Changes to a branch from outside."""

from __future__ import annotations

import pytest

from pfs.samples import commit_files, put
from sidegate.errors import Denied, Invalid, NotFound
from sidegate.pfs.branch_edit import BranchEdit, check_writable
from sidegate.pfs.store import Store


def paths(store: Store, branch: str = "master") -> list[str]:
    head = store.commits.head("labs", branch)
    assert head is not None
    return [path for path, _ in store.tree(head).files()]


def test_a_change_is_one_commit_over_the_head(store: Store) -> None:
    first = commit_files(store, "labs", {"a": b"1", "b": b"2"})
    with BranchEdit(store, "labs", "master") as edit:
        edit.put_many([("c", put(store, b"3"))])
        edit.remove(["a"])
        outcome = edit.finish("why")
    assert outcome.commit is not None
    assert not outcome.joined
    assert (outcome.commit.parent, outcome.commit.description) == (first.id, "why")
    assert paths(store) == ["b", "c"]
    assert store.stagings.all() == []


def test_it_makes_the_branch(store: Store) -> None:
    with BranchEdit(store, "labs", "new") as edit:
        edit.put_many([("c", put(store, b"3"))])
        edit.finish()
    assert paths(store, "new") == ["c"]


def test_nothing_is_visible_before_the_end(store: Store) -> None:
    with BranchEdit(store, "labs", "master") as edit:
        edit.put_many([("c", put(store, b"3"))])
        assert list(store.branch_view("labs", "master").files()) == []


def test_an_unfinished_change_leaves_nothing(store: Store) -> None:
    with BranchEdit(store, "labs", "master") as edit:
        edit.put_many([("c", put(store, b"3"))])
    assert store.stagings.all() == []
    assert store.branches.list("labs") == []
    assert store.locks.names() == []


@pytest.mark.parametrize("files", [{}, {"a": b"1"}])
def test_a_change_of_nothing_makes_no_commit(store: Store, files: dict[str, bytes]) -> None:
    first = commit_files(store, "labs", {"a": b"1"})
    with BranchEdit(store, "labs", "master") as edit:
        edit.put_many([(path, put(store, data)) for path, data in files.items()])
        outcome = edit.finish()
    assert (outcome.commit, outcome.joined) == (None, False)
    assert store.commits.head("labs", "master") == first
    assert store.stagings.all() == []


def test_a_commit_can_be_made_of_no_change(store: Store) -> None:
    first = commit_files(store, "labs", {"a": b"1"})
    with BranchEdit(store, "labs", "master") as edit:
        outcome = edit.finish("marked", even_unchanged=True)
    assert outcome.commit is not None
    assert (outcome.commit.parent, outcome.commit.root) == (first.id, first.root)


@pytest.mark.parametrize("held", [True, False])
def test_it_joins_the_open_commit(store: Store, held: bool) -> None:
    first = commit_files(store, "labs", {"a": b"1", "b": b"2", "c": b"3"})
    store.stagings.open_commit("labs", "master", held=held)
    store.stagings.write_open("labs", "master", [("a", put(store, b"open")), ("d", put(store, b"open"))])
    with BranchEdit(store, "labs", "master") as edit:
        assert edit.base.get("d") is not None
        edit.put_many([("a", put(store, b"edit")), ("e", put(store, b"edit"))])
        edit.remove(["b", "d"])
        outcome = edit.finish()
    assert (outcome.commit, outcome.joined) == (None, True)
    assert store.commits.head("labs", "master") == first
    assert store.locks.names() == []
    assert len(store.stagings.all()) == 1
    store.finish_open("labs", "master")
    assert paths(store) == ["a", "c", "e"]
    head = store.commits.head("labs", "master")
    assert head is not None
    record = store.tree(head).get("a")
    assert record is not None
    assert b"".join(store.read(record)) == b"edit"


def test_a_pipelines_repo_is_written_by_its_jobs_only(store: Store) -> None:
    store.repos.create("pipe", kind="pipeline")
    with pytest.raises(Denied, match="only its jobs write there"):
        BranchEdit(store, "pipe", "master")
    with pytest.raises(Denied):
        check_writable(store, "pipe")


def test_bad_names_are_refused(store: Store) -> None:
    with pytest.raises(NotFound):
        BranchEdit(store, "nobody", "master")
    with pytest.raises(Invalid):
        BranchEdit(store, "labs", "no such name")
    assert store.stagings.all() == []

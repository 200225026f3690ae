from __future__ import annotations

import pytest

from pfs.samples import commit_files
from sidegate.errors import Conflict, Invalid, NotFound
from sidegate.pfs.commits import Commit
from sidegate.pfs.ids import CommitId
from sidegate.pfs.store import Store


@pytest.fixture
def history(store: Store) -> list[Commit]:
    """Four commits of `labs@master`, oldest first."""
    return [commit_files(store, "labs", {f"f{n}": b"x"}) for n in range(4)]


@pytest.mark.parametrize(
    ("reference", "index"),
    [("master", 3), ("master^", 2), ("master~0", 3), ("master~3", 0), ("master^^", 1), ("master^~2", 0)],
)
def test_a_reference_names_a_commit(store: Store, history: list[Commit], reference: str, index: int) -> None:
    assert store.commits.resolve("labs", reference) == history[index]


def test_ids_and_their_beginnings_name_commits(store: Store, history: list[Commit]) -> None:
    for commit in history:
        assert store.commits.resolve("labs", commit.id) == commit
        assert store.commits.resolve("labs", commit.id[:12]) == commit
        assert store.commits.get(commit.id) == commit
    assert store.commits.resolve("labs", history[2].id + "^") == history[1]
    assert store.commits.head("labs") == history[3]
    assert list(store.commits.log("labs")) == history[::-1]
    assert list(store.commits.log("labs", "master~2")) == history[1::-1]
    assert store.commits.all("labs") == store.commits.all() == history[::-1]


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("master~4", NotFound, "has no parent"),
        ("none", NotFound, "no branch or commit 'none'"),
        ("0" * 32, NotFound, "no branch or commit"),
        ("a.b", Invalid, "not valid"),
        ("", Invalid, "not valid"),
        ("master~x", Invalid, "not valid"),
        ("master~9999999999", Invalid, "not valid"),
        ("^", Invalid, "not valid"),
    ],
)
def test_a_reference_that_names_nothing_is_told(
    store: Store, history: list[Commit], reference: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        store.commits.resolve("labs", reference)


def test_a_short_beginning_is_no_id(store: Store, history: list[Commit]) -> None:
    with pytest.raises(NotFound):
        store.commits.resolve("labs", history[0].id[:7])


def test_a_branch_before_its_first_commit(store: Store) -> None:
    store.branches.create("labs", "new")
    assert store.commits.head("labs", "new") is None
    with pytest.raises(NotFound, match="no finished commit yet") as caught:
        store.commits.resolve("labs", "new")
    assert caught.value.remedy == "`sidegate file put FILE labs@new` makes one"
    store.stagings.open_commit("labs", "new")
    with pytest.raises(NotFound, match="no finished commit yet") as caught:
        store.commits.resolve("labs", "new")
    assert caught.value.remedy == "`sidegate commit finish labs@new` makes one of what was written to it"
    with pytest.raises(NotFound):
        store.commits.head("labs", "none")


def test_only_the_newest_commit_is_deleted(store: Store, history: list[Commit]) -> None:
    with pytest.raises(Conflict, match="is the parent of") as caught:
        store.commits.delete(history[2].id)
    assert caught.value.remedy == f"delete {history[3].id} first"
    store.commits.delete(history[3].id)
    assert store.commits.head("labs") == history[2]
    with pytest.raises(NotFound, match="no commit"):
        store.commits.delete(CommitId(history[3].id))
    for commit in history[2::-1]:
        store.commits.delete(commit.id)
    assert store.commits.head("labs") is None


def test_differences_follow_commits(store: Store, history: list[Commit]) -> None:
    changed = commit_files(store, "labs", {"f0": b"changed", "f1": None, "g": b"new"})
    found = [(difference.path, difference.kind) for difference in store.differences(history[3], changed)]
    assert found == [("f0", "changed"), ("f1", "removed"), ("g", "added")]
    assert [difference.path for difference in store.differences(None, history[1])] == ["f0", "f1"]

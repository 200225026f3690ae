from __future__ import annotations

import pytest

from pfs.samples import commit_files, put
from sidegate.errors import AlreadyExists, Conflict, NotFound
from sidegate.pfs.branches import move_head
from sidegate.pfs.ids import CommitId, new_commit_id
from sidegate.pfs.store import Store


def test_a_branch_is_a_name_for_a_commit(store: Store) -> None:
    commit = commit_files(store, "labs", {"a": b"1"})
    made = store.branches.create("labs", "dev", commit.id)
    assert store.branches.get("labs", "dev") == made
    assert [branch.name for branch in store.branches.list("labs")] == ["dev", "master"]
    commit_files(store, "labs", {"b": b"2"}, branch="dev")
    assert [path for path, _ in store.branch_view("labs", "dev").files()] == ["a", "b"]
    assert store.commits.head("labs", "master") == commit
    store.branches.delete("labs", "dev")
    assert [branch.name for branch in store.branches.list("labs")] == ["master"]
    assert len(store.commits.all("labs")) == 2, "commits stay"


def test_refusals_say_what_to_do(store: Store) -> None:
    store.branches.create("labs", "dev")
    with pytest.raises(AlreadyExists, match="labs@dev exists"):
        store.branches.create("labs", "dev")
    with pytest.raises(NotFound, match="no repo 'none'") as caught:
        store.branches.create("none", "dev")
    assert caught.value.remedy == "see `sidegate repo list`"
    with pytest.raises(NotFound, match="no branch labs@none") as caught:
        store.branches.get("labs", "none")
    assert caught.value.remedy == "see `sidegate branch list labs`"
    with pytest.raises(NotFound, match="no branch labs@none"):
        store.branches.delete("labs", "none")
    with pytest.raises(NotFound, match="has no commit"):
        store.branches.create("labs", "new", new_commit_id())


def test_a_head_is_a_commit_of_the_same_repo(store: Store) -> None:
    store.repos.create("other")
    commit = commit_files(store, "labs", {"a": b"1"})
    with pytest.raises(NotFound, match="'other' has no commit"):
        store.branches.create("other", "dev", commit.id)


def test_a_branch_with_an_open_commit_stays(store: Store) -> None:
    store.stagings.write_open("labs", "master", [("a", put(store, b"1"))])
    with pytest.raises(Conflict, match="has an open commit") as caught:
        store.branches.delete("labs", "master")
    assert caught.value.remedy == "run `sidegate commit finish labs@master` first"


@pytest.mark.parametrize("expected", [None, CommitId("0" * 32)])
def test_a_head_moves_only_from_where_it_is(store: Store, expected: CommitId | None) -> None:
    commit = commit_files(store, "labs", {"a": b"1"})
    with pytest.raises(Conflict, match="has moved meanwhile"):
        store.database.write(
            lambda connection: move_head(connection, "labs", "master", expected, new_commit_id())
        )
    assert store.branches.get("labs", "master").head == commit.id

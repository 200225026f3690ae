from __future__ import annotations

import pytest

from pfs.samples import commit_files, put
from sidegate.errors import AlreadyExists, Denied, Invalid, NotFound
from sidegate.pfs.repos import Repo, RepoKind
from sidegate.pfs.store import Store


def test_repos_are_made_listed_and_deleted(store: Store) -> None:
    made = store.repos.create("apples", description="fruit")
    assert store.repos.get("apples") == made
    assert [repo.name for repo in store.repos.list()] == ["apples", "labs"]
    store.repos.delete("apples")
    assert [repo.name for repo in store.repos.list()] == ["labs"]
    with pytest.raises(NotFound, match="no repo 'apples'") as caught:
        store.repos.delete("apples")
    assert caught.value.remedy == "see `sidegate repo list`"


def test_a_name_is_taken_once(store: Store) -> None:
    with pytest.raises(AlreadyExists, match="'labs' exists"):
        store.repos.create("labs")


@pytest.mark.parametrize("name", ["", "-a", "_a", "a.b", "a b", "a" * 64, "ä", "a/b", "a@b"])
def test_a_bad_name_is_refused(store: Store, name: str) -> None:
    for create in (store.repos.create, lambda name: store.branches.create("labs", name)):
        with pytest.raises(Invalid, match="not valid") as caught:
            create(name)
        assert caught.value.remedy is not None
        assert "1 to 63" in caught.value.remedy


def test_a_name_like_a_commit_id_is_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="looks like a commit id"):
        store.repos.create("0123456789abcdef" * 2)


def test_a_pipelines_repo_is_not_a_users(store: Store) -> None:
    store.repos.ensure("out", kind="pipeline")
    assert store.repos.ensure("out", kind="pipeline").kind == "pipeline"
    with pytest.raises(Denied, match="'labs' is a user repo") as caught:
        store.repos.ensure("labs", kind="pipeline")
    assert caught.value.remedy == "choose another name"


@pytest.mark.parametrize("kind", ["pipeline", "user"])
def test_one_that_is_made_at_the_same_moment_is_there(
    store: Store, kind: RepoKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs of a new pipeline both find that its repo is missing."""
    really_get = store.repos.get

    def get_too_early(name: str) -> Repo:
        monkeypatch.setattr(store.repos, "get", really_get)
        with Store.open(store.directory) as another:
            another.repos.create(name, kind=kind)
        raise NotFound("not there yet")

    monkeypatch.setattr(store.repos, "get", get_too_early)
    if kind == "pipeline":
        assert store.repos.ensure("out", kind="pipeline").kind == "pipeline"
    else:
        with pytest.raises(Denied, match="user repo"):
            store.repos.ensure("out", kind="pipeline")


def test_deleting_takes_everything_along(store: Store) -> None:
    store.repos.create("labs2")
    commit_files(store, "labs", {"a": b"1"})
    store.stagings.write_open("labs", "dev", [("b", put(store, b"2"))])
    attempt = store.stagings.begin_attempt("labs", "master")
    gone = [store.uploads.create(scope, "c", {}) for scope in ("labs@master", attempt.id)]
    store.uploads.put_part(gone[0].id, 1, put(store, b"part"))
    kept = store.uploads.create("labs2@master", "c", {})
    store.repos.delete("labs")
    assert store.commits.all() == []
    assert store.stagings.all() == []
    for upload in gone:
        with pytest.raises(NotFound):
            store.uploads.get(upload.id)
    assert store.uploads.get(kept.id) == kept
    store.repos.create("labs")
    assert store.branches.list("labs") == []

from __future__ import annotations

from pathlib import Path

import pytest

from pfs.samples import commit_files, content, crash, extents_of, noise, put
from sidegate.errors import Conflict, NotFound
from sidegate.pfs.commits import Commit, Provenance
from sidegate.pfs.publish import Publication, Publisher
from sidegate.pfs.staging import StagingInfo
from sidegate.pfs.store import Store


def attempt(store: Store, files: dict[str, bytes]) -> StagingInfo:
    staging = store.stagings.begin_attempt("labs", "master")
    staging.put_many([(path, put(store, data)) for path, data in files.items()])
    [info] = [info for info in store.stagings.all() if info.id == staging.id]
    return info


def files_of(store: Store, commit: Commit | None) -> dict[str, bytes]:
    assert commit is not None
    return {path: content(store, record) for path, record in store.tree(commit).files()}


def test_a_commit_holds_what_was_staged_and_the_staging_is_gone(store: Store) -> None:
    info = attempt(store, {"a": b"1", "b/c": b"22"})
    publication = Publication(description="first", commit_set="5" * 32)
    commit = store.publisher.publish(info, publication)
    assert files_of(store, commit) == {"a": b"1", "b/c": b"22"}
    assert commit is not None
    assert (commit.file_count, commit.size_bytes) == (2, 3)
    assert (commit.description, commit.commit_set, commit.parent) == ("first", "5" * 32, None)
    assert commit.started_us == info.created_us < commit.finished_us
    assert store.commits.head("labs") == commit
    assert store.stagings.all() == []
    assert store.locks.names() == []


def test_a_commit_lies_over_the_head_or_replaces_it(store: Store) -> None:
    first = commit_files(store, "labs", {"a": b"1", "b": b"1"})
    laid_over = store.publisher.publish(attempt(store, {"b": b"2"}), Publication())
    assert files_of(store, laid_over) == {"a": b"1", "b": b"2"}
    replaced = store.publisher.publish(attempt(store, {"c": b"3"}), Publication(replace=True))
    assert files_of(store, replaced) == {"c": b"3"}
    assert [commit.id for commit in store.commits.log("labs")][-1] == first.id
    empty = store.publisher.publish(attempt(store, {}), Publication(replace=True))
    assert files_of(store, empty) == {}


def test_what_is_not_kept_is_left_out(store: Store) -> None:
    info = attempt(store, {"a": b"1", "_temporary/a": b"2"})
    commit = store.publisher.publish(info, Publication(keep=lambda path: not path.startswith("_")))
    assert files_of(store, commit) == {"a": b"1"}


def test_files_become_canonical(store: Store) -> None:
    data = noise(9_000_000)
    whole = put(store, data)
    parts = extents_of(store, put(store, data[:5_000_000])) + extents_of(store, put(store, data[5_000_000:]))
    joined = store.record(parts, parts=2)
    assert joined.content_hash is None
    info = attempt(store, {})
    store.stagings.get(info.id).put("big", joined)
    commit = store.publisher.publish(info, Publication())
    assert commit is not None
    record = store.tree(commit).get("big")
    assert record is not None
    assert record.content_hash == whole.content_hash
    assert extents_of(store, record) == extents_of(store, whole)
    assert record.tag == joined.tag != whole.tag, "the tag was fixed at the upload"
    assert content(store, record, 4_999_000, 5_001_000) == data[4_999_000:5_001_000]


def test_unchanged_content_makes_no_commit_if_so_wished(store: Store) -> None:
    first = commit_files(store, "labs", {"a": b"1", "b": b"1"})
    unchanged = Publication(skip_unchanged=True)
    assert store.publisher.publish(attempt(store, {"a": b"1"}), unchanged) is None
    assert store.publisher.publish(attempt(store, {}), unchanged) is None
    assert store.commits.head("labs") == first
    assert store.stagings.all() == []
    assert store.locks.names() == []
    second = store.publisher.publish(attempt(store, {"a": b"1"}), Publication())
    assert second is not None
    assert (second.parent, second.root) == (first.id, first.root)


def test_a_repeated_write_beside_a_change_stays_as_it_was_written(store: Store) -> None:
    commit_files(store, "labs", {"a": b"1"})
    before = store.branch_view("labs", "master").get("a")
    commit_files(store, "labs", {"a": b"1", "b": b"2"})
    after = store.branch_view("labs", "master").get("a")
    assert before is not None
    assert after is not None
    assert (after.content_hash, after.tag) == (before.content_hash, before.tag)
    assert after.modified_us > before.modified_us


def test_provenance_is_recorded(store: Store) -> None:
    store.repos.create("out", kind="pipeline")
    source = commit_files(store, "labs", {"a": b"1"})
    staging = store.stagings.begin_attempt("out", "master")
    [info] = [info for info in store.stagings.all() if info.id == staging.id]
    edges = [Provenance("labs", "labs", "master", source.id)]
    commit = store.publisher.publish(info, Publication(provenance=edges))
    assert commit is not None
    assert store.commits.provenance(commit.id) == edges
    assert store.commits.dependants(source.id) == [commit.id]
    with pytest.raises(Conflict, match="is an input of") as caught:
        store.commits.delete(source.id)
    assert caught.value.remedy == f"delete {commit.id} first"
    with pytest.raises(Conflict, match="was made from it") as caught:
        store.repos.delete("labs")
    assert caught.value.remedy == "delete repo 'out' first"


def move_head_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let another commit reach the branch before each of the first `times` swaps."""
    prepare = Publisher._prepare
    left = [times]

    def racing(self: Publisher, *arguments: object) -> Commit:
        commit = prepare(self, *arguments)
        if left[0]:
            left[0] -= 1
            monkeypatch.setattr(Publisher, "_prepare", prepare)
            store.publisher.publish(attempt(store, {f"other{left[0]}": b"x"}), Publication())
            monkeypatch.setattr(Publisher, "_prepare", racing)
        return commit

    monkeypatch.setattr(Publisher, "_prepare", racing)


def test_a_lost_race_is_run_again_on_the_new_head(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_files(store, "labs", {"a": b"1"})
    move_head_meanwhile(store, monkeypatch, 2)
    commit = store.publisher.publish(attempt(store, {"b": b"2"}), Publication())
    assert files_of(store, commit) == {"a": b"1", "b": b"2", "other0": b"x", "other1": b"x"}
    assert len(list(store.commits.log("labs"))) == 4


def test_a_branch_that_keeps_moving_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    move_head_meanwhile(store, monkeypatch, 8)
    info = attempt(store, {"b": b"2"})
    with pytest.raises(Conflict, match="moved 8 times") as caught:
        store.publisher.publish(info, Publication())
    assert caught.value.remedy == "try again"
    assert [other.id for other in store.stagings.all()] == [info.id], "nothing is lost"


def test_a_staging_is_published_once(store: Store) -> None:
    info = attempt(store, {"a": b"1"})
    store.publisher.publish(info, Publication())
    with pytest.raises(Conflict, match="published or dropped"):
        store.publisher.publish(info, Publication())
    assert len(list(store.commits.log("labs"))) == 1


def test_a_repo_deleted_meanwhile_gets_no_commit(store: Store) -> None:
    info = attempt(store, {"a": b"1"})
    store.repos.delete("labs")
    with pytest.raises(Conflict):
        store.publisher.publish(info, Publication())
    assert store.commits.all() == []


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_commit_is_on_disk_before_it_is_seen(
    directory: Path, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    with Store.open(directory, durability=durability) as store:
        store.repos.create("labs")
        order: list[str] = []
        sync, flushed = store.chunks.sync, store.chunks.index_flushed
        store.chunks.sync = lambda: (order.append("sync"), sync())
        store.chunks.index_flushed = lambda: (order.append("visible"), flushed())
        store.stagings.write_open("labs", "master", [("a", put(store, b"1"))])
        assert order == (["visible"] if durability == "process" else ["sync", "visible"])
        order.clear()
        store.finish_open("labs", "master")
        assert order[-2:] == ["sync", "visible"]


def test_a_finished_commit_survives_a_kill(directory: Path) -> None:
    store = Store.open(directory)
    store.repos.create("labs")
    commit = commit_files(store, "labs", {"a": noise(100_000)})
    crash(store)
    with Store.open(directory) as store:
        assert files_of(store, store.commits.get(commit.id)) == {"a": noise(100_000)}


def test_finishing_needs_an_open_commit(store: Store) -> None:
    with pytest.raises(NotFound, match="labs@master has no open commit") as caught:
        store.finish_open("labs", "master")
    assert caught.value.remedy is not None
    assert "sidegate commit start labs@master" in caught.value.remedy


def test_a_held_commit_is_made_even_if_unchanged(store: Store) -> None:
    first = commit_files(store, "labs", {"a": b"1"})
    store.stagings.open_commit("labs", "master", held=True, description="held")
    [second] = store.finish_open("labs", "master")
    assert (second.parent, second.description) == (first.id, "held")
    store.stagings.open_commit("labs", "master")
    assert store.finish_open("labs", "master") == []

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection

from pfs.samples import Clock, put
from sidegate.errors import Conflict, NotFound, Precondition
from sidegate.pfs import staged_rows
from sidegate.pfs.catalog.database import note_change
from sidegate.pfs.changes import INDEX_SCOPE
from sidegate.pfs.files import FileRecord
from sidegate.pfs.store import Store


def test_a_staging_is_a_sorted_map(store: Store) -> None:
    staging = store.stagings.begin_attempt("labs", "master")
    one, two = put(store, b"one"), put(store, b"two")
    staging.put("b", one)
    staging.put_many([("a/x", one), ("é", two), ("a", two)])
    staging.put("b", two)
    assert list(staging.files()) == [("a", two), ("a/x", one), ("b", two), ("é", two)]
    assert [path for path, _ in staging.files("a/")] == ["a/x", "b", "é"]
    assert staging.get("b") == two
    assert staging.get("none") is None
    staging.delete(["a", "none"])
    assert [path for path, _ in staging.files()] == ["a/x", "b", "é"]
    assert staging.scope == staging.id


def test_more_files_than_a_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged_rows, "_PAGE", 3)
    staging = store.stagings.begin_attempt("labs", "master")
    record = put(store, b"x")
    for count in range(8):
        assert [path for path, _ in staging.files()] == [f"f{n}" for n in range(count)]
        staging.put(f"f{count}", record)
    assert [path for path, _ in staging.files("f3")] == ["f3", "f4", "f5", "f6", "f7"]


def test_an_expectation_sees_what_is_there_and_may_refuse(store: Store) -> None:
    staging = store.stagings.begin_attempt("labs", "master")
    one, two = put(store, b"one"), put(store, b"two")
    seen: list[FileRecord | None] = []
    staging.put("a", one, seen.append)
    staging.put("a", two, seen.append)
    assert seen == [None, one]

    def refuse(record: FileRecord | None) -> None:
        raise Precondition("it is there")

    with pytest.raises(Precondition):
        staging.put_many([("b", one), ("a", one)], refuse)
    assert list(staging.files()) == [("a", two)]


def test_what_goes_with_a_write_happens_with_it_or_not_at_all(store: Store) -> None:
    staging = store.stagings.begin_attempt("labs", "master")

    def fail(connection: Connection) -> None:
        raise Conflict("no")

    with pytest.raises(Conflict):
        staging.put_many([("a", put(store, b"one"))], also=fail)
    assert staging.get("a") is None


def note_readers(told: list[frozenset[str]], scopes: frozenset[str]) -> None:
    """Note who is told, but for those that put chunks."""
    if readers := scopes - {INDEX_SCOPE}:
        told.append(readers)


def test_a_commit_tells_whose_readers_see_something_else(store: Store) -> None:
    told: list[frozenset[str]] = []
    store.database.on_committed.append(partial(note_readers, told))
    staging = store.stagings.begin_attempt("labs", "master")
    staging.put("a", put(store, b"one"))
    staging.delete(["a"])
    assert told == [frozenset({staging.id})] * 3
    told.clear()
    store.stagings.write_open("labs", "master", [("a", put(store, b"one"))])
    store.finish_open("labs", "master")
    assert set().union(*told) == {"labs@master", "labs@master\0a"}
    assert len(told) == 3, "the write, the end of writing, the new head"
    told.clear()
    store.database.write(lambda connection: None)
    assert told == []
    store.repos.create("other")
    store.branches.create("other", "side")
    store.branches.delete("other", "side")
    store.repos.delete("other")
    assert [set(scopes) for scopes in told] == [{"other"}, {"other@side"}, {"other@side", "other"}, {"other"}]


def test_what_failed_tells_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[frozenset[str]] = []
    staging = store.stagings.begin_attempt("labs", "master")
    record = put(store, b"one")
    store.database.on_committed.append(partial(note_readers, told))

    def broken() -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(store.chunks, "sync", broken)
        with pytest.raises(OSError, match="Input/output"):
            store.database.write(lambda connection: note_change(connection, "x"), durable=True)
    assert told == []
    staging.put("a", record)
    assert told == [frozenset({staging.id})]


def test_a_dropped_staging_is_closed(store: Store) -> None:
    staging = store.stagings.begin_attempt("labs", "master")
    staging.put("a", put(store, b"one"))
    assert not store.locks.is_free(staging.id)
    store.stagings.drop(staging.id)
    assert store.stagings.all() == []
    assert store.locks.is_free(staging.id)
    for write in (lambda: staging.put("a", put(store, b"one")), lambda: staging.delete(["a"])):
        with pytest.raises(Conflict, match="published or dropped"):
            write()


def test_an_attempt_needs_a_repo_and_leaves_no_lock_without(store: Store) -> None:
    with pytest.raises(NotFound, match="no repo 'none'") as caught:
        store.stagings.begin_attempt("none", "master")
    assert caught.value.remedy == "see `sidegate repo list`"
    assert store.locks.names() == []


def test_attempts_are_private(store: Store) -> None:
    first = store.stagings.begin_attempt("labs", "master")
    second = store.stagings.begin_attempt("labs", "master")
    first.put("a", put(store, b"one"))
    assert second.get("a") is None
    assert store.stagings.pending("labs", "master") == []
    assert store.branch_view("labs", "master").get("a") is None


def test_a_branch_has_one_open_commit(store: Store) -> None:
    info = store.stagings.open_commit("labs", "master", held=True, description="why")
    assert store.stagings.find_open("labs", "master") == info
    assert (info.held, info.description) == (True, "why")
    with pytest.raises(Conflict, match="has an open commit") as caught:
        store.stagings.open_commit("labs", "master")
    assert caught.value.remedy == "run `sidegate commit finish labs@master`"
    assert store.stagings.find_open("labs", "other") is None
    with pytest.raises(NotFound):
        store.stagings.open_commit("none", "master")


def test_writing_opens_joins_and_touches(store: Store, clock: Clock) -> None:
    record = put(store, b"one")
    store.stagings.write_open("labs", "new", [("a", record)])
    first = store.stagings.find_open("labs", "new")
    assert first is not None
    assert store.branches.get("labs", "new").head is None
    clock.advance(1000)
    store.stagings.write_open("labs", "new", [("a", None), ("b", record)])
    second = store.stagings.find_open("labs", "new")
    assert second is not None
    assert second.id == first.id
    assert second.touched_us >= first.touched_us + 1000
    assert [path for path, _ in store.branch_view("labs", "new").files()] == ["b"]


def test_writing_nothing_is_fine(store: Store) -> None:
    store.stagings.write_open("labs", "master", [])
    assert store.branches.get("labs", "master").head is None


def test_a_refused_write_opens_nothing(store: Store) -> None:
    def refuse(connection: Connection, path: bytes) -> None:
        raise Precondition(path.decode())

    with pytest.raises(Precondition, match="a"):
        store.stagings.write_open("labs", "master", [("a", put(store, b"one"))], refuse)
    assert store.stagings.all() == []
    with pytest.raises(NotFound):
        store.branches.get("labs", "master")


def test_finishing_closes_to_writers_and_a_new_commit_opens_above(store: Store) -> None:
    one, two = put(store, b"one"), put(store, b"two")
    store.stagings.write_open("labs", "master", [("a", one), ("b", one)])
    [waiting] = store.stagings.begin_finishing("labs", "master")
    assert waiting.purpose == "finishing"
    store.stagings.write_open("labs", "master", [("b", two), ("a", None)])
    assert list(store.branch_view("labs", "master").files()) == [("b", two)]
    assert [info.purpose for info in store.stagings.pending("labs", "master")] == ["finishing", "open"]
    first, second = store.finish_open("labs", "master")
    assert list(store.tree(first).files()) == [("a", one), ("b", one)]
    assert list(store.tree(second).files()) == [("b", two)]
    assert second.parent == first.id


def test_stagings_survive_the_process(directory: Path) -> None:
    with Store.open(directory) as store:
        store.repos.create("labs")
        store.stagings.write_open("labs", "master", [("a", put(store, b"one"))])
    with Store.open(directory) as store:
        [info] = store.stagings.all()
        assert info.purpose == "open"
        assert store.stagings.get(info.id).get("a") is not None
        assert [path for path, _ in store.branch_view("labs", "master").files()] == ["a"]

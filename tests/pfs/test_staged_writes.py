"""Writes that share a transaction, each as if it were alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from pfs.samples import content, noise, pack_files, put
from sidegate.errors import Conflict, Precondition, Unavailable
from sidegate.pfs.catalog.groups import Ticket
from sidegate.pfs.changes import INDEX_SCOPE
from sidegate.pfs.files import FileRecord
from sidegate.pfs.staged_writes import (
    Expectation,
    SmallFile,
    StagedCopy,
    StagedFile,
    StagedRemoval,
    StagedTarget,
    StagedWrite,
)
from sidegate.pfs.store import Durability, Store
from sidegate.pfs.views import WritableView


def together(store: Store, tickets: Sequence[Ticket[Any]]) -> None:
    """Have all of them done in one transaction."""
    back = threading.Event()
    told: list[Ticket[Any]] = []

    def tell(done: list[Ticket[Any]]) -> None:
        told.extend(done)
        back.set()

    for ticket in tickets:
        ticket.tell = tell
    store.database.enqueue(tickets)
    assert back.wait(30)
    assert told == list(tickets)


def small(
    store: Store, target: StagedTarget, path: str, plain: bytes, expect: Expectation | None = None
) -> SmallFile:
    return SmallFile(target, path, plain, chunks=store.chunks, expect=expect)


def removal(target: StagedTarget, *paths: str) -> StagedRemoval:
    return StagedRemoval(target, [(path, None) for path in paths])


def absent(found: FileRecord | None) -> None:
    if found is not None:
        raise Precondition("it is there")


def later(found: FileRecord | None) -> FileRecord:
    if found is None:
        raise Precondition("it is not there")
    return replace(found, modified_us=found.modified_us + 1)


@pytest.fixture(params=["attempt", "branch"])
def view(request: pytest.FixtureRequest, store: Store) -> WritableView:
    if request.param == "attempt":
        return store.stagings.begin_attempt("labs", "master")
    return store.branch_view("labs", "master")


def commits_of(store: Store, action: Callable[[], None]) -> int:
    count = 0
    flushed = store.chunks.index_flushed

    def counted() -> None:
        nonlocal count
        count += 1
        flushed()

    store.chunks.index_flushed = counted  # type: ignore[method-assign]
    action()
    store.chunks.index_flushed = flushed  # type: ignore[method-assign]
    return count


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 65536])
def test_a_small_file_is_what_a_cutter_makes_of_it(store: Store, view: WritableView, size: int) -> None:
    for plain in (noise(size), b"text " * (size // 5)):
        write = small(store, view, "small", plain)
        together(store, [write])
        found = view.get("small")
        assert found is not None
        assert replace(put(store, plain), modified_us=found.modified_us) == found
        assert found.tag == write.result()
        assert content(store, found) == plain


def test_many_are_one_transaction_in_their_order(store: Store, view: WritableView) -> None:
    writes: list[StagedWrite[Any]] = [
        *(small(store, view, f"f{number}", noise(1000, number)) for number in range(300)),
        removal(view, "f7", "f8", "none"),
        small(store, view, "f8", b"again"),
        StagedCopy(view, "copy", "f8", later),
        removal(view, "f9"),
        StagedCopy(view, "refused", "f9", later),
        StagedCopy(view, "f9", "copy", later),
        StagedFile(view, "f1", put(store, b"large")),
        small(store, view, "f1", b"last"),
    ]
    assert commits_of(store, lambda: together(store, writes)) == 1
    assert [number for number, write in enumerate(writes) if write.error is not None] == [304]
    files = dict(view.files())
    assert sorted(files) == sorted({*(f"f{number}" for number in range(300)), "copy"} - {"f7"})
    assert {name: content(store, files[name]) for name in ("f8", "copy", "f9", "f1")} == {
        "f8": b"again",
        "copy": b"again",
        "f9": b"again",
        "f1": b"last",
    }
    assert files["f9"].modified_us == files["f8"].modified_us + 2
    assert content(store, files["f299"]) == noise(1000, 299)


def test_conditions_see_what_came_before_in_the_same_transaction(store: Store, view: WritableView) -> None:
    together(store, [small(store, view, "old", b"old")])
    writes: list[StagedWrite[Any]] = [
        small(store, view, "new", b"first", absent),
        small(store, view, "new", b"second", absent),
        small(store, view, "old", b"no", absent),
        removal(view, "old"),
        small(store, view, "old", b"yes", absent),
        small(store, view, "other", b"other"),
    ]
    together(store, writes)
    assert [type(write.error) for write in writes] == [
        type(None), Precondition, Precondition, type(None), type(None), type(None)
    ]  # fmt: skip
    assert {path: content(store, record) for path, record in view.files()} == {
        "new": b"first",
        "old": b"yes",
        "other": b"other",
    }


def test_one_that_fails_takes_nobody_with_it(store: Store) -> None:
    """A closed output, a companion that raises, an operation that raises: neighbours are stored."""
    open_one, closed = (store.stagings.begin_attempt("labs", "master") for _ in range(2))
    store.stagings.drop(closed.id)

    def fail(connection: Connection) -> None:
        connection.exec_driver_sql("INSERT INTO repos VALUES ('half', 'user', '', 0)")
        raise Unavailable("no")

    writes: list[StagedWrite[Any]] = [
        small(store, open_one, "a", b"a"),
        small(store, closed, "b", b"b"),
        StagedFile(open_one, "c", put(store, b"c"), also=fail),
        removal(closed, "b"),
        small(store, open_one, "d", b"d"),
    ]
    together(store, writes)
    assert [type(write.error) for write in writes] == [
        type(None), Conflict, Unavailable, Conflict, type(None)
    ]  # fmt: skip
    with pytest.raises(Conflict, match="published or dropped"):
        writes[1].result()
    assert [path for path, _ in open_one.files()] == ["a", "d"]
    assert [repo.name for repo in store.repos.list()] == ["labs"]


def test_a_full_disk_fails_what_needs_room_and_nothing_else(
    store: Store, view: WritableView, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = put(store, b"kept")

    def full(*arguments: object) -> list[Any]:
        raise Unavailable("the disk is full")

    writes: list[StagedWrite[Any]] = [
        small(store, view, "a", b"a"),
        StagedFile(view, "b", kept),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(store.chunks, "put_many", full)
        together(store, writes)
    assert [type(write.error) for write in writes] == [Unavailable, type(None)]
    assert [path for path, _ in view.files()] == ["b"]


def test_a_failed_transaction_fails_all_and_leaves_nothing(
    store: Store, view: WritableView, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connection: Connection) -> None:
        raise OSError(5, "Input/output error")

    writes = [small(store, view, f"f{number}", b"x") for number in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(store.chunks, "flush_index", broken)
        together(store, writes)
    assert all(isinstance(write.error, OSError) for write in writes)
    assert list(view.files()) == []
    again = [small(store, view, f"f{number}", b"x") for number in range(3)]
    together(store, again)
    assert [path for path, _ in view.files()] == ["f0", "f1", "f2"]


def test_equal_bytes_of_one_group_are_stored_once(store: Store, view: WritableView) -> None:
    together(store, [small(store, view, "before", noise(20_000))])
    size = pack_files(store)[0].stat().st_size
    writes = [small(store, view, f"f{number}", noise(20_000)) for number in range(5)]
    together(store, writes)
    assert pack_files(store)[0].stat().st_size == size
    records = dict(view.files())
    assert len({records[f"f{number}"].extents for number in range(5)}) == 1
    twice = [small(store, view, f"g{number}", noise(20_000, "new")) for number in range(2)]
    together(store, twice)
    assert pack_files(store)[0].stat().st_size < size + 30_000


def test_removing_what_is_not_there_opens_no_commit(store: Store) -> None:
    view = store.branch_view("labs", "master")
    together(store, [removal(view, "none")])
    assert store.stagings.pending("labs", "master") == []
    together(store, [small(store, view, "a", b"a"), removal(view, "none")])
    (commit,) = store.finish_open("labs", "master")
    assert [path for path, _ in store.tree(commit).files()] == ["a"]
    together(store, [removal(view, "a", "none")])
    assert list(view.files()) == []


def test_two_targets_share_a_transaction(store: Store) -> None:
    told: list[frozenset[str]] = []
    attempt = store.stagings.begin_attempt("labs", "master")
    branch = store.branch_view("labs", "master")
    store.database.on_committed.append(told.append)
    together(store, [small(store, attempt, "a", b"1"), small(store, branch, "a", b"2")])
    assert told == [frozenset({attempt.id, "labs@master", "labs@master\0a", INDEX_SCOPE})]
    assert [content(store, view.get("a")) for view in (attempt, branch)] == [b"1", b"2"]  # type: ignore[arg-type]


def test_those_who_wait_and_those_who_are_told_share_a_queue(store: Store) -> None:
    attempt = store.stagings.begin_attempt("labs", "master")
    back = threading.Event()
    write = small(store, attempt, "a", b"a")
    write.tell = lambda done: back.set()
    entered, gate = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        entered.set()
        gate.wait(30)

    first = threading.Thread(target=store.database.write, args=(slow,))
    first.start()
    assert entered.wait(30)
    store.database.enqueue([write])
    second = threading.Thread(target=store.repos.create, args=("other",))
    second.start()
    gate.set()
    assert back.wait(30)
    for thread in (first, second):
        thread.join()
    assert write.error is None
    stored = attempt.get("a")
    assert stored is not None
    assert stored.tag == write.result()
    assert store.repos.get("other").kind == "user"


@pytest.mark.parametrize(("durability", "syncs", "level"), [("process", 0, 1), ("disk", 1, 2)])
def test_a_group_shares_one_sync_before_any_of_it_is_told(
    directory: Path, durability: Durability, syncs: int, level: int
) -> None:
    with Store.open(directory, durability=durability) as store:
        store.repos.create("labs")
        attempt = store.stagings.begin_attempt("labs", "master")
        counted: list[str] = []
        sync = store.chunks.sync

        def count() -> None:
            counted.append("sync")
            sync()

        store.chunks.sync = count  # type: ignore[method-assign]
        store.database.on_committed.append(lambda scopes: counted.append("committed"))
        writes = [small(store, attempt, f"f{number}", noise(1000, number)) for number in range(50)]
        together(store, writes)
        assert counted == ["sync"] * syncs + ["committed"]
        found = store.database.write(
            lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar()
        )
        assert found == level
        store.chunks.sync = sync  # type: ignore[method-assign]


def test_a_removal_refuses_only_the_paths_of_which_something_else_was_expected(
    store: Store, view: WritableView
) -> None:
    removing = StagedRemoval(view, [("a", absent), ("b", None), ("none", absent), ("c", absent)])
    together(store, [small(store, view, "a", b"a"), small(store, view, "b", b"b"), removing])
    assert [(path, str(error)) for path, error in removing.result()] == [("a", "it is there")]
    assert [path for path, _ in view.files()] == ["a"]

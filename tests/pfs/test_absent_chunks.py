"""Chunks that are known not to be there: never wrongly, whatever other processes do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3
from sqlalchemy import Connection

from pfs.samples import crash, noise, put, undo_transaction
from sidegate.pfs import absent_chunks, fresh_chunks
from sidegate.pfs.checking import check
from sidegate.pfs.compression import RAW
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.index_rebuilding import rebuild_index
from sidegate.pfs.recovery import recover_abandoned
from sidegate.pfs.store import Store


@pytest.fixture(autouse=True)
def read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absent_chunks, "FIRST_LOOK_UPS", 1)


@pytest.fixture
def other(store: Store, directory: Path) -> Iterator[Store]:
    with Store.open(directory) as opened:
        yield opened


def commit(store: Store) -> None:
    store.database.write(lambda connection: None)


def knows(store: Store) -> bool:
    """Whether the store is certain of a chunk that nobody ever put."""
    return store.chunks._absent.has(ChunkId(b"\0" * 32))


def learn(store: Store) -> None:
    """Have a store look for something, so that it reads the index, and commit a transaction."""
    store.chunks.put(noise(100, store.clock()))
    commit(store)
    assert knows(store)


def stored_bytes(store: Store) -> int:
    return sum(path.stat().st_size for path in store.chunks.directory.rglob("*.pack"))


def put_again(store: Store, plain: bytes) -> int:
    """Put what is stored already; return how many bytes that has added."""
    before = stored_bytes(store)
    store.chunks.put(plain)
    commit(store)
    return stored_bytes(store) - before


def test_new_content_needs_no_look_into_the_index(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    learn(store)
    with monkeypatch.context() as patch:
        patch.setattr(store.database, "fetch", None)
        chunks = [store.chunks.put(noise(1000, n)) for n in range(5)]
        record = put(store, noise(3000))
    commit(store)
    assert knows(store)
    assert [store.chunks.get(chunk) for chunk in chunks] == [noise(1000, n) for n in range(5)]
    assert put_again(store, noise(1000, 3)) == 0
    assert put(store, noise(3000)).extents == record.extents


def test_what_was_there_before_is_found(directory: Path, store: Store) -> None:
    store.chunks.put(b"merged")
    commit(store)
    store.chunks.merge_index()
    store.chunks.put(b"fresh")
    commit(store)
    with Store.open(directory) as opened:
        learn(opened)
        assert put_again(opened, b"merged") == put_again(opened, b"fresh") == 0


@pytest.mark.parametrize("merged", [False, True])
def test_what_another_process_puts_is_stored_once(store: Store, other: Store, merged: bool) -> None:
    learn(store)
    for n in range(3):
        other.chunks.put(noise(1000, n))
        commit(other)
        assert not knows(store)
        if merged:
            other.chunks.merge_index()
        assert put_again(store, noise(1000, n)) == 0


def add(store: Store) -> None:
    """Commit a chunk without having asked whether it is there."""
    plain = noise(10, "added")
    store.chunks._append((ChunkId(blake3(plain).digest()), RAW, (plain,), len(plain)))
    commit(store)


def test_rows_that_were_merged_unread_are_missed_by_nobody(store: Store, other: Store) -> None:
    learn(store)
    other.chunks.put(noise(1000, 1))
    commit(other)
    other.chunks.merge_index()
    certain: list[bool] = []
    store.database.on_committing.append(lambda scopes: certain.append(knows(store)))
    add(store)
    # The last word is this process's again, but what was merged it has never read.
    assert certain == [False]
    assert not knows(store)
    assert put_again(store, noise(1000, 1)) == 0
    learn(store)
    assert put_again(store, noise(1000, 1)) == 0


@pytest.fixture
def dead(store: Store, directory: Path) -> Store:
    """A store that was killed with a chunk in its pack, `noise(1000)`, that is in no row."""
    dead = Store.open(directory)
    dead.chunks.put(b"committed")
    commit(dead)
    learn(store)
    dead.chunks.put(noise(1000))
    crash(dead)
    return dead


@pytest.mark.parametrize("adds", [False, True])
def test_what_is_recovered_is_stored_once(store: Store, other: Store, dead: Store, adds: bool) -> None:
    del dead
    assert knows(store)
    assert recover_abandoned(other.chunks) == 1
    if adds:
        add(store)
    assert put_again(store, noise(1000)) == put_again(other, noise(1000)) == 0


@pytest.mark.parametrize("repairs_knowing", [False, True])
@pytest.mark.parametrize("adds", [False, True])
def test_what_a_repair_indexes_is_stored_once(
    store: Store, other: Store, dead: Store, adds: bool, repairs_knowing: bool
) -> None:
    del dead
    if repairs_knowing:
        learn(other)
    rebuild_index(other)
    if adds:
        add(store)
    assert put_again(store, noise(1000)) == put_again(other, noise(1000)) == 0
    assert check(store).clean


def test_who_recovers_knows_nothing_of_before(store: Store, dead: Store) -> None:
    del dead
    assert recover_abandoned(store.chunks) == 1
    assert not knows(store)
    assert put_again(store, noise(1000)) == 0


def test_rows_that_were_read_before_the_index_was_are_marked(
    store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.chunks.put(b"fresh")
    commit(store)
    monkeypatch.setattr(absent_chunks, "FIRST_LOOK_UPS", 2)
    with Store.open(directory) as opened:
        assert certain_after_each_of(2, opened) == [False, True]
        assert put_again(opened, b"fresh") == 0


def test_a_transaction_that_is_undone_leaves_what_is_known(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(store)
    chunk = store.chunks.put(b"data")
    undo_transaction(store, monkeypatch)
    commit(store)
    assert knows(store)
    assert put_again(store, b"data") == 0
    assert store.chunks.get(chunk) == b"data"


def test_a_merge_in_the_same_transaction_leaves_what_is_known(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(store)
    monkeypatch.setattr(fresh_chunks, "MERGE_COUNT", 1)
    for n in range(3):
        store.chunks.put(noise(1000, n))
        commit(store)
        assert knows(store)
    assert put_again(store, noise(1000, 1)) == 0


def merged_noise(store: Store, count: int) -> None:
    for n in range(count):
        store.chunks.put(noise(1000, n))
    commit(store)
    store.chunks.merge_index()


def certain_after_each_of(count: int, store: Store) -> list[bool]:
    certain = []
    for n in range(count):
        store.chunks.put(noise(100, n))
        commit(store)
        certain.append(knows(store))
    return certain


def test_of_a_store_with_too_many_chunks_nothing_is_known(
    store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged_noise(store, 5)
    monkeypatch.setattr(absent_chunks, "MOST_CHUNKS", 3)
    with Store.open(directory) as opened:
        assert certain_after_each_of(20, opened) == [False] * 20
        assert put_again(opened, noise(1000, 1)) == 0


def test_a_large_index_is_read_after_as_many_look_ups(
    store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged_noise(store, 20)
    monkeypatch.setattr(absent_chunks, "ROWS_PER_LOOK_UP", 4)
    with Store.open(directory) as opened:
        # After 1, 2, 4 and 8 look-ups: 8 times 4 rows are as many as there are.
        assert certain_after_each_of(20, opened) == [False] * 14 + [True] * 6
        assert put_again(opened, noise(1000, 1)) == 0


def test_a_transaction_under_way_while_the_index_is_read_is_not_missed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent, database = store.chunks._absent, store.database
    lost, noted, after = (ChunkId(bytes([number]) * 32) for number in range(3))
    read = database.read

    @contextmanager
    def meanwhile() -> Iterator[Connection]:
        with read() as connection:
            yield connection
        # Row 1 was added before the marks were made, and committed after the index was read.
        absent.note_row(2, [noted])

    absent.note_transaction(1, [lost])
    with monkeypatch.context() as patch:
        patch.setattr(database, "read", meanwhile)
        absent._read_all(database, 10)
    absent.note_transaction(3, [after])
    absent.last_word_is_ours = lambda: True
    assert not absent.has(lost)
    absent._read_all(database, 10)
    absent.note_transaction(1, [lost])
    assert absent.has(after)
    assert not absent.has(lost)

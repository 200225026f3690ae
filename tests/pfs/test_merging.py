"""A merge of index rows in steps: whatever comes in between, every chunk is found, and stored once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from pfs.samples import HOUR_US, Clock, content, crash, noise, put, undo_transaction
from pfs.test_fresh_chunks import commit, counts
from sidegate.pfs import chunks as chunks_module
from sidegate.pfs import fresh_chunks
from sidegate.pfs.catalog.schema import FRESH_CHUNKS, PACKS
from sidegate.pfs.checking import check
from sidegate.pfs.collection import collect
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.store import Store

BEGUN = 6
"""So many chunks begin a merge, whose steps take two."""


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_chunks, "MERGE_COUNT", BEGUN)
    monkeypatch.setattr(fresh_chunks, "STEP_COUNT", 2)
    monkeypatch.setattr(fresh_chunks, "PASSED_COUNT", 0)


@pytest.fixture
def merged(store: Store) -> int:
    """How many rows are merged already, in a store where none is fresh."""
    commit(store)
    store.chunks.merge_index()
    return counts(store)[1]


@pytest.fixture
def other(directory: Path) -> Iterator[Store]:
    with Store.open(directory) as other:
        yield other


def put_one_by_one(store: Store, numbers: range) -> list[ChunkId]:
    chunks = []
    for number in numbers:
        chunks.append(store.chunks.put(noise(1000, number)))
        commit(store)
    return chunks


def assert_all_found(store: Store, chunks: list[ChunkId]) -> None:
    assert [store.chunks.get(chunk) for chunk in chunks] == [noise(1000, n) for n in range(len(chunks))]


def test_each_transaction_takes_a_step(store: Store, other: Store, merged: int) -> None:
    chunks = put_one_by_one(store, range(BEGUN - 1))
    assert counts(store) == (BEGUN - 1, merged)
    for step in range(3):
        chunks += put_one_by_one(store, range(len(chunks), len(chunks) + 1))
        fresh = BEGUN + step if step < 2 else 2
        assert counts(store) == (fresh, merged + 2 * (step + 1)), "what came during the merge stays"
        for reader in (store, other):
            assert_all_found(reader, chunks)
            for number in range(len(chunks)):
                reader.chunks.put(noise(1000, number))
            commit(reader)
        assert counts(store) == (fresh, merged + 2 * (step + 1)), "nothing is stored twice"
    assert check(store).clean


def test_transactions_with_few_chunks_take_turns(
    store: Store, merged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_chunks, "PASSED_COUNT", 2)
    monkeypatch.setattr(fresh_chunks, "FEW_COUNT", 3)
    chunks = put_one_by_one(store, range(BEGUN))
    taken = [counts(store)[1] - merged]
    for number in range(BEGUN, BEGUN + 6):
        chunks += put_one_by_one(store, range(number, number + 1))
        taken.append(counts(store)[1] - merged)
    assert taken == [0, 0, 2, 2, 2, 4, 4]
    for number in range(BEGUN + 6, BEGUN + 9):
        chunks.append(store.chunks.put(noise(1000, number)))
    commit(store)
    assert counts(store)[1] - merged == 8, "one that puts several takes its step at once"
    assert_all_found(store, chunks)
    assert check(store).clean


def test_two_that_merge_at_once(store: Store, other: Store, merged: int) -> None:
    chunks = []
    for number in range(40):
        chunks += put_one_by_one((store, other)[number % 2], range(number, number + 1))
        for reader in (store, other):
            assert_all_found(reader, chunks)
    fresh, now_merged = counts(store)
    assert fresh < 2 * BEGUN
    assert len(chunks) - fresh <= now_merged - merged <= len(chunks)
    assert check(store).clean


def test_another_that_merges_all_ends_a_merge(store: Store, other: Store, merged: int) -> None:
    chunks = put_one_by_one(store, range(BEGUN))
    other.chunks.merge_index()
    assert counts(store) == (0, merged + BEGUN)
    chunks += put_one_by_one(store, range(BEGUN, BEGUN + 2))
    assert counts(store) == (2, merged + BEGUN)
    assert_all_found(store, chunks)


def test_a_step_that_is_undone_is_taken_again(
    store: Store, merged: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = put_one_by_one(store, range(BEGUN - 1))
    for number in range(BEGUN - 1, BEGUN + 2):
        chunks.append(store.chunks.put(noise(1000, number)))
        before = counts(store)
        undo_transaction(store, monkeypatch)
        assert counts(store) == before
        commit(store)
        assert_all_found(store, chunks)
    assert counts(store) == (2, merged + BEGUN)
    assert check(store).clean


def test_many_chunks_of_a_transaction_do_not_outrun_a_merge(store: Store, merged: int) -> None:
    chunks = put_one_by_one(store, range(BEGUN))
    for first in range(BEGUN, 106, 20):
        chunks += [store.chunks.put(noise(1000, number)) for number in range(first, first + 20)]
        commit(store)
        assert counts(store)[0] <= 2  # a row for each transaction
    assert counts(store)[1] > merged + BEGUN
    assert_all_found(store, chunks)


def test_a_merge_that_is_cut_off_loses_nothing(store: Store, directory: Path, merged: int) -> None:
    dead = Store.open(directory)
    chunks = put_one_by_one(dead, range(BEGUN))
    crash(dead)
    assert counts(store) == (BEGUN, merged + 2)
    assert check(store).clean
    with Store.open(directory) as again:
        assert_all_found(again, chunks)
        again.chunks.merge_index()
        assert counts(again) == (0, merged + BEGUN)


def test_a_closed_store_has_merged_all(directory: Path) -> None:
    with Store.open(directory) as store:
        chunks = put_one_by_one(store, range(BEGUN))
        assert counts(store)[0] == BEGUN
    with Store.open(directory) as store:
        assert counts(store)[0] == 0
        assert_all_found(store, chunks)


def test_a_pack_is_sealed_when_none_of_its_rows_is_fresh(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 5000)
    monkeypatch.setattr(fresh_chunks, "MERGE_COUNT", 1000)
    monkeypatch.setattr(chunks_module, "write_back", lambda full: [writer.seal() for writer in full])
    sealed_once = False
    for number in range(60):
        store.chunks.put(noise(1000, number))
        store.database.write(lambda connection: None, durable=True)
        with store.database.read() as connection:
            sealed = set(connection.execute(select(PACKS.c.id).where(PACKS.c.sealed)).scalars())
            fresh = set(connection.execute(select(FRESH_CHUNKS.c.pack)).scalars())
        assert not sealed & fresh
        sealed_once |= bool(sealed)
    assert sealed_once
    assert len(store.chunks._full) <= 3, "and they are, soon"
    assert check(store).clean


def test_a_merge_may_begin_with_a_transaction_that_stores_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 5000)
    monkeypatch.setattr(fresh_chunks, "MERGE_COUNT", 1000)
    monkeypatch.setattr(chunks_module, "write_back", lambda unsynced: None)
    chunks = []
    while not store.chunks._full:
        chunks.append(store.chunks.put(noise(1000, len(chunks))))
        store.database.write(lambda connection: None, durable=True)
    for writer in store.chunks._full:
        writer.seal()
        writer.sync()
    before = counts(store)
    commit(store)
    assert counts(store)[1] == before[1] + 2
    assert_all_found(store, chunks)


def test_what_is_condemned_and_stored_anew_during_a_merge_stays(store: Store, clock: Clock) -> None:
    again = noise(3000, "again")
    put(store, again)
    commit(store)
    clock.advance(2 * HOUR_US)
    assert collect(store).chunks_condemned == 1
    put_one_by_one(store, range(BEGUN - 1))
    record = put(store, again)
    store.stagings.write_open("labs", "master", [("a", record)])
    assert counts(store)[0] > 0
    for _ in range(2):
        clock.advance(2 * HOUR_US)
        collect(store)
    assert content(store, record) == again
    assert check(store).clean

"""Index rows that are gathered before they are merged: seen by all, lost by none."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from pfs.samples import HOUR_US, Clock, content, crash, noise, put, undo_transaction
from sidegate.pfs import fresh_chunks
from sidegate.pfs.catalog.schema import CHUNKS, FRESH_CHUNKS
from sidegate.pfs.checking import check
from sidegate.pfs.collection import collect
from sidegate.pfs.store import Store


def counts(store: Store) -> tuple[int, int]:
    """Return how many rows are fresh, and how many are merged."""
    with store.database.read() as connection:
        tables = (FRESH_CHUNKS, CHUNKS)
        fresh, merged = (
            connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
        )
    return fresh, merged


def commit(store: Store) -> None:
    store.database.write(lambda connection: None)


def test_what_a_transaction_put_is_one_row(store: Store) -> None:
    before = counts(store)
    chunks = [store.chunks.put(noise(1000, n)) for n in range(5)]
    commit(store)
    assert counts(store) == (before[0] + 1, before[1])
    assert [store.chunks.get(chunk) for chunk in chunks] == [noise(1000, n) for n in range(5)]


def test_another_process_finds_what_is_not_merged_and_stores_it_once(store: Store, directory: Path) -> None:
    with Store.open(directory) as other:
        for n in range(3):
            chunk = store.chunks.put(noise(1000, n))
            commit(store)
            assert other.chunks.get(chunk) == noise(1000, n)
            before = counts(store)
            assert other.chunks.put(noise(1000, n)) == chunk
            commit(other)
            assert counts(store) == before


def test_many_rows_are_merged_with_those_of_others(
    store: Store, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store)
    store.chunks.merge_index()
    merged = counts(store)[1]
    monkeypatch.setattr(fresh_chunks, "MERGE_COUNT", 4)
    with Store.open(directory) as other:
        chunks = []
        for n in range(4):
            writer = (store, other)[n % 2]
            chunks.append(writer.chunks.put(noise(1000, n)))
            assert counts(store) == (n, merged)
            commit(writer)
        assert counts(store) == (0, merged + 4)
        for reader in (store, other):
            assert [reader.chunks.get(chunk) for chunk in chunks] == [noise(1000, n) for n in range(4)]
            reader.chunks.put(noise(1000, 0))
            commit(reader)
        assert counts(store) == (0, merged + 4)


def test_a_chunk_that_two_stored_at_once_is_merged_once(store: Store, directory: Path) -> None:
    with Store.open(directory) as other:
        chunk = store.chunks.put(b"twice")
        assert other.chunks.put(b"twice") == chunk
        commit(store)
        commit(other)
        store.chunks.merge_index()
        assert store.chunks.get(chunk) == other.chunks.get(chunk) == b"twice"
        assert counts(store)[0] == 0


def test_a_row_that_is_undone_is_not_known(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(store)
    before = counts(store)
    chunk = store.chunks.put(b"data")
    undo_transaction(store, monkeypatch)
    assert counts(store) == before
    commit(store)
    assert counts(store) == (before[0] + 1, before[1])
    assert store.chunks.get(chunk) == b"data"


def test_sealed_packs_have_no_fresh_rows(directory: Path) -> None:
    with Store.open(directory) as store:
        chunk = store.chunks.put(b"data")
        commit(store)
        assert counts(store)[0] > 0
    with Store.open(directory) as store:
        assert counts(store)[0] == 0
        assert store.chunks.get(chunk) == b"data"


def test_what_a_killed_writer_left_is_recovered(store: Store, directory: Path) -> None:
    dead = Store.open(directory)
    record = put(dead, noise(3000))
    dead.stagings.write_open("labs", "master", [("a", record)])
    crash(dead)
    assert counts(store)[0] > 0
    assert check(store).clean
    assert counts(store)[0] == 0
    assert content(store, record) == noise(3000)


def test_a_collection_keeps_what_is_fresh_and_drops_what_is_not_used(store: Store, clock: Clock) -> None:
    kept = put(store, noise(3000, "kept"))
    store.stagings.write_open("labs", "master", [("a", kept)])
    put(store, noise(3000, "lost"))
    commit(store)
    deleted = 0
    for _ in range(2):
        clock.advance(2 * HOUR_US)
        report = collect(store)
        deleted += report.chunks_deleted
    assert deleted == 1
    assert content(store, kept) == noise(3000, "kept")
    assert check(store).clean

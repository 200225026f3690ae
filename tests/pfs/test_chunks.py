from __future__ import annotations

import itertools
import os
import threading
from pathlib import Path

import pytest
from blake3 import blake3
from sqlalchemy import Connection, func, select, update

from pfs.samples import Clock, crash, noise, pack_files, undo_transaction
from sidegate.errors import Corrupt, Unavailable
from sidegate.pfs import chunks as chunks_module
from sidegate.pfs import open_packs
from sidegate.pfs.catalog.schema import CHUNKS, FRESH_CHUNKS, PACKS
from sidegate.pfs.chunks import ChunkStore
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.pack_format import PackRecord, decode_records
from sidegate.pfs.pack_writing import PackWriter
from sidegate.pfs.packs import PackMissing
from sidegate.pfs.recovery import recover_abandoned
from sidegate.pfs.relocation import relocate
from sidegate.pfs.store import Store


def flush(store: Store) -> None:
    store.chunks.merge_index()


def row_count(store: Store) -> int:
    """Return how many chunks are in the index, merged or not."""
    with store.database.read() as connection:
        merged = connection.execute(select(func.count()).select_from(CHUNKS)).scalar_one()
        fresh = connection.execute(select(FRESH_CHUNKS.c.records)).scalars()
        return merged + sum(len(decode_records(records)) for records in fresh)


def condemn(store: Store, chunk: ChunkId) -> None:
    statement = update(CHUNKS).where(CHUNKS.c.id == chunk).values(condemned_us=1)
    store.database.write(lambda connection: connection.execute(statement))


def pack_name(store: Store, chunk: ChunkId) -> str:
    return store.chunks.locate([chunk])[chunk].pack.path.stem


@pytest.mark.parametrize("plain", [b"", b"x", b"text " * 1000, noise(100_000)])
def test_what_is_put_is_got(store: Store, plain: bytes) -> None:
    chunk = store.chunks.put(plain)
    assert chunk == blake3(plain).digest()
    assert store.chunks.get(chunk) == plain
    flush(store)
    assert store.chunks.get(chunk) == plain


def test_a_chunk_is_stored_once_however_often_it_comes(store: Store) -> None:
    plain = noise(50_000)
    store.chunks.put(plain)
    size = pack_files(store)[0].stat().st_size
    store.chunks.put(bytearray(plain))
    flush(store)
    store.chunks.put(memoryview(plain))
    flush(store)
    assert pack_files(store)[0].stat().st_size == size
    assert row_count(store) == 1


def test_chunks_survive_closing(directory: Path) -> None:
    with Store.open(directory) as store:
        chunk = store.chunks.put(b"kept")
    with Store.open(directory) as store:
        assert store.chunks.get(chunk) == b"kept"
        with store.database.read() as connection:
            assert connection.execute(select(PACKS.c.sealed)).scalars().all() == [True]


def test_a_killed_process_loses_nothing_that_was_indexed(directory: Path) -> None:
    store = Store.open(directory)
    indexed = store.chunks.put(noise(20_000, "indexed"))
    flush(store)
    unindexed = store.chunks.put(noise(20_000, "unindexed"))
    crash(store)
    with Store.open(directory) as store:
        assert store.chunks.get(indexed) == noise(20_000, "indexed")
        # Whole in a pack that the catalog knew: adopted, though nobody was promised it.
        assert store.chunks.get(unindexed) == noise(20_000, "unindexed")


def test_an_undone_operation_keeps_the_chunks(store: Store) -> None:
    chunk = store.chunks.put(b"data")

    def refuse(connection: Connection) -> None:
        raise Unavailable("no")

    with pytest.raises(Unavailable):
        store.database.write(refuse)
    assert row_count(store) == 1
    assert store.chunks.get(chunk) == b"data"


def test_a_failed_transaction_is_made_up_for_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = store.chunks.put(b"data")
    undo_transaction(store, monkeypatch)
    assert row_count(store) == 0
    assert store.chunks.get(chunk) == b"data"
    flush(store)
    assert row_count(store) == 1


def test_a_lost_chunk_is_named(store: Store) -> None:
    with pytest.raises(Corrupt, match="00000000") as caught:
        store.chunks.get(ChunkId(bytes(32)))
    assert caught.value.remedy == "run `sidegate fsck`"


def test_a_damaged_chunk_is_told(store: Store) -> None:
    chunk = store.chunks.put(noise(30_000))
    location = store.chunks.locate([chunk])[chunk]
    with location.pack.path.open("r+b") as file:
        file.seek(location.offset + 5)
        file.write(b"damage")
    with pytest.raises(Corrupt, match=f"chunk {chunk.hex()} in pack {location.pack.path.stem} is damaged"):
        store.chunks.get(chunk)


def test_a_condemned_chunk_is_read_and_stored_anew(store: Store) -> None:
    chunk = store.chunks.put(noise(30_000))
    flush(store)
    before = store.chunks.locate([chunk])[chunk].offset
    condemn(store, chunk)
    assert store.chunks.get(chunk) == noise(30_000)
    store.chunks.put(noise(30_000))
    flush(store)
    assert store.chunks.locate([chunk])[chunk].offset != before
    with store.database.read() as connection:
        assert connection.execute(select(CHUNKS.c.condemned_us)).scalars().all() == [None]


def test_packs_roll_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 50_000)
    ids = [store.chunks.put(noise(20_000, n)) for n in range(10)]
    assert len(pack_files(store)) == 4
    assert [store.chunks.get(chunk) for chunk in ids] == [noise(20_000, n) for n in range(10)]
    store.chunks.sync()
    flush(store)
    with store.database.read() as connection:
        assert connection.execute(select(PACKS.c.sealed)).scalars().all().count(True) == 3
    assert [store.chunks.get(chunk) for chunk in ids] == [noise(20_000, n) for n in range(10)]


def test_a_full_pack_takes_a_few_more_lists(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 50_000)
    monkeypatch.setattr(chunks_module, "LIST_BYTES", 30_000)
    store.chunks.put(noise(60_000))
    ids = [store.chunks.put_raw(noise(10_000, n)) for n in range(4)]
    assert [len(pack_files(store)), *map(store.chunks.get, ids)] == [2, *(noise(10_000, n) for n in range(4))]
    assert store.chunks.put_raw(noise(10_000, 3)) == ids[3]
    assert len(pack_files(store)) == 2


def test_lists_are_stored_as_they_are(store: Store) -> None:
    chunk = store.chunks.put_raw(bytes(5000))
    assert store.chunks.locate([chunk])[chunk].raw
    assert not store.chunks.locate([store.chunks.put(bytes(6000))]).popitem()[1].raw


def test_few_packs_stay_open(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 100)
    monkeypatch.setattr(open_packs, "OPEN_PACKS", 3)
    ids = [store.chunks.put(noise(200, n)) for n in range(10)]
    flush(store)
    assert [store.chunks.get(chunk) for chunk in ids] == [noise(200, n) for n in range(10)]
    assert len(store.chunks.packs) == 3


def test_two_processes_share_chunks(directory: Path) -> None:
    with Store.open(directory) as first, Store.open(directory) as second:
        chunk = first.chunks.put(b"shared")
        with pytest.raises(Corrupt):
            second.chunks.get(chunk)
        flush(first)
        assert second.chunks.get(chunk) == b"shared"
        second.chunks.put(b"shared")
        assert second.chunks._writer is None


def test_a_live_process_is_not_recovered(directory: Path) -> None:
    with Store.open(directory) as first:
        chunk = first.chunks.put(b"first")
        flush(first)
        with Store.open(directory) as second:
            assert recover_abandoned(second.chunks) == 0
        later = first.chunks.put(b"later")
        flush(first)
        assert first.chunks.get(chunk) == b"first"
        assert first.chunks.get(later) == b"later"


@pytest.mark.parametrize("damage", ["missing", "overwritten"])
def test_a_lost_unsealed_pack_does_not_stop_the_store(directory: Path, damage: str) -> None:
    store = Store.open(directory)
    chunk = store.chunks.put(b"gone")
    flush(store)
    [path] = pack_files(store)
    crash(store)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"nonsense" * 100)
    with Store.open(directory) as store, pytest.raises(Corrupt):
        store.chunks.get(chunk)


def test_threads_put_the_same_chunks(store: Store) -> None:
    found: list[list[ChunkId]] = []

    def work() -> None:
        found.append([store.chunks.put(noise(3000, n)) for n in range(50)])
        flush(store)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 4
    assert row_count(store) == 50
    assert [store.chunks.get(chunk) for chunk in found[0]] == [noise(3000, n) for n in range(50)]


def record_of(store: Store, chunk: ChunkId) -> PackRecord:
    location = store.chunks.locate([chunk])[chunk]
    return PackRecord(chunk, location.offset, location.stored_bytes, location.plain_bytes, location.encoding)


def test_relocated_chunks_are_found_in_the_new_pack(directory: Path) -> None:
    with Store.open(directory) as store:
        ids = [store.chunks.put(plain) for plain in (noise(30_000), b"text " * 900)]
    with Store.open(directory) as store:
        old = pack_name(store, ids[0])
        relocate(store.chunks, old, [record_of(store, chunk) for chunk in ids])
        new = pack_name(store, ids[0])
        assert new != old
        assert store.chunks.get(ids[0]) == noise(30_000)
        assert store.chunks.get(ids[1]) == b"text " * 900


def test_a_damaged_chunk_is_not_relocated(directory: Path) -> None:
    with Store.open(directory) as store:
        chunk = store.chunks.put(noise(30_000))
    with Store.open(directory) as store:
        location = store.chunks.locate([chunk])[chunk]
        with location.pack.path.open("r+b") as file:
            file.seek(location.offset)
            file.write(b"damage")
        with pytest.raises(Corrupt, match="damaged"):
            relocate(store.chunks, location.pack.path.stem, [record_of(store, chunk)])
        assert pack_name(store, chunk) == location.pack.path.stem


def test_a_reader_whose_pack_was_removed_looks_again(directory: Path) -> None:
    with Store.open(directory) as store:
        chunk = store.chunks.put(noise(30_000))
    with Store.open(directory) as collector, Store.open(directory) as reader:
        old = collector.chunks.locate([chunk])[chunk].pack.path
        lookup = ChunkStore._location
        moved = []

        def meanwhile(self: ChunkStore, name: str, *place: int) -> object:
            if not moved:
                moved.append(name)
                relocate(collector.chunks, old.stem, [record_of(collector, chunk)])
                old.unlink()
            return lookup(self, name, *place)

        reader.chunks._location = meanwhile.__get__(reader.chunks)
        assert reader.chunks.get(chunk) == noise(30_000)
        assert moved == [old.stem]


def test_a_pack_that_stays_missing_is_told(directory: Path) -> None:
    with Store.open(directory) as store:
        chunk = store.chunks.put(b"data")
        path = pack_files(store)[0]
    path.unlink()
    with Store.open(directory) as store, pytest.raises(PackMissing, match=path.name):
        store.chunks.get(chunk)


def test_keeping_pardons_and_finds_out_what_is_gone(store: Store) -> None:
    chunk = store.chunks.put(b"slow")
    flush(store)
    condemn(store, chunk)
    unindexed = store.chunks.put(b"fresh")
    store.chunks.keep([chunk, unindexed, chunk])
    with store.database.read() as connection:
        assert connection.execute(select(CHUNKS.c.condemned_us)).scalars().all() == [None, None]
    with pytest.raises(Unavailable, match="collection") as caught:
        store.chunks.keep([chunk, ChunkId(bytes(32))])
    assert caught.value.remedy == "write it again"


def test_a_publication_syncs_what_other_processes_wrote(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(chunks_module, "sync_pack", lambda path: synced.append(path.stem))
    with Store.open(directory) as first, Store.open(directory, clock=Clock()) as second:
        chunk = first.chunks.put(b"first")
        flush(first)
        second.chunks.sync_all()
        assert synced == [pack_name(first, chunk)]


def test_a_pack_that_is_not_on_disk_is_not_called_sealed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed machine may have torn it: opening the store must look into it."""
    gate = threading.Event()
    real = os.fdatasync
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 50_000)
    store = Store.open(directory)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda fd: (gate.wait(10), real(fd)))
        ids = [store.chunks.put(noise(40_000, n)) for n in range(3)]
        flush(store)
        with store.database.read() as connection:
            assert connection.execute(select(PACKS.c.sealed)).scalars().all() == [False, False]
        gate.set()
        store.chunks.sync()
    flush(store)
    with store.database.read() as connection:
        assert sorted(connection.execute(select(PACKS.c.sealed)).scalars()) == [False, True]
    assert [store.chunks.get(chunk) for chunk in ids] == [noise(40_000, n) for n in range(3)]
    store.close()


def test_a_durable_write_fails_when_a_sealed_pack_cannot_reach_the_disk(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(chunks_module, "PACK_BYTES", 50_000)
    store = Store.open(directory)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        for n in range(3):
            store.chunks.put(noise(40_000, n))
        with pytest.raises(OSError, match="Input/output"):
            store.database.write(lambda connection: None, durable=True)
    with pytest.raises(OSError, match="Input/output"):
        store.database.write(lambda connection: None, durable=True)
    assert row_count(store) == 0
    flush(store)
    assert row_count(store) == 3
    crash(store)


def test_a_commit_while_a_store_closes_leaves_no_pack_open(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes packs that are sealed and on disk from the list of those that closing goes through."""
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 50_000)
    monkeypatch.setattr(chunks_module, "write_back", lambda unsynced: None)
    store = Store.open(directory)
    ids = [store.chunks.put(noise(40_000, n)) for n in range(7)]
    flush(store)
    real = PackWriter.seal

    def seal_and_commit(writer: PackWriter) -> None:
        real(writer)
        writer.sync()
        flush(store)

    with monkeypatch.context() as patch:
        patch.setattr(PackWriter, "seal", seal_and_commit)
        store.close()
    assert store.chunks._full == []
    with Store.open(directory) as again:
        with again.database.read() as connection:
            assert connection.execute(select(PACKS.c.sealed)).scalars().all() == [True] * 4
        assert [again.chunks.get(chunk) for chunk in ids] == [noise(40_000, n) for n in range(7)]


def test_who_writes_while_a_store_closes_has_it_stored_or_is_told(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 50_000)
    store = Store.open(directory)
    stored: list[ChunkId] = []
    told: list[str] = []
    begun = threading.Event()

    def write(seed: int) -> None:
        for number in itertools.count():
            try:
                stored.append(store.chunks.put(noise(10_000, f"{seed} {number}")))
            except Unavailable as error:
                told.append(error.message)
                return
            if number == 20:
                begun.set()

    writers = [threading.Thread(target=write, args=(seed,), daemon=True) for seed in range(3)]
    for thread in writers:
        thread.start()
    assert begun.wait(20)
    store.chunks.close()
    for thread in writers:
        thread.join(20)
    store.close()
    assert told == ["the store is closed"] * 3
    with Store.open(directory) as again:
        with again.database.read() as connection:
            assert set(connection.execute(select(PACKS.c.sealed)).scalars()) == {True}
        assert set(again.chunks.locate(stored)) == set(stored)

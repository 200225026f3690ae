from __future__ import annotations

import pytest

from pfs.samples import noise
from sidegate.errors import Corrupt
from sidegate.pfs import remembered_places
from sidegate.pfs.pack_files import pack_path
from sidegate.pfs.pack_format import PackRecord
from sidegate.pfs.relocation import relocate
from sidegate.pfs.remembered_places import RememberedPlaces
from sidegate.pfs.store import Store


def count_queries(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    queries: list[object] = []
    locate = store.chunks.locate

    def counted(chunks: object) -> object:
        queries.append(chunks)
        return locate(chunks)  # type: ignore[arg-type]

    monkeypatch.setattr(store.chunks, "locate", counted)
    return queries


def test_a_place_is_asked_for_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plains = [noise(5000, seed) for seed in range(3)] + [b"compressible " * 500]
    chunks = [store.chunks.put(plain) for plain in plains]
    queries, places = count_queries(store, monkeypatch), RememberedPlaces(store.chunks)
    for _ in range(3):
        assert [places.get(chunk) for chunk in chunks] == plains
    assert len(queries) == len(chunks)


def test_few_places_are_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_places, "PLACES", 2)
    chunks = [store.chunks.put(noise(100, seed)) for seed in range(5)]
    queries, places = count_queries(store, monkeypatch), RememberedPlaces(store.chunks)
    for chunk in chunks:
        places.get(chunk)
    places.get(chunks[4])
    places.get(chunks[2])
    assert len(queries) == 5
    places.get(chunks[0])
    assert len(queries) == 6


def test_a_chunk_that_moved_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = store.chunks.put(b"moves")
    store.chunks.merge_index()
    places = RememberedPlaces(store.chunks)
    assert places.get(chunk) == b"moves"
    old = store.chunks.locate((chunk,))[chunk]
    name = old.pack.path.stem
    records = [PackRecord(chunk, old.offset, old.stored_bytes, old.plain_bytes, old.encoding)]
    monkeypatch.setattr(store.chunks, "_writer", None)  # as if another process had written the pack
    relocate(store.chunks, name, records)
    store.chunks.packs.close(name)
    pack_path(store.directory / "packs", name).unlink()
    queries = count_queries(store, monkeypatch)
    assert places.get(chunk) == b"moves"
    assert len(queries) == 1


def test_a_damaged_chunk_is_corrupt(store: Store) -> None:
    chunk = store.chunks.put(noise(5000))
    places = RememberedPlaces(store.chunks)
    places.get(chunk)
    location = store.chunks.locate((chunk,))[chunk]
    with location.pack.path.open("r+b") as file:
        file.seek(location.offset + 17)
        file.write(b"damage")
    with pytest.raises(Corrupt, match="damaged"):
        places.get(chunk)

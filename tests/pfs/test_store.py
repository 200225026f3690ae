from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Connection

from pfs.samples import content, noise, put
from sidegate.errors import AlreadyExists, Corrupt, NotFound, Unsupported
from sidegate.pfs.layout import RawSlice
from sidegate.pfs.store import Store


def test_a_store_is_made_once(directory: Path) -> None:
    with pytest.raises(AlreadyExists):
        Store.create(directory)
    description = json.loads((directory / "store.json").read_text())
    assert description["format"] == 1
    assert len(description["id"]) == 32


def test_no_store_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no store in") as caught:
        Store.open(tmp_path)
    assert caught.value.remedy == "run `sidegate init`"


@pytest.mark.parametrize(
    ("text", "error"), [('{"format": 2}', Unsupported), ("", Corrupt), ("{}", Corrupt), ("[]", Corrupt)]
)
def test_another_format_is_refused(directory: Path, text: str, error: type[Exception]) -> None:
    (directory / "store.json").write_text(text)
    with pytest.raises(error):
        Store.open(directory)


def test_a_newer_catalog_is_refused(directory: Path) -> None:
    with Store.open(directory) as store:
        store.database.write(
            lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        )
    with pytest.raises(Unsupported, match="schema 9999"):
        Store.open(directory)


def test_the_schema_is_what_the_migrations_make(directory: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from sidegate.pfs.catalog.schema import METADATA

    with Store.open(directory) as store, store.database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_what_was_staged_under_the_first_schema_is_kept(directory: Path) -> None:
    with Store.open(directory) as store:
        store.repos.create("labs")
        staging = store.stagings.begin_attempt("labs", "master")
        staging.put("a", put(store, b"one"))

    def step_back(connection: Connection) -> None:
        for statement in (
            "DROP INDEX ix_chunks_pack_offset",
            "CREATE INDEX ix_chunks_pack ON chunks (pack)",
            "DROP TABLE fresh_chunks",
            "UPDATE alembic_version SET version_num = '0001'",
        ):
            connection.exec_driver_sql(statement)

    with Store.open(directory) as store:
        store.database.write(step_back)
    with Store.open(directory) as store:
        kept = store.stagings.get(staging.id)
        assert [path for path, _ in kept.files()] == ["a"]
        kept.put("b", put(store, b"two"))
        assert [path for path, _ in kept.files()] == ["a", "b"]


@pytest.mark.usefixtures("small_cuts", "small_lists")
@pytest.mark.parametrize(
    "data", [b"", b"x", noise(5000), b"text " * 3000], ids=["empty", "one", "raw", "text"]
)
def test_every_range_reads_the_bytes(store: Store, data: bytes) -> None:
    record = put(store, data)
    assert record.size_bytes == len(data)
    assert content(store, record) == data
    places = sorted({0, 1, len(data) // 3, len(data) // 2, max(len(data) - 1, 0), len(data)})
    layout = store.layout(record)
    assert layout is not None
    assert layout.size_bytes == len(data)
    for offset in places:
        for end in [*places, len(data) + 10]:
            if offset <= end:
                assert content(store, record, offset, end) == data[offset:end]
            if offset <= end <= len(data):
                assert b"".join(piece.read() for piece in layout.slices(offset, end)) == data[offset:end]


def test_raw_bytes_are_given_as_places_in_packs(store: Store) -> None:
    record = put(store, noise(3_000_000))
    slices = list(store.slices(record, 1000, 2_999_000))
    assert all(isinstance(piece, RawSlice) for piece in slices)
    assert sum(piece.length for piece in slices) == 2_998_000
    layout = store.layout(record)
    assert layout is not None
    assert layout.raw
    text = store.layout(put(store, b"text " * 1000))
    assert text is not None
    assert not text.raw


def test_a_tag_is_made_of_the_extents_unless_given(store: Store) -> None:
    record = put(store, b"data", parts=3)
    digits, parts = record.tag.split("-")
    assert (len(digits), parts) == (32, "3")
    assert put(store, b"data", parts=3).tag == record.tag
    assert put(store, b"data2", parts=3).tag != record.tag
    assert store.record((), tag="own").tag == "own"

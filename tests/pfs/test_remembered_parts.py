"""Parts that are remembered are those that are stored, whoever stored them, or none are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from pfs.samples import noise, put
from sidegate.native import collect_parts
from sidegate.native.part_columns import PartColumns
from sidegate.pfs import changes, remembered_parts
from sidegate.pfs.changes import upload_scope
from sidegate.pfs.files import FileRecord
from sidegate.pfs.remembered_parts import PART_BYTES
from sidegate.pfs.store import Store


@pytest.fixture(autouse=True, params=[1, 16])
def settled_together(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(remembered_parts, "SETTLED_TOGETHER", request.param)


@pytest.fixture
def other(store: Store, directory: Path) -> Iterator[Store]:
    with Store.open(directory) as opened:
        yield opened


def begin(store: Store, *numbers: int) -> str:
    upload = store.uploads.create("labs@master", "big", {}).id
    for number in numbers:
        add(store, upload, number)
    return upload


def add(store: Store, upload: str, number: int, plain: bytes = b"") -> FileRecord:
    record = put(store, plain or noise(100, number))
    store.uploads.put_part(upload, number, record)
    return record


def stored(store: Store, upload: str) -> PartColumns:
    return collect_parts(store.uploads.part_rows(upload))


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [1],
        [1, 2, 3],
        [3, 2, 1],
        [2, 1, 5, 3, 4, 6],
        [7, 20, 9],
        [10_000],
        random.Random(3).sample(range(1, 60), 59),
    ],
    ids=lambda numbers: "-".join(map(str, numbers[:8])),
)
def test_parts_in_any_order_are_remembered_as_they_are_stored(store: Store, numbers: list[int]) -> None:
    upload = begin(store, *numbers)
    for _ in range(2):
        remembered = store.uploads.remembered_columns(upload)
        assert remembered == stored(store, upload)
    assert remembered is not None
    assert remembered.names.count(b":") == len(numbers)


def test_what_was_returned_does_not_change_with_more_parts(store: Store) -> None:
    upload = begin(store, 1, 3)
    before, expected = store.uploads.remembered_columns(upload), stored(store, upload)
    add(store, upload, 4)
    assert before == expected
    assert store.uploads.remembered_columns(upload) == stored(store, upload)


@pytest.mark.parametrize("numbers", [[1, 2], [2, 4]])
def test_a_part_sent_again_is_the_one_that_counts(store: Store, numbers: list[int]) -> None:
    upload = begin(store, *numbers)
    again = add(store, upload, numbers[0], b"another")
    remembered = store.uploads.remembered_columns(upload)
    assert remembered in (None, stored(store, upload))
    assert stored(store, upload).names.startswith(b"%d:%b" % (numbers[0], again.tag.encode()))


def test_any_parts_in_any_order_are_never_remembered_wrongly(store: Store, other: Store) -> None:
    source = random.Random(5)
    remembered_count = 0
    for _ in range(30):
        upload = begin(store)
        for step in range(source.randrange(8)):
            adding = other if source.randrange(12) == 0 else store
            add(adding, upload, source.randrange(1, 40), noise(50, step))
        remembered = store.uploads.remembered_columns(upload)
        assert remembered in (None, stored(store, upload))
        remembered_count += remembered is not None
    assert 5 < remembered_count < 30


def test_parts_that_another_process_adds_make_this_one_forget(store: Store, other: Store) -> None:
    upload = begin(store, 1, 2)
    assert store.uploads.remembered_columns(upload) is not None
    add(other, upload, 3)
    assert store.uploads.remembered_columns(upload) is None
    add(store, upload, 4)
    assert store.uploads.remembered_columns(upload) is None
    assert stored(store, upload).names.count(b":") == 4
    assert other.uploads.remembered_columns(upload) is None


def test_uploads_of_one_cell_do_not_hide_what_another_process_added(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "UPLOAD_CELLS", 1)
    upload, neighbour = begin(store, 1), begin(store, 1)
    assert store.uploads.remembered_columns(upload) is not None
    assert store.uploads.remembered_columns(neighbour) is not None
    add(other, upload, 2)
    # The last word is ours again, and says nothing of that part.
    add(store, neighbour, 2)
    begin(store, 1)
    assert store.uploads.remembered_columns(upload) is None


def test_a_process_that_was_killed_in_between_leaves_a_doubt(store: Store, other: Store) -> None:
    upload = begin(store, 1)
    other.changes.announce([upload_scope(upload)])
    assert store.uploads.remembered_columns(upload) is None


def test_what_was_not_committed_is_not_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError(5, "Input/output error")

    upload = begin(store, 1)
    write = store.uploads.part(upload, 2, put(store, b"two"))
    write.durable = True
    with monkeypatch.context() as patch:
        patch.setattr(store.chunks, "sync", broken)
        with pytest.raises(OSError, match="Input/output"):
            store.database.carry_out(write)
    assert store.uploads.remembered_columns(upload) is None
    add(store, upload, 3)
    assert store.uploads.remembered_columns(upload) is None
    assert stored(store, upload).names.count(b":") == 2


def test_a_part_on_its_way_is_waited_for_by_nobody(store: Store) -> None:
    upload = begin(store, 1)
    write = store.uploads.part(upload, 2, put(store, b"two"))
    seen: list[PartColumns | None] = []

    def operation(connection: Connection) -> None:
        write.operation(connection)
        seen.append(store.uploads.remembered_columns(upload))

    store.database.write(operation)
    assert seen == [None]


def test_records_of_another_kind_are_left_to_the_catalog(store: Store) -> None:
    upload = begin(store, 1)
    cutter = store.cutter()
    cutter.write(b"two")
    record = store.record(cutter.finish(), attributes=(("checksum:crc32", "AAAAAA=="),))
    store.uploads.put_part(upload, 2, record)
    assert store.uploads.remembered_columns(upload) is None
    assert stored(store, upload).attributes == {}


def test_nothing_is_remembered_of_what_others_made_or_is_over(store: Store, directory: Path) -> None:
    made_before = begin(store, 1)
    completed, aborted = begin(store, 1), begin(store, 1)
    store.uploads.complete(completed, {"tag": "x"})
    store.uploads.abort(aborted)
    assert store.uploads.remembered_columns(completed) is None
    assert store.uploads.remembered_columns(aborted) is None
    with Store.open(directory) as later:
        add(later, made_before, 2)
        assert later.uploads.remembered_columns(made_before) is None
        assert stored(later, made_before).names.count(b":") == 2


def test_only_so_many_bytes_are_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_parts, "REMEMBERED_BYTES", 20 * PART_BYTES)
    first, second = begin(store, 1, 2, 3), begin(store, 1, 2, 3)
    assert store.uploads.remembered_columns(first) is not None
    for number in range(4, 12):
        add(store, second, number)
    assert store.uploads.remembered_columns(first) is None
    assert store.uploads.remembered_columns(second) == stored(store, second)
    for number in range(12, 40):
        add(store, second, number)
    assert store.uploads.remembered_columns(second) is None
    assert store.uploads._parts._size_bytes == 0
    assert store.uploads.remembered_columns(begin(store, 1)) is not None

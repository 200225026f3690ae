from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from pfs.samples import HOUR_US, Clock, content, noise, put
from sidegate.errors import NotFound
from sidegate.native import collect_parts
from sidegate.pfs.catalog.schema import PARTS
from sidegate.pfs.checking import check
from sidegate.pfs.collection import collect
from sidegate.pfs.files import INLINE_EXTENTS, ExtentList
from sidegate.pfs.store import Store
from sidegate.pfs.uploads import INLINE_PARTS, PART_EXTENTS, REMEMBERED_COUNT, Part, inline_count


def test_parts_come_in_any_order_and_replace_each_other(store: Store) -> None:
    upload = store.uploads.create("labs@master", "big", {"owner": "me"})
    one, two = put(store, b"one"), put(store, b"two")
    store.uploads.put_part(upload.id, 10_000, two)
    store.uploads.put_part(upload.id, 2, two)
    store.uploads.put_part(upload.id, 1, two)
    store.uploads.put_part(upload.id, 1, one)
    assert [(part.number, part.record) for part in store.uploads.parts(upload.id)] == [
        (1, one),
        (2, two),
        (10_000, two),
    ]
    assert [part.number for part in store.uploads.parts(upload.id, after=1)] == [2, 10_000]
    assert store.uploads.get(upload.id) == upload
    assert upload.details == {"owner": "me"}


def test_unfinished_uploads_are_listed_by_path_and_age(store: Store) -> None:
    create = store.uploads.create
    b1, a, b2 = (create("labs@master", path, {}) for path in ("b", "a", "b"))
    create("labs@other", "a", {})
    done = create("labs@master", "done", {})
    store.uploads.complete(done.id, {"tag": "x"})
    assert list(store.uploads.unfinished("labs@master")) == [a, b1, b2]
    assert list(store.uploads.unfinished("labs@master", "b")) == [b1, b2]


def test_a_completed_upload_remembers_its_answer_and_takes_no_more(store: Store) -> None:
    upload = store.uploads.create("labs@master", "big", {})
    store.uploads.put_part(upload.id, 1, put(store, b"one"))
    store.uploads.complete(upload.id, {"tag": "x-1"})
    assert store.uploads.get(upload.id).result == {"tag": "x-1"}
    assert store.uploads.parts(upload.id) == []
    with pytest.raises(NotFound):
        store.uploads.put_part(upload.id, 2, put(store, b"two"))
    with pytest.raises(NotFound):
        store.uploads.abort(upload.id)


def test_open_uploads_are_remembered_until_they_end_here(store: Store) -> None:
    completed, aborted, dropped, left = (
        store.uploads.create(scope, "big", {"owner": "me"}) for scope in ("a", "a", "b", "a")
    )
    for upload in (completed, aborted, dropped, left):
        assert store.uploads.recall(upload.id) == upload
        store.uploads.forget(upload.id)
        assert store.uploads.recall(upload.id) is None
        assert store.uploads.get(upload.id) == store.uploads.recall(upload.id) == upload
    store.uploads.complete(completed.id, {"tag": "x"})
    store.uploads.abort(aborted.id)
    store.uploads.drop_scope("b")
    remembered = [store.uploads.recall(upload.id) for upload in (completed, aborted, dropped, left)]
    assert remembered == [None, None, None, left]


@pytest.mark.parametrize("ending", ["completed", "aborted"])
def test_a_part_of_what_another_process_ended_is_refused(store: Store, ending: str) -> None:
    upload = store.uploads.create("labs@master", "big", {})
    record = put(store, b"one")
    store.uploads.get(upload.id)
    with Store.open(store.directory) as other:
        if ending == "completed":
            other.uploads.complete(upload.id, {"tag": "x-1"})
        else:
            other.uploads.abort(upload.id)
    assert store.uploads.recall(upload.id) == upload
    with pytest.raises(NotFound):
        store.uploads.put_part(upload.id, 1, record)
    assert store.uploads.recall(upload.id) is None
    with store.database.read() as connection:
        assert connection.execute(select(PARTS)).all() == []


def test_only_so_many_uploads_are_remembered(store: Store) -> None:
    uploads = [store.uploads.create("labs@master", "big", {}) for _ in range(REMEMBERED_COUNT + 2)]
    for upload in uploads:
        store.uploads.get(upload.id)
    remembered = [upload for upload in uploads if store.uploads.recall(upload.id) is not None]
    assert remembered == uploads[2:]


@pytest.mark.usefixtures("small_cuts")
def test_only_records_of_early_parts_hold_lists_that_files_keep_apart(store: Store) -> None:
    upload = store.uploads.create("labs@master", "big", {})
    datas = {number: noise(3000, number) for number in (1, INLINE_PARTS, INLINE_PARTS + 1)}
    for number, data in datas.items():
        cutter = store.cutter()
        cutter.write(data)
        extents = cutter.finish()
        assert INLINE_EXTENTS < len(extents) <= PART_EXTENTS
        record = store.record(extents, inline_count=inline_count(number))
        copied = store.sliced_record(record, 100, 2900, inline_count=inline_count(number))
        for one in (record, copied):
            assert isinstance(one.extents, ExtentList) == (number > INLINE_PARTS)
        assert content(store, copied) == data[100:2900]
        store.uploads.put_part(upload.id, number, record)
    assert check(store).clean
    joined = store.joined_record(collect_parts(store.uploads.part_rows(upload.id)))
    assert isinstance(joined.extents, ExtentList)
    assert content(store, joined) == b"".join(datas.values())


def test_a_collection_removes_the_parts_of_what_is_completed(store: Store, clock: Clock) -> None:
    used, unused = put(store, noise(3000, "used")), put(store, noise(3000, "unused"))
    open_upload = store.uploads.create("labs@master", "open", {})
    store.uploads.put_part(open_upload.id, 1, used)
    done = store.uploads.create("labs@master", "done", {})
    store.uploads.put_part(done.id, 1, used)
    store.uploads.put_part(done.id, 2, unused)
    store.uploads.complete(done.id, {"tag": "x"})
    assert check(store).clean
    deleted = 0
    for _ in range(2):
        clock.advance(2 * HOUR_US)
        deleted += collect(store).chunks_deleted
    assert deleted == 1
    assert check(store).clean
    assert store.uploads.parts(open_upload.id) == [Part(1, used)]
    assert store.uploads.get(done.id).result == {"tag": "x"}
    with store.database.read() as connection:
        assert set(connection.execute(select(PARTS.c.upload)).scalars()) == {open_upload.id}


def test_an_aborted_upload_is_gone(store: Store) -> None:
    upload = store.uploads.create("labs@master", "big", {})
    store.uploads.put_part(upload.id, 1, put(store, b"one"))
    store.uploads.abort(upload.id)
    assert list(store.uploads.unfinished("labs@master")) == []


@pytest.mark.parametrize(
    "use",
    [
        lambda store: store.uploads.get("none"),
        lambda store: store.uploads.put_part("none", 1, put(store, b"x")),
        lambda store: store.uploads.complete("none", {}),
        lambda store: store.uploads.abort("none"),
    ],
)
def test_an_upload_that_is_not_there_is_told(store: Store, use: Callable[[Store], object]) -> None:
    with pytest.raises(NotFound, match="no open upload none"):
        use(store)


def test_a_scope_is_dropped_whole(store: Store) -> None:
    upload = store.uploads.create("scope", "a", {})
    store.uploads.put_part(upload.id, 1, put(store, b"one"))
    done = store.uploads.create("scope", "b", {})
    store.uploads.complete(done.id, {})
    other = store.uploads.create("other", "a", {})
    store.uploads.drop_scope("scope")
    assert store.uploads.get(other.id) == other
    for gone in (upload, done):
        with pytest.raises(NotFound):
            store.uploads.get(gone.id)

"""Listings against their definition: every view of a store, any keys, any query."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from listing_definition import File, document

from sidegate.gateway.listings import page_of, render_page
from sidegate.native import PageScan
from sidegate.pfs.files import FileRecord, encode_record
from sidegate.pfs.nodes import Entry
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store
from sidegate.pfs.tree import NodeCache, Tree
from sidegate.pfs.tree_edit import build
from sidegate.pfs.views import FileView
from sidegate.s3.listing import ListQuery, decode_token

LAST_DATE_US = 253_402_300_799_999_999

texts = st.text(alphabet="ab/%+ &<'\"\r\n\t\x01\x7fé\ud7ff\ue000\ufffd\uffff😀\U0010ffff", max_size=6)
keys = st.one_of(
    texts,
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    st.builds("{:03}/{:03}".format, st.integers(0, 20), st.integers(0, 300)),
    st.text("a/", max_size=200),
).filter(bool)
files = st.builds(
    File,
    st.one_of(st.integers(0, 200), st.integers(0, 1 << 55)),
    st.sampled_from(["0123456789abcdef" * 2, "0123456789abcdef" * 2 + "-17", "é"]),
    st.one_of(st.integers(0, LAST_DATE_US), st.sampled_from([0, 951_782_400_000_000, LAST_DATE_US])),
)
contents = st.dictionaries(keys, files, max_size=60)


@st.composite
def queries(draw: st.DrawFn) -> ListQuery:
    version = draw(st.sampled_from([1, 2]))
    after = draw(st.one_of(st.just(""), texts, keys))
    return ListQuery(
        version,
        prefix=draw(st.one_of(st.just(""), texts, st.sampled_from(["000/", "00"]))),
        delimiter=draw(st.sampled_from(["", "/", "a", "//", "a/", "é", "\U0010ffff", "%", "0/0"])),
        max_keys=draw(st.one_of(st.integers(0, 8), st.just(1000))),
        after=after,
        encode_url=draw(st.booleans()),
        fetch_owner=version == 1 or draw(st.booleans()),
        marker=after if version == 1 else "",
        start_after=after or None if version == 2 else None,
    )


def record(file: File) -> FileRecord:
    return FileRecord(file.size_bytes, file.tag, file.modified_us, (), bytes(32))


def listed(view: FileView, query: ListQuery) -> bytes:
    page = page_of(query)
    view.collect(page)
    return render_page("labs", query, page)


def tree_of(store: Store, held: dict[str, File]) -> Tree:
    entries = [Entry(key.encode(), encode_record(record(file))) for key, file in held.items()]
    return Tree(store.cache, build(store.cache, sorted(entries)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path: Path = tmp_path_factory.mktemp("store") / ".sidegate"
    Store.create(path)
    with Store.open(path) as opened:
        opened.repos.create("labs")
        yield opened


@settings(deadline=None)
@given(held=contents, query=queries())
@example(held={"a/b": File(1, "t", 0), "a/c": File(1, "t", 0)}, query=ListQuery(2, delimiter="/", max_keys=1))
@example(held={}, query=ListQuery(2))
def test_a_commit_is_listed_as_defined(store: Store, held: dict[str, File], query: ListQuery) -> None:
    tree = tree_of(store, held)
    assert listed(tree, query) == document("labs", query, held)
    page = page_of(query)
    assert tree.collect_from_memory(page)
    assert render_page("labs", query, page) == document("labs", query, held)


@settings(deadline=None, max_examples=40)
@given(held=contents, query=queries())
def test_an_attempt_is_listed_as_defined(store: Store, held: dict[str, File], query: ListQuery) -> None:
    staging = store.stagings.begin_attempt("labs", "master")
    staging.put_many((key, record(file)) for key, file in held.items())
    assert listed(staging, query) == document("labs", query, held)
    store.stagings.drop(staging.id)


layers = st.dictionaries(keys, st.one_of(files, st.none()), max_size=20)


@settings(deadline=None, max_examples=60)
@given(base=contents, changes=layers, query=queries())
def test_a_branch_with_open_writes_is_listed_as_defined(
    store: Store, base: dict[str, File], changes: dict[str, File | None], query: ListQuery
) -> None:
    view = store.branch_view("labs", "work")
    view.put_many((key, record(file)) for key, file in base.items())
    if base:
        store.finish_open("labs", "work")
    written = {key: file for key, file in changes.items() if file is not None}
    view.put_many((key, record(file)) for key, file in written.items())
    view.delete([key for key, file in changes.items() if file is None])
    held = {key: file for key, file in (base | changes).items() if file is not None}
    assert listed(view, query) == document("labs", query, held)
    for info in store.stagings.pending("labs", "work"):
        store.stagings.drop(info.id)
    if base:
        store.branches.delete("labs", "work")


@pytest.mark.parametrize("delimiter", ["", "/", "7/"])
def test_pages_of_many_nodes_join_to_the_whole(store: Store, delimiter: str) -> None:
    held = {f"{n % 97:02}/{n:05}": File(n, "tag", n * 1_000_000) for n in range(3000)}
    tree = tree_of(store, held)
    after, names = "", []
    while True:
        query = ListQuery(2, delimiter=delimiter, max_keys=171, after=after, start_after=after or None)
        assert listed(tree, query) == document("labs", query, held)
        page = page_of(query)
        tree.collect(page)
        names += page.groups
        if not page.truncated:
            break
        assert page.last is not None
        after = page.last.decode()
    assert len(names) == {"": 0, "/": 97, "7/": 97}[delimiter] or names


def test_a_page_is_not_made_without_its_nodes(store: Store) -> None:
    held = {f"{n:05}": File(n, "tag", n) for n in range(3000)}
    root = tree_of(store, held).root
    cache = NodeCache(store.chunks)
    cold, query = Tree(cache, root), ListQuery(2, max_keys=900)
    page = page_of(query)
    assert not cold.collect_from_memory(page)
    assert (page.columns.row_count, page.last, page.truncated) == (0, None, False)
    cold.collect(page)
    assert page.columns.row_count == 900
    again = page_of(query)
    assert cold.collect_from_memory(again)
    assert again.columns.names == page.columns.names
    assert not cold.collect_from_memory(page_of(ListQuery(2, after="02000")))


def test_a_staging_is_read_a_page_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    staging: Staging = store.stagings.begin_attempt("labs", "master")
    staging.put_many((f"d{n // 1000}/{n:05}", record(File(n, "tag", n))) for n in range(5000))
    limits = []
    fetch = store.database.fetch

    def counted(statement: object, parameters: dict[str, object]) -> object:
        limits.append(parameters["limit"])
        return fetch(statement, parameters)  # type: ignore[arg-type]

    monkeypatch.setattr(store.database, "fetch", counted)

    def collected(query: ListQuery) -> PageScan:
        limits.clear()
        page = page_of(query)
        staging.collect(page)
        return page

    assert collected(ListQuery(2)).columns.row_count == 1000
    assert limits == [1001]
    assert collected(ListQuery(2, "d1/", "/", 2)).columns.row_count == 2
    assert limits == [3]
    assert collected(ListQuery(2, delimiter="/")).groups == tuple(b"d%d/" % n for n in range(5))
    assert limits == [32] * 6
    assert collected(ListQuery(2, "d1/", "/")).columns.row_count == 1000
    assert sum(limits) < 3000
    store.stagings.drop(staging.id)


def test_tokens_continue_where_the_page_ended(store: Store) -> None:
    tree = tree_of(store, {"a": File(1, "t", 0), "é/x": File(1, "t", 0), "ü": File(1, "t", 0)})
    body = listed(tree, ListQuery(2, delimiter="/", max_keys=2))
    token = body.partition(b"<NextContinuationToken>")[2].partition(b"<")[0].decode()
    assert decode_token(token) == "é/"

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update

from pfs.samples import commit_files, content, crash, extents_of, noise, pack_files, put
from sidegate.pfs import chunks as chunks_module
from sidegate.pfs.catalog.schema import BRANCHES, CHUNKS, COMMITS, PACKS, PARTS, PROVENANCE, STAGED
from sidegate.pfs.checking import CheckReport, check
from sidegate.pfs.commits import Commit
from sidegate.pfs.files import ExtentList, encode_record
from sidegate.pfs.ids import ChunkId, NodeId
from sidegate.pfs.nodes import Child, Entry, encode_child, encode_node
from sidegate.pfs.store import Store

BIG, SMALL = noise(3_000_000, "big"), b"small"


@pytest.fixture
def filled(directory: Path) -> Store:
    """Two commits in sealed packs, an open commit, an attempt and an upload."""
    with Store.open(directory) as store:
        store.repos.create("labs")
        commit_files(
            store, "labs", {"big": BIG, "small": SMALL} | {f"d/{n:03}": b"%d" % n for n in range(300)}
        )
        commit_files(store, "labs", {"small": b"changed"})
        store.stagings.write_open("labs", "master", [("open", put(store, b"open"))])
        upload = store.uploads.create("labs@master", "part", {})
        store.uploads.put_part(upload.id, 1, put(store, b"part"))
    store = Store.open(directory)
    yield store
    store.close()


def run(store: Store, change: Callable[[Connection], object]) -> None:
    def unchecked(connection: Connection) -> None:
        change(connection)

    store.chunks.merge_index()
    with store.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        unchecked(connection)
        connection.commit()
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")


def commits(store: Store) -> list[Commit]:
    return store.commits.all("labs")


def first_chunk(store: Store, path: str) -> ChunkId:
    record = store.branch_view("labs", "master").get(path)
    assert record is not None
    return extents_of(store, record)[0].chunk


def damage(store: Store, chunk: ChunkId) -> str:
    location = store.chunks.locate([chunk])[chunk]
    with location.pack.path.open("r+b") as file:
        file.seek(location.offset + location.stored_bytes // 2)
        file.write(b"damage"[: location.stored_bytes])
    return location.pack.path.stem


def found(report: CheckReport) -> set[tuple[str, str]]:
    return {(finding.kind, finding.subject) for finding in report.findings}


def test_a_whole_store_is_clean(filled: Store) -> None:
    report = check(filled)
    assert report.clean
    assert (report.commits, report.files, report.packs) == (2, 604, 1)
    assert report.payloads == report.chunks > 300
    quick = check(filled, quick=True)
    assert quick.clean
    assert quick.payloads == 0


def test_a_store_being_written_is_clean(store: Store) -> None:
    commit_files(store, "labs", {"a": noise(100_000)})
    put(store, b"in flight")
    assert check(store).clean


def test_a_damaged_payload_names_everyone_who_refers_to_it(filled: Store) -> None:
    chunk = first_chunk(filled, "big")
    pack = damage(filled, chunk)
    report = check(filled)
    assert found(report) == {("pack", chunk.hex()), ("chunk", chunk.hex())}
    lost = report.findings[-1]
    assert lost.message == f"it is damaged in pack {pack}"
    assert set(lost.referrers) == {f"labs@{commit.id}:/big" for commit in commits(filled)}
    assert lost.referrer_count == 2
    assert check(filled, quick=True).clean, "payloads are not read"


def test_a_missing_pack_names_every_file_that_was_in_it(filled: Store) -> None:
    [pack] = pack_files(filled)
    pack.unlink()
    report = check(filled)
    roots = {("chunk", commit.root.hex()) for commit in commits(filled)}
    assert ("pack", pack.stem) in found(report)
    assert roots <= found(report)
    referrers = {referrer for finding in report.findings for referrer in finding.referrers}
    [staging] = filled.stagings.all()
    assert f"staging {staging.id}:/open" in referrers
    assert any(referrer.startswith("upload ") and referrer.endswith(" part 1") for referrer in referrers)


def test_a_lost_index_row_is_found_and_repaired(filled: Store) -> None:
    chunk = first_chunk(filled, "big")
    run(filled, lambda connection: connection.execute(delete(CHUNKS).where(CHUNKS.c.id == chunk)))
    report = check(filled)
    assert found(report) == {("chunk", chunk.hex())}
    assert report.findings[0].message == "it is not in the index"
    repaired = check(filled, repair=True)
    assert repaired.clean
    assert [finding.subject for finding in repaired.repaired] == [chunk.hex()]


def test_the_whole_index_is_rebuilt_from_the_packs(filled: Store) -> None:
    def rows() -> set[tuple[object, ...]]:
        filled.chunks.merge_index()
        with filled.database.read() as connection:
            columns = (CHUNKS.c.id, CHUNKS.c.offset, CHUNKS.c.stored_bytes, CHUNKS.c.encoding, PACKS.c.name)
            return set(connection.execute(select(*columns).join(PACKS)).all())

    before = rows()
    run(filled, lambda connection: (connection.execute(delete(CHUNKS)), connection.execute(delete(PACKS))))
    assert not check(filled).clean
    assert check(filled, repair=True).clean
    assert rows() == before
    assert content(filled, filled.branch_view("labs", "master").get("big")) == BIG


@pytest.mark.parametrize("field", ["offset", "stored_bytes", "plain_bytes", "encoding"])
def test_a_row_that_says_another_thing_than_the_pack(filled: Store, field: str) -> None:
    chunk = first_chunk(filled, "big")
    column = CHUNKS.c[field]
    change = update(CHUNKS).where(CHUNKS.c.id == chunk).values({column: column + 1})
    run(filled, lambda connection: connection.execute(change))
    report = check(filled, quick=True)
    assert {("index", chunk.hex()), ("chunk", chunk.hex())} == found(report)
    assert check(filled, repair=True).clean


def test_a_good_copy_in_another_pack_is_found(directory: Path, filled: Store) -> None:
    chunk = first_chunk(filled, "big")
    run(filled, lambda c: c.execute(update(CHUNKS).where(CHUNKS.c.id == chunk).values(condemned_us=1)))
    put(filled, BIG)  # stored anew in this process's pack; the row moves there
    filled.database.write(lambda connection: None)
    damage(filled, chunk)
    filled.close()
    with Store.open(directory) as store:
        report = check(store, repair=True)
        assert report.clean
        assert len(report.repaired) == 2
        assert content(store, store.branch_view("labs", "master").get("big")) == BIG


def test_a_repair_leaves_what_is_lost_and_says_so(filled: Store) -> None:
    chunk = first_chunk(filled, "big")
    damage(filled, chunk)
    report = check(filled, repair=True)
    assert found(report) == {("chunk", chunk.hex())}
    assert report.findings[0].referrer_count == 2
    with filled.database.read() as connection:
        assert len(connection.execute(select(COMMITS)).all()) == 2


def test_a_repair_forgets_a_missing_pack(filled: Store) -> None:
    [pack] = pack_files(filled)
    pack.unlink()
    report = check(filled, repair=True)
    assert all(finding.kind == "chunk" for finding in report.findings)
    with filled.database.read() as connection:
        assert connection.execute(select(PACKS)).all() == []


@pytest.mark.parametrize(("offset", "message"), [(-1, "missing"), (-80, "damaged")])
def test_a_damaged_footer_is_made_anew(filled: Store, offset: int, message: str) -> None:
    [pack] = pack_files(filled)
    data = bytearray(pack.read_bytes())
    data[offset] ^= 1
    pack.write_bytes(data)
    report = check(filled)
    assert [(finding.kind, finding.message) for finding in report.findings] == [
        ("pack", f"its footer is {message}")
    ]
    assert check(filled, repair=True).clean


def test_a_damaged_header_is_told(filled: Store) -> None:
    [pack] = pack_files(filled)
    with pack.open("r+b") as file:
        file.write(b"XXXX")
    report = check(filled, repair=True)
    assert [(f.kind, f.message) for f in report.findings] == [("pack", "its header is damaged")]


def test_a_pack_under_another_name_is_told(filled: Store) -> None:
    [pack] = pack_files(filled)
    other = pack.with_name("f" * 32 + ".pack")
    moved = other.parent.parent / "ff" / other.name
    moved.parent.mkdir()
    pack.rename(moved)
    run(filled, lambda connection: connection.execute(update(PACKS).values(name="f" * 32)))
    assert [f.message for f in check(filled).findings] == ["its header has another name"]


def test_a_live_writer_is_not_disturbed_by_a_repair(
    directory: Path, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 50_000)
    with Store.open(directory) as writer:
        kept = put(writer, noise(40_000, "kept"))
        writer.stagings.write_open("labs", "master", [("kept", kept)])
        in_flight = [put(writer, noise(40_000, n)) for n in range(3)]
        chunk = first_chunk(filled, "big")
        run(filled, lambda connection: connection.execute(delete(CHUNKS).where(CHUNKS.c.id == chunk)))
        assert check(filled, repair=True).clean
        writer.stagings.write_open("labs", "master", [(f"f{n}", r) for n, r in enumerate(in_flight)])
        assert check(filled).clean
        for n, record in enumerate(in_flight):
            assert content(writer, record) == noise(40_000, n)
    assert check(filled).clean


def test_a_killed_writer_leaves_a_clean_store(directory: Path) -> None:
    store = Store.open(directory)
    store.repos.create("labs")
    commit_files(store, "labs", {"a": noise(100_000)})
    put(store, noise(100_000, "in flight"))
    crash(store)
    with Store.open(directory) as store:
        assert check(store).clean


# -- trees and records that say wrong things ------------------------------------


def set_root(store: Store, root: bytes) -> None:
    change = update(COMMITS).where(COMMITS.c.id == commits(store)[0].id).values(root=root)
    run(store, lambda connection: connection.execute(change))


def leaf(store: Store, entries: list[tuple[bytes, bytes]]) -> NodeId:
    node = NodeId(store.chunks.put(encode_node(0, [Entry(*entry) for entry in entries], len(entries))))
    store.database.write(lambda connection: None)
    return node


def inner(store: Store, children: list[tuple[bytes, NodeId, int, int]], level: int = 1) -> NodeId:
    entries = [Entry(key, encode_child(Child(node, count, size))) for key, node, count, size in children]
    node = NodeId(store.chunks.put(encode_node(level, entries, len(entries))))
    store.database.write(lambda connection: None)
    return node


def faults_of_tree(store: Store, make: Callable[[Store], NodeId]) -> set[str]:
    set_root(store, make(store))
    return {finding.message for finding in check(store).findings if finding.kind in ("tree", "record")}


def sample(store: Store, data: bytes = b"x") -> bytes:
    return encode_record(put(store, data))


OTHER = "index node says another thing than its child"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: leaf(s, [(b"b", sample(s)), (b"a", sample(s))]), "index node has keys out of order"),
        (lambda s: leaf(s, [(b"a", sample(s)), (b"a", sample(s))]), "index node has keys out of order"),
        (lambda s: inner(s, [(b"b", leaf(s, [(b"a", sample(s))]), 1, 1)]), OTHER),
        (lambda s: inner(s, [(b"a", leaf(s, [(b"a", sample(s))]), 2, 1)]), OTHER),
        (lambda s: inner(s, [(b"a", leaf(s, [(b"a", sample(s))]), 1, 2)]), OTHER),
        (lambda s: inner(s, [(b"a", leaf(s, [(b"a", sample(s))]), 1, 1)], level=2), OTHER),
        (
            lambda s: inner(
                s,
                [
                    (b"b", leaf(s, [(b"a", sample(s)), (b"b", sample(s))]), 2, 2),
                    (b"c", leaf(s, [(b"b", sample(s)), (b"c", sample(s))]), 2, 2),
                ],
            ),
            "index node has children that overlap",
        ),
        (lambda s: leaf(s, [(b"a", b"\x09nonsense")]), "file record has version 9, this release reads 1"),
    ],
)
def test_a_broken_tree_is_told(filled: Store, make: Callable[[Store], NodeId], message: str) -> None:
    assert faults_of_tree(filled, make) == {message}


def changed(store: Store, **fields: object) -> bytes:
    return encode_record(replace(put(store, b"xyz"), **fields))


def bent(store: Store, **fields: object) -> bytes:
    record = put(store, b"xyz")
    return encode_record(replace(record, extents=(extents_of(store, record)[0]._replace(**fields),)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: changed(s, size_bytes=4), "record says 4 bytes, its extents have 3"),
        (lambda s: changed(s, content_hash=bytes(32)), "record has another file hash than its extents"),
        (lambda s: changed(s, content_hash=None), "record in a commit has no file hash"),
        (lambda s: bent(s, chunk_bytes=5), "record has another size for a chunk than the index"),
        (lambda s: bent(s, offset=2, length=2), "record has an extent beyond its chunk"),
        (lambda s: bent(s, length=0), "record says 3 bytes, its extents have 0"),
    ],
)
def test_a_record_that_says_wrong_things_is_told(
    filled: Store, make: Callable[[Store], bytes], message: str
) -> None:
    assert faults_of_tree(filled, lambda store: leaf(store, [(b"a", make(store))])) == {message}
    [finding] = [finding for finding in check(filled).findings if finding.kind == "record"]
    assert finding.subject == ":/a"
    assert finding.referrers == (f"labs@{commits(filled)[0].id}:/a",)


def test_a_seam_in_a_commit_is_told(filled: Store) -> None:
    record = put(filled, b"xyz")
    part = extents_of(filled, record)[0]._replace(length=2)
    data = encode_record(replace(record, size_bytes=2, extents=(part,)))
    assert faults_of_tree(filled, lambda store: leaf(store, [(b"a", data)])) == {
        "record in a commit is not canonical"
    }


def test_a_lost_extent_list_is_told(filled: Store) -> None:
    chunk = first_chunk(filled, "big")
    missing = encode_record(replace(put(filled, b"x"), extents=ExtentList(NodeId(bytes(32)), 9)))
    wrong = encode_record(replace(put(filled, b"x"), extents=ExtentList(NodeId(chunk), 9)))
    set_root(filled, leaf(filled, [(b"a", missing), (b"b", wrong)]))
    messages = {f.subject: f.message for f in check(filled).findings if f.kind == "chunk"}
    assert "extent list is lost" in messages[bytes(32).hex()]
    assert "extent list" in messages[chunk.hex()]


# -- the catalog -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (update(BRANCHES).values(head="0" * 32), "its head"),
        (update(COMMITS).where(COMMITS.c.parent.is_not(None)).values(parent="0" * 32), "its parent"),
        (update(COMMITS).where(COMMITS.c.parent.is_(None)).values(file_count=1), "it claims (1, "),
        (text("DELETE FROM stagings"), "files are staged in it"),
        (text("DELETE FROM uploads"), "it has parts"),
    ],
)
def test_a_broken_catalog_is_told(filled: Store, change: object, message: str) -> None:
    run(filled, lambda connection: connection.execute(change))
    findings = check(filled).findings
    assert {finding.kind for finding in findings} == {"catalog"}
    assert any(finding.message.startswith(message) for finding in findings)


def test_provenance_that_names_nothing_is_told(filled: Store) -> None:
    commit = commits(filled)[0].id
    edge = {"commit": commit, "name": "in", "repo": "labs", "branch": "master", "input_commit": "0" * 32}
    run(filled, lambda connection: connection.execute(insert(PROVENANCE).values(**edge)))
    [finding] = check(filled).findings
    assert (finding.kind, finding.subject) == ("catalog", commit)
    assert "its input in names labs@" in finding.message


@pytest.mark.parametrize("table", [STAGED, PARTS])
def test_a_staged_record_that_does_not_decode_is_told(filled: Store, table: object) -> None:
    run(filled, lambda connection: connection.execute(update(table).values(record=b"\x01")))
    [finding] = check(filled).findings
    assert finding.kind == "record"
    assert finding.referrers == (finding.subject,)


def test_referrers_are_shown_up_to_a_limit(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    record = put(filled, b"many times")
    filled.stagings.write_open("labs", "master", [(f"m{n:03}", record) for n in range(150)])
    chunk = extents_of(filled, record)[0].chunk
    run(filled, lambda connection: connection.execute(delete(CHUNKS).where(CHUNKS.c.id == chunk)))
    [finding] = check(filled).findings
    assert (len(finding.referrers), finding.referrer_count) == (100, 150)

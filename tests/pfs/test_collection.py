from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from pfs.samples import HOUR_US, Clock, commit_files, content, crash, extents_of, noise, pack_files, put
from sidegate.errors import Conflict, Corrupt, NotFound
from sidegate.pfs import chunks as chunks_module
from sidegate.pfs.catalog.schema import CHUNKS, PACKS
from sidegate.pfs.checking import check
from sidegate.pfs.collection import LOCK, CollectionReport, collect
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.marking import Marker
from sidegate.pfs.nodes import encode_node
from sidegate.pfs.store import Store

KEPT, LOST = noise(300_000, "kept"), noise(900_000, "lost")


def reopened(store: Store, clock: Clock) -> Store:
    """Close a store, so that its packs are sealed, and open it again."""
    store.close()
    return Store.open(store.directory, clock=clock)


def cycle(store: Store, clock: Clock) -> CollectionReport:
    """Let more than a window pass and collect."""
    clock.advance(2 * HOUR_US)
    return collect(store)


def rows(store: Store) -> dict[ChunkId, int | None]:
    with store.database.read() as connection:
        return {row.id: row.condemned_us for row in connection.execute(select(CHUNKS))}


@pytest.fixture
def aged(store: Store, clock: Clock) -> Store:
    """A store with one commit and garbage in one sealed pack."""
    commit_files(store, "labs", {"kept": KEPT})
    put(store, LOST)
    aged = reopened(store, clock)
    yield aged
    aged.close()


def test_two_cycles_give_the_space_back(aged: Store, clock: Clock) -> None:
    first = cycle(aged, clock)
    assert (first.chunks_condemned, first.chunks_deleted, first.packs_removed) == (1, 0, 0)
    assert first.chunks_live == 2
    assert first.bytes_reclaimed == 0
    second = cycle(aged, clock)
    assert (second.chunks_condemned, second.chunks_deleted) == (0, 1)
    assert (second.packs_rewritten, second.packs_removed) == (1, 1)
    assert second.bytes_reclaimed > 890_000
    assert second.bytes_after == sum(path.stat().st_size for path in pack_files(aged))
    view = aged.branch_view("labs", "master")
    assert content(aged, view.get("kept")) == KEPT
    third = cycle(aged, clock)
    assert third == CollectionReport(third.bytes_before, third.bytes_after, chunks_live=2)
    assert check(aged).clean


def test_nothing_young_is_condemned(aged: Store, clock: Clock) -> None:
    assert collect(aged).chunks_condemned == 0
    clock.advance(HOUR_US // 60)
    assert collect(aged, window_us=0).chunks_condemned == 1
    assert collect(aged).chunks_deleted == 0, "a window must lie between"
    assert collect(aged, window_us=0).chunks_deleted == 1


def test_a_pack_being_written_is_left_alone(store: Store, clock: Clock) -> None:
    put(store, LOST)
    store.database.write(lambda connection: None)
    os.utime(pack_files(store)[0], (clock.now_us / 1e6 + 7200,) * 2)
    assert cycle(store, clock).chunks_condemned == 0


def test_a_chunk_in_use_again_is_pardoned(aged: Store, clock: Clock) -> None:
    staging = aged.stagings.begin_attempt("labs", "master")
    record = put(aged, LOST)
    cycle(aged, clock)
    assert cycle(aged, clock).chunks_deleted == 1
    # Found in the store, condemned while in flight, then named after all.
    record = put(aged, LOST)
    aged.chunks.merge_index()
    [chunk] = [extent.chunk for extent in extents_of(aged, record)]
    condemned = update(CHUNKS).where(CHUNKS.c.id == chunk).values(condemned_us=1)
    aged.database.write(lambda connection: connection.execute(condemned))
    staging.put("a", record)
    report = cycle(aged, clock)
    assert (report.chunks_pardoned, report.chunks_deleted) == (1, 0)
    assert rows(aged)[chunk] is None


def test_a_condemned_chunk_that_is_put_again_stays(aged: Store, clock: Clock) -> None:
    cycle(aged, clock)
    record = put(aged, LOST)
    aged.stagings.write_open("labs", "master", [("again", record)])
    aged.finish_open("labs", "master")
    for _ in range(3):
        cycle(aged, clock)
    assert content(aged, record) == LOST
    assert check(aged).clean


@pytest.mark.usefixtures("small_cuts", "small_lists", "small_nodes")
def test_everything_that_refers_to_a_chunk_holds_it(store: Store, clock: Clock) -> None:
    """Commits of all branches, open commits, attempts, parts; with long lists and tall trees."""
    data = {name: noise(20_000, name) for name in ("old", "new", "open", "attempt", "part")}
    commit_files(store, "labs", {"f": data["old"]} | {f"d/{n:03}": b"%d" % n for n in range(200)})
    old = store.commits.head("labs")
    commit_files(store, "labs", {"f": data["new"]})
    store.stagings.write_open("labs", "master", [("f", put(store, data["open"]))])
    attempt = store.stagings.begin_attempt("labs", "master")
    attempt.put("f", put(store, data["attempt"]))
    upload = store.uploads.create("labs@master", "f", {})
    store.uploads.put_part(upload.id, 1, put(store, data["part"]))
    garbage = put(store, noise(20_000, "garbage"))
    garbage_chunks = {extent.chunk for extent in extents_of(store, garbage)}
    store.database.write(lambda connection: None)
    store.chunks._writable_pack().seal()  # one pack holds it all: rewriting it moves everything
    store.chunks._full.append(store.chunks._writer)
    store.chunks._writer = None
    deleted = sum(cycle(store, clock).chunks_deleted for _ in range(3))
    assert deleted >= len(garbage_chunks)
    assert old is not None
    records = {
        "old": store.tree(old).get("f"),
        "new": store.tree(store.commits.head("labs")).get("f"),
        "open": store.branch_view("labs", "master").get("f"),
        "attempt": attempt.get("f"),
        "part": store.uploads.parts(upload.id)[0].record,
    }
    for name, record in records.items():
        assert content(store, record) == data[name], name
    assert len(list(store.tree(old).files())) == 201
    with pytest.raises(Corrupt):
        content(store, garbage)
    assert check(store).clean


def test_a_file_with_the_bytes_of_a_node_marks_no_subtree(store: Store, clock: Clock) -> None:
    first = commit_files(store, "labs", {f"f{n:04}": b"%d" % n for n in range(500)})
    node = store.chunks.get(ChunkId(first.root))
    commit_files(store, "labs", {"a-copy-of-the-root": node}, branch="other")
    store = reopened(store, clock)
    for _ in range(3):
        cycle(store, clock)
    assert len(list(store.tree(first).files())) == 500
    store.close()


def test_a_deleted_repo_gives_everything_back(aged: Store, clock: Clock) -> None:
    aged.repos.delete("labs")
    cycle(aged, clock)
    report = cycle(aged, clock)
    assert report.bytes_after == 0
    assert pack_files(aged) == []
    assert rows(aged) == {}


def test_a_lost_node_stops_the_collection_before_it_removes_anything(aged: Store, clock: Clock) -> None:
    cycle(aged, clock)
    root = aged.commits.head("labs").root
    aged.database.write(lambda connection: connection.execute(delete(CHUNKS).where(CHUNKS.c.id == root)))
    before = rows(aged)
    with pytest.raises(Corrupt, match=root.hex()):
        cycle(aged, clock)
    assert rows(aged) == before
    assert aged.locks.is_free(LOCK)


def test_a_damaged_pack_is_named_and_kept(aged: Store, clock: Clock) -> None:
    cycle(aged, clock)
    record = aged.branch_view("labs", "master").get("kept")
    location = aged.chunks.locate([extents_of(aged, record)[0].chunk])
    [place] = location.values()
    with place.pack.path.open("r+b") as file:
        file.seek(place.offset)
        file.write(b"damage")
    report = cycle(aged, clock)
    assert report.damaged_packs == (place.pack.path.stem,)
    assert place.pack.path.exists()


@pytest.mark.parametrize("cycles_before", [0, 1])
def test_a_write_between_mark_and_sweep_loses_nothing(
    aged: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch, cycles_before: int
) -> None:
    """Before the first cycle the writer finds the chunk, before the second it stores it anew."""
    for _ in range(cycles_before):
        cycle(aged, clock)
    walk = Marker.walk

    def walk_and_write(self: Marker) -> set[ChunkId]:
        live = walk(self)
        aged.stagings.write_open("labs", "master", [("late", put(aged, LOST))])
        if aged.chunks._writer is not None:
            os.utime(aged.chunks._writer.path, (clock.now_us / 1e6,) * 2)
        return live

    with monkeypatch.context() as patch:
        patch.setattr(Marker, "walk", walk_and_write)
        report = cycle(aged, clock)
    assert (report.chunks_condemned, report.chunks_deleted) == (1 - cycles_before, 0)
    record = aged.branch_view("labs", "master").get("late")
    assert content(aged, record) == LOST
    assert check(aged).clean
    report = cycle(aged, clock)
    assert (report.chunks_pardoned, report.chunks_deleted) == (1 - cycles_before, 0)
    for _ in range(2):
        cycle(aged, clock)
    assert content(aged, record) == LOST


def test_orphans_go_once_they_are_old_and_their_writer_is_gone(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_files(store, "labs", {"a": b"1"})
    dead = Store.open(store.directory, clock=clock)
    monkeypatch.setattr(chunks_module, "PACK_BYTES", 50_000)
    for n in range(4):
        put(dead, noise(40_000, n))
    assert len(pack_files(store)) == 3
    assert collect(store).orphans_removed == 0, "young"
    clock.advance(2 * HOUR_US)
    assert collect(store).orphans_removed == 0, "its writer lives, even of those that are sealed"
    crash(dead)
    assert collect(store).orphans_removed == 2
    assert len(pack_files(store)) == 1


BEGIN_ATTEMPT = """
import pathlib, sys
from sidegate.pfs.store import Store
store = Store.open(pathlib.Path(sys.argv[1]))
staging = store.stagings.begin_attempt("labs", "master")
cutter = store.cutter(); cutter.write(bytes(100)); staging.put("a", store.record(cutter.finish()))
store.uploads.create(staging.scope, "b", {})
print(staging.id, flush=True)
sys.stdin.read()
"""


def test_an_attempt_goes_with_its_owner(store: Store) -> None:
    own = store.stagings.begin_attempt("labs", "master")
    command = [sys.executable, "-c", BEGIN_ATTEMPT, str(store.directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        other = process.stdout.readline().decode().strip()
        assert collect(store).attempts_dropped == 0
        assert len(list(store.stagings.get(other).files())) == 1
        process.kill()
    report = collect(store)
    assert (report.attempts_dropped, report.uploads_dropped) == (1, 1)
    assert [info.id for info in store.stagings.all()] == [own.id]
    assert store.locks.names() == [own.id]


def test_locks_left_behind_go(store: Store, clock: Clock) -> None:
    (store.directory / "locks").mkdir(exist_ok=True)
    (store.directory / "locks" / "left").touch()
    collect(store)
    assert store.locks.names() == ["left"], "its owner may be about to lock it"
    cycle(store, clock)
    assert store.locks.names() == []


def test_uploads_go_when_nobody_can_ask_for_them(store: Store, clock: Clock) -> None:
    store.repos.create("lab_s")
    create = store.uploads.create
    attempt = store.stagings.begin_attempt("labs", "master")
    kept = [create("labs@master", "a", {}), create("lab_s@new", "a", {}), create(attempt.scope, "a", {})]
    gone = [create("labxs@master", "a", {}), create("lab@master", "a", {}), create("0" * 32, "a", {})]
    done = create("labs@master", "done", {})
    store.uploads.complete(done.id, {"tag": "x"})
    assert collect(store).uploads_dropped == 3
    assert all(store.uploads.get(upload.id) == upload for upload in kept)
    for upload in gone:
        with pytest.raises(NotFound):
            store.uploads.get(upload.id)
    assert store.uploads.get(done.id).result == {"tag": "x"}
    clock.advance(25 * HOUR_US)
    assert collect(store).uploads_dropped == 1
    with pytest.raises(NotFound):
        store.uploads.get(done.id)
    assert all(store.uploads.get(upload.id) == upload for upload in kept)


@pytest.mark.parametrize("other", [collect, check])
def test_one_collection_or_check_at_a_time(store: Store, other: Callable[[Store], object]) -> None:
    with store.locks.holding(LOCK), pytest.raises(Conflict) as caught:
        other(store)
    assert caught.value.remedy == "try again later"


def test_readers_and_writers_go_on(aged: Store, clock: Clock, directory: Path) -> None:
    with Store.open(directory, clock=clock) as other:
        record = other.branch_view("labs", "master").get("kept")
        layout = other.layout(record)
        for _ in range(2):
            cycle(aged, clock)
        assert b"".join(piece.read() for piece in layout.slices(0, len(KEPT))) == KEPT, "an open pack"
        assert content(other, record) == KEPT, "a new look-up"
        commit_files(other, "labs", {"more": noise(1000, "more")})
        cycle(aged, clock)
        assert check(other).clean


def test_a_full_pack_stays_and_a_pack_id_is_never_mixed_up(store: Store, clock: Clock) -> None:
    commit_files(store, "labs", {"a": noise(100_000, "a")})
    store = reopened(store, clock)
    put(store, noise(100_000, "garbage"))
    store = reopened(store, clock)
    reader = Store.open(store.directory)
    assert content(reader, reader.branch_view("labs", "master").get("a")) == noise(100_000, "a")
    for _ in range(2):
        report = cycle(store, clock)
    assert (report.packs_removed, report.packs_rewritten) == (1, 0)
    # SQLite gives the removed pack's id to this one.
    commit_files(store, "labs", {"b": noise(100_000, "b")})
    with store.database.read() as connection:
        assert len(connection.execute(select(PACKS)).all()) == 2
    assert content(reader, reader.branch_view("labs", "master").get("b")) == noise(100_000, "b")
    reader.close()
    store.close()


def test_marking_reads_every_node_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        commit_files(store, "labs", {f"f{n}": b"x", "same": encode_node(0, [], 0)})
    read: list[ChunkId] = []
    get = store.chunks.get
    monkeypatch.setattr(store.chunks, "get", lambda chunk: (read.append(chunk), get(chunk))[1])
    collect(store)
    assert len(read) == len(set(read)) == 5

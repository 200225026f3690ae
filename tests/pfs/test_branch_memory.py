"""A branch in memory is what the catalog says, whoever wrote, at every look."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sidegate.errors import Conflict, NotFound
from sidegate.pfs import branch_memory
from sidegate.pfs.branch_memory import BranchMemory
from sidegate.pfs.catalog.database import path_scope
from sidegate.pfs.changes import CELLS, INDEX_SCOPE, Changes, is_settled
from sidegate.pfs.store import Store


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    """Two openings of one store, as two processes have them: a reader's and a writer's."""
    Store.create(tmp_path / "store")
    with Store.open(tmp_path / "store") as reader, Store.open(tmp_path / "store") as writer:
        writer.repos.create("labs")
        yield reader, writer


def put(store: Store, path: str, content: bytes, branch: str = "master") -> None:
    cutter = store.cutter()
    cutter.write(content)
    store.branch_view("labs", branch).put_many([(path, store.record(cutter.finish()))])


def remove(store: Store, *paths: str) -> None:
    store.branch_view("labs", "master").delete(paths)


def size(memory: BranchMemory, path: str) -> int | None:
    found = memory.find(path)
    return found.record.size_bytes if found is not None else None


def test_every_kind_of_change_is_seen_at_the_next_look(stores: tuple[Store, Store]) -> None:
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    assert (memory.source("x"), memory.find("x")) == (None, None)
    put(writer, "x", b"1")
    assert size(memory, "x") == 1
    open_source = memory.source("x")
    put(writer, "x", b"22")
    assert memory.source("x") is None
    assert size(memory, "x") == 2
    assert memory.source("x") not in (None, open_source)
    (commit,) = writer.finish_open("labs", "master")
    assert memory.source("x") is None
    assert size(memory, "x") == 2
    assert memory.source("x") == commit.root
    put(writer, "y", b"333")
    assert (size(memory, "x"), size(memory, "y")) == (2, 3)
    remove(writer, "x")
    assert (memory.source("x"), memory.find("x")) == (None, None)
    writer.repos.delete("labs")
    assert (memory.source("y"), memory.find("y")) == (None, None)
    writer.repos.create("labs")
    assert memory.find("y") is None
    put(writer, "y", b"4444")
    assert size(memory, "y") == 4


def test_a_source_names_one_content(stores: tuple[Store, Store]) -> None:
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    put(writer, "x", b"1")
    for _ in range(3):
        found = memory.find("x")
        assert found is not None
        assert found.source == memory.source("x")
        writer.finish_open("labs", "master")
        found = memory.find("x")
        assert found is not None
        assert found.source == memory.source("x") == writer.commits.head("labs").root
        put(writer, "x", b"2")


def test_a_branch_of_another_name_must_be_there(stores: tuple[Store, Store]) -> None:
    reader, writer = stores
    memory = reader.branch_memory("labs", "side")
    assert memory.find("x") is None
    put(writer, "x", b"1", branch="side")
    assert size(memory, "x") == 1
    writer.finish_open("labs", "side")
    writer.branches.delete("labs", "side")
    assert (memory.source("x"), memory.find("x")) == (None, None)


def test_writes_during_the_finishing_lie_above_those_before(stores: tuple[Store, Store]) -> None:
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    put(writer, "x", b"1")
    put(writer, "kept", b"1")
    writer.stagings.begin_finishing("labs", "master")
    put(writer, "x", b"22")
    assert (size(memory, "x"), size(memory, "kept")) == (2, 1)
    remove(writer, "kept")
    assert memory.find("kept") is None
    writer.finish_open("labs", "master")
    assert (size(memory, "x"), memory.find("kept")) == (2, None)


@pytest.fixture
def asked(stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever the reader asks the catalog for a file."""
    reader, _ = stores
    times: list[int] = []
    fetch = reader.database.fetch

    def counting(*arguments: Any) -> Any:
        times.append(1)
        return fetch(*arguments)

    monkeypatch.setattr(reader.database, "fetch", counting)
    return times


def test_a_file_is_known_while_others_are_written(stores: tuple[Store, Store], asked: list[int]) -> None:
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    put(writer, "x", b"1")
    put(writer, "y", b"1")
    (first, second) = memory.find("x"), memory.find("y")
    assert first is not None
    assert second is not None
    count = len(asked)
    for number in range(50):
        put(writer, f"other {number}", b"x")
        put(writer, "elsewhere", b"x", branch="side")
        assert (memory.source("x"), memory.source("y")) == (first.source, second.source)
    remove(writer, "other 1", "not there")
    assert memory.source("x") == first.source
    put(writer, "y", b"22")
    assert (memory.source("x"), memory.source("y")) == (first.source, None)
    assert len(asked) == count


def test_a_writer_that_dies_before_it_told_leaves_nobody_behind(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    put(writer, "x", b"1")
    assert size(memory, "x") == 1
    writer.database.on_committed.clear()
    put(writer, "x", b"22")
    for _ in range(2):
        assert memory.source("x") is None
        assert size(memory, "x") == 2
    reader.changes.tell_all()
    assert size(memory, "x") == 2
    assert memory.source("x") is not None


def test_a_write_that_fails_is_settled(stores: tuple[Store, Store]) -> None:
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    put(writer, "x", b"1")

    def fail(connection: object) -> None:
        raise RuntimeError("the disk is gone")

    writer.database.on_committing.append(fail)
    with pytest.raises(RuntimeError):
        put(writer, "x", b"22")
    writer.database.on_committing.remove(fail)
    assert size(memory, "x") == 1
    assert memory.source("x") is not None


def test_many_paths_at_once_are_told_as_the_branch(stores: tuple[Store, Store]) -> None:
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    put(writer, "x", b"1")
    assert size(memory, "x") == 1
    records = [(f"{number:03}", writer.record(())) for number in range(500)]
    writer.branch_view("labs", "master").put_many([*records, ("x", writer.record(()))])
    assert memory.source("x") is None
    assert (size(memory, "x"), size(memory, "499")) == (0, 0)


def test_what_is_remembered_is_bounded_and_what_is_asked_for_stays(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branch_memory, "MEMORY_BYTES", 40_000)
    reader, writer = stores
    memories = [reader.branch_memory("labs", branch) for branch in ("master", "side")]
    names = [f"{number:03}" for number in range(200)]
    for branch in ("master", "side"):
        writer.branch_view("labs", branch).put_many([(name, writer.record(())) for name in names])
    for name in names:
        for memory in memories:
            assert size(memory, name) == 0
            assert memory.source("000") is not None
        assert sum(map(len, memories)) <= 100
    assert memories[0].source("001") is None


def test_a_commit_that_is_finished_during_a_look_hides_nothing(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look begins over an open commit, and when it asks that commit is the branch's head."""
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    put(writer, "x", b"1")
    put(writer, "y", b"1")
    assert size(memory, "x") == 1
    put(writer, "y", b"22")
    fetch = reader.database.fetch

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(reader.database, "fetch", fetch)
        writer.finish_open("labs", "master")
        return fetch(*arguments)

    monkeypatch.setattr(reader.database, "fetch", late)
    assert size(memory, "y") == 2
    found = memory.find("y")
    assert found is not None
    assert found.source == memory.source("y") == writer.commits.head("labs").root


def test_a_look_that_took_long_does_not_replace_later_ones(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    put(writer, "x", b"1")
    fetch = reader.database.fetch

    def slow(*arguments: Any) -> Any:
        monkeypatch.setattr(reader.database, "fetch", fetch)
        rows = fetch(*arguments)
        writer.finish_open("labs", "master")
        put(writer, "x", b"22")
        assert size(memory, "x") == 2
        return rows

    monkeypatch.setattr(reader.database, "fetch", slow)
    assert size(memory, "x") == 1, "what it was when the look began"
    assert memory.source("x") is not None
    assert size(memory, "x") == 2


def test_it_agrees_with_the_catalog_whatever_happens(stores: tuple[Store, Store]) -> None:
    """Two writers in threads do anything; each look gives what the catalog gives."""
    reader, writer = stores
    names = [f"k{number}" for number in range(12)]
    wrong: list[str] = []

    def write(seed: int) -> None:
        generator = random.Random(seed)
        own = [name for name in names if int(name[1:]) % 2 == seed]
        memory = reader.branch_memory("labs", "master")
        for number in range(60):
            name = generator.choice(own)
            if generator.random() < 0.3:
                remove(writer, name)
                expected = None
            else:
                expected = seed * 1000 + number
                put(writer, name, bytes(expected))
            if generator.random() < 0.1:
                with suppress(NotFound, Conflict):  # the other one may finish it, too
                    writer.finish_open("labs", "master")
            if size(memory, name) != expected:
                wrong.append(f"{name} is {size(memory, name)} instead of {expected}")

    put(writer, "first", b"x")
    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    memory = reader.branch_memory("labs", "master")
    view = dict(reader.branch_view("labs", "master").files())
    assert {name: size(memory, name) for name in names} == {
        name: view[name].size_bytes if name in view else None for name in names
    }


# -- changes -----------------------------------------------------------------


def test_every_process_maps_the_same_cells(tmp_path: Path) -> None:
    one, other = Changes(tmp_path / "changes"), Changes(tmp_path / "changes")
    scopes = ["labs@master", "labs", path_scope("labs@master", "x")]
    cells = {one.cell_of(scope) for scope in scopes}
    before = list(other.cells)
    one.announce(scopes)
    assert {index for index in range(CELLS) if other.cells[index] != before[index]} == cells
    assert not any(is_settled(other.cells[cell]) for cell in cells)
    one.tell(scopes)
    assert all(is_settled(other.cells[cell]) for cell in cells)
    numbers = set()
    for _ in range(100):
        for teller in (one, other):
            teller.tell(["labs"])
            numbers.add(one.cells[one.cell_of("labs")])
    assert len(numbers) == 200
    assert [path.name for path in tmp_path.iterdir()] == ["changes"]


def test_nobody_settles_what_another_is_about_to_commit(tmp_path: Path) -> None:
    one, other = Changes(tmp_path / "changes"), Changes(tmp_path / "changes")
    cell = one.cell_of("labs")
    one.announce(["labs"])
    other.announce(["labs"])
    one.tell(["labs"])
    assert not is_settled(one.cells[cell])
    other.tell(["labs"])
    assert is_settled(one.cells[cell])
    # Also when all was settled from beside in between.
    other.announce(["labs"])
    one.tell_all()
    told = one.cells[cell]
    other.tell(["labs"])
    assert is_settled(one.cells[cell])
    assert one.cells[cell] != told


def test_the_index_is_of_whom_had_the_last_word(tmp_path: Path) -> None:
    one, other = Changes(tmp_path / "changes"), Changes(tmp_path / "changes")
    assert not one.index_is_ours()
    one.announce([INDEX_SCOPE])
    assert one.index_is_ours()
    one.tell([INDEX_SCOPE])
    assert one.index_is_ours()
    assert not other.index_is_ours()
    one.announce([INDEX_SCOPE])
    other.announce([INDEX_SCOPE])
    other.tell([INDEX_SCOPE])
    # Committed after this one has, told before: it stays the other's.
    one.tell([INDEX_SCOPE])
    assert (one.index_is_ours(), other.index_is_ours()) == (False, True)
    one.tell_all()
    assert (one.index_is_ours(), other.index_is_ours()) == (False, False)


@pytest.mark.parametrize("before", [None, b"", bytes(4096)])
def test_a_store_from_before_gets_its_cells(tmp_path: Path, before: bytes | None) -> None:
    Store.create(tmp_path / "store")
    (tmp_path / "store" / "changes").unlink(missing_ok=True)
    if before is not None:
        (tmp_path / "store" / "changes").write_bytes(before)
    with Store.open(tmp_path / "store") as store:
        store.repos.create("labs")
    assert (tmp_path / "store" / "changes").stat().st_size == CELLS * 8

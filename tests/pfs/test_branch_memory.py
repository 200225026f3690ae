"""A branch in memory is what the catalog says, whoever wrote, at every look."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sidegate.errors import Conflict, NotFound
from sidegate.pfs import branch_memory
from sidegate.pfs.branch_memory import BranchMemories, BranchMemory
from sidegate.pfs.changes import CELLS, Changes
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
    assert memory.source("x") not in (None, open_source)
    assert size(memory, "x") == 2
    (commit,) = writer.finish_open("labs", "master")
    assert memory.source("x") == memory.source("not there") == commit.root
    assert size(memory, "x") == 2
    put(writer, "y", b"333")
    assert (size(memory, "x"), size(memory, "y")) == (2, 3)
    remove(writer, "x")
    assert (memory.source("x"), memory.find("x")) == (None, None)
    assert memory.source("y") is not None
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


def test_nobody_looks_again_while_nothing_changes(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = stores
    now = [0.0]
    memory = BranchMemory(
        reader.database, reader.cache, reader.changes, "labs", "master", clock=lambda: now[0]
    )
    put(writer, "x", b"1")
    writer.finish_open("labs", "master")
    assert size(memory, "x") == 1
    asked = []
    fetch = reader.database.fetch

    def counting(*arguments: object) -> object:
        asked.append(1)
        return fetch(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reader.database, "fetch", counting)
    for _ in range(100):
        assert memory.source("x") is not None
    assert asked == []
    # A writer that was killed before it could tell.
    monkeypatch.setattr(writer.changes, "tell", lambda scopes: None)
    writer.database.on_committed.clear()
    put(writer, "x", b"22")
    now[0] += branch_memory.BELIEVED_SECONDS
    assert size(memory, "x") == 2


def test_much_at_once_is_left_to_a_thread_and_then_known(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branch_memory, "LOOK_ROWS", 10)
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    put(writer, "x", b"1")
    assert size(memory, "x") == 1
    records = [(f"{number:03}", writer.record(())) for number in range(50)]
    writer.branch_view("labs", "master").put_many(records)
    assert memory.source("x") is None
    assert size(memory, "049") == 0
    assert memory.source("x") is not None


def test_what_does_not_fit_is_left_to_the_catalog(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branch_memory, "_MAX_ROWS", 20)
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    writer.branch_view("labs", "master").put_many([(f"{n}", writer.record(())) for n in range(30)])
    for _ in range(3):
        assert memory.source("1") is None
        with pytest.raises(LookupError):
            memory.find("1")
    writer.finish_open("labs", "master")
    assert size(memory, "1") == 0
    assert memory.source("1") is not None


def test_memory_is_bounded_and_what_was_given_back_is_read_again(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = stores
    branches = [f"b{number}" for number in range(6)]
    for branch in branches:
        for number in range(20):
            put(writer, f"{number}", b"x", branch)
    monkeypatch.setattr(branch_memory, "MEMORY_BYTES", 40_000)
    memories = BranchMemories(reader.database, reader.cache, reader.changes)
    held = []
    for branch in branches:
        memory = memories.get("labs", branch)
        assert size(memory, "3") == 1
        held.append(memory)
    memories.get("labs", branches[-1])
    kept = [memory.memory_bytes for memory in held]
    assert 0 in kept
    assert 0 < sum(kept) <= 40_000
    assert size(held[0], "3") == 1


def test_overwriting_takes_no_more_memory(stores: tuple[Store, Store]) -> None:
    reader, writer = stores
    memory = reader.branch_memory("labs", "master")
    sizes = set()
    for _ in range(5):
        put(writer, "x", b"same")
        memory.find("x")
        sizes.add(memory.memory_bytes)
    assert len(sizes) == 1


Step = Callable[[Store, random.Random], None]


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
    before = list(other.cells)
    one.tell(["labs@master", "labs"])
    changed = {index for index in range(CELLS) if other.cells[index] != before[index]}
    assert changed == {one.cell_of("labs@master"), one.cell_of("labs")}
    numbers = set()
    for _ in range(100):
        for teller in (one, other):
            teller.tell(["labs"])
            numbers.add(one.cells[one.cell_of("labs")])
    assert len(numbers) == 200
    before = list(other.cells)
    one.tell_all()
    assert all(now != then for now, then in zip(other.cells, before, strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["changes"]


def test_a_store_from_before_gets_its_cells(tmp_path: Path) -> None:
    Store.create(tmp_path / "store")
    (tmp_path / "store" / "changes").unlink(missing_ok=True)
    with Store.open(tmp_path / "store") as store:
        store.repos.create("labs")
    assert (tmp_path / "store" / "changes").stat().st_size == CELLS * 8

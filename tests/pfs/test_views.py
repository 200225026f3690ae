from __future__ import annotations

import pytest

from pfs.samples import commit_files, put
from sidegate.errors import Precondition
from sidegate.pfs import staged_rows
from sidegate.pfs.files import FileRecord
from sidegate.pfs.store import Store


def listed(store: Store, start: str = "") -> list[str]:
    return [path for path, _ in store.branch_view("labs", "master").files(start)]


def test_open_writes_lie_over_the_head(store: Store) -> None:
    commit_files(store, "labs", {"a": b"1", "b": b"1", "c": b"1"})
    view = store.branch_view("labs", "master")
    new = put(store, b"2")
    view.put_many([("b", new), ("d", new)])
    view.delete(["c", "none"])
    assert listed(store) == ["a", "b", "d"]
    assert listed(store, "b") == ["b", "d"]
    assert view.get("b") == new
    assert view.get("c") is None
    assert view.get("a") is not None
    view.put_many([("c", new)])
    assert listed(store) == ["a", "b", "c", "d"]


def test_a_branch_that_is_not_there_is_empty(store: Store) -> None:
    view = store.branch_view("labs", "none")
    assert view.get("a") is None
    assert list(view.files()) == []
    view.delete(["a"])
    assert store.stagings.all() == [], "removing what is not there opens no commit"
    assert view.scope == "labs@none"


def test_an_expectation_sees_the_layers(store: Store) -> None:
    commit_files(store, "labs", {"a": b"1"})
    view = store.branch_view("labs", "master")
    seen: list[FileRecord | None] = []
    old, new = view.get("a"), put(store, b"2")
    view.put_many([("a", new)], seen.append)
    view.put_many([("a", new)], seen.append)
    view.delete(["a"])
    view.put_many([("a", new)], seen.append)
    assert seen == [old, new, None]

    def refuse(record: FileRecord | None) -> None:
        raise Precondition("no")

    with pytest.raises(Precondition):
        view.put_many([("a", put(store, b"3"))], refuse)
    assert view.get("a") == new


def test_many_pages_in_several_layers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staged_rows, "_PAGE", 3)
    record, newer = put(store, b"1"), put(store, b"2")
    commit_files(store, "labs", {f"f{n:02}": b"0" for n in range(0, 40, 2)})
    store.stagings.write_open("labs", "master", [(f"f{n:02}", record) for n in range(0, 40, 3)])
    store.stagings.begin_finishing("labs", "master")
    changes = [(f"f{n:02}", None if n % 2 else newer) for n in range(0, 40, 5)]
    store.stagings.write_open("labs", "master", changes)
    expected: dict[str, FileRecord | None] = {f"f{n:02}": record for n in range(0, 40, 3)} | dict(changes)
    view = store.branch_view("labs", "master")
    found = dict(view.files())
    numbers = [n for n in range(40) if n % 2 == 0 or n % 3 == 0]
    assert list(found) == [f"f{n:02}" for n in numbers if expected.get(f"f{n:02}", record) is not None]
    for path in found:
        assert found[path] == expected.get(path, found[path]) == view.get(path)
    assert [path for path, _ in view.files("f20")] == [path for path in found if path >= "f20"]


def test_a_commit_that_finishes_takes_nothing_out_of_a_listing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staged_rows, "_PAGE", 2)
    record = put(store, b"1")
    store.stagings.write_open("labs", "master", [(f"f{n}", record) for n in range(9)])
    seen = []
    for path, _ in store.branch_view("labs", "master").files():
        seen.append(path)
        if path == "f1":
            store.finish_open("labs", "master")
    assert seen == [f"f{n}" for n in range(9)]

"""What the open gateway knows of buckets without I/O, and when it stops believing it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidegate.gateway.general import GeneralNamespace
from sidegate.gateway.resolved import ResolvedCache, ResolvedObject, resolve
from sidegate.pfs.store import Store
from sidegate.s3.errors import S3Error


class Reader:
    """Reads as requests do: from memory if that can tell, else by a look-up that is kept."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.namespace = GeneralNamespace(store)
        self.resolved = ResolvedCache()

    def recall(self, name: str, key: str) -> ResolvedObject | None:
        bucket = self.namespace.peek(name)
        return bucket.recall(self.resolved, key) if bucket is not None else None

    def read(self, name: str, key: str) -> bytes | None:
        found = self.namespace.get(name).find(key)
        if found is None:
            return None
        record, source = found
        if source is not None:
            self.resolved.put(source, key, resolve(self.store, record))
        return b"".join(bytes(piece) for piece in self.store.read(record))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Reader, Store]]:
    Store.create(tmp_path / "store")
    with Store.open(tmp_path / "store") as reading, Store.open(tmp_path / "store") as writing:
        writing.repos.create("labs")
        writing.branches.create("labs", "master")
        yield Reader(reading), writing


def put(store: Store, repo: str, branch: str, key: str, content: bytes) -> None:
    cutter = store.cutter()
    cutter.write(content)
    store.branch_view(repo, branch).put_many([(key, store.record(cutter.finish()))])


def test_an_open_write_is_recalled_until_it_is_replaced(pair: tuple[Reader, Store]) -> None:
    reader, writer = pair
    put(writer, "labs", "master", "x", b"one")
    for name in ("labs", "master.labs"):
        assert reader.recall(name, "x") is None
        assert reader.read(name, "x") == b"one"
        known = reader.recall(name, "x")
        assert known is not None
        assert known.description.size_bytes == 3
    put(writer, "labs", "master", "other", b"changes nothing about x")
    assert reader.recall("labs", "x") is not None
    put(writer, "labs", "master", "x", b"two and")
    assert reader.recall("labs", "x") is None
    assert reader.read("labs", "x") == b"two and"
    writer.branch_view("labs", "master").delete(["x"])
    assert (reader.recall("labs", "x"), reader.read("labs", "x")) == (None, None)


def test_a_finished_commit_is_recalled_by_both_its_names(pair: tuple[Reader, Store]) -> None:
    reader, writer = pair
    put(writer, "labs", "master", "x", b"one")
    (commit,) = writer.finish_open("labs", "master")
    names = ("labs", f"{commit.id}.master.labs")
    for name in names:
        assert reader.read(name, "x") == b"one"
    assert all(reader.recall(name, "x") is not None for name in names)
    writer.repos.delete("labs")
    for name in names:
        assert reader.namespace.peek(name) is None
        with pytest.raises(S3Error, match="bucket does not exist"):
            reader.read(name, "x")


def test_a_deleted_branch_is_not_recalled(pair: tuple[Reader, Store]) -> None:
    reader, writer = pair
    put(writer, "labs", "side", "x", b"one")
    writer.finish_open("labs", "side")
    assert reader.read("side.labs", "x") == b"one"
    assert reader.recall("side.labs", "x") is not None
    writer.branches.delete("labs", "side")
    assert reader.recall("side.labs", "x") is None
    with pytest.raises(S3Error, match="bucket does not exist"):
        reader.read("side.labs", "x")


def test_a_name_that_may_become_anothers_is_looked_up_each_time(pair: tuple[Reader, Store]) -> None:
    reader, writer = pair
    writer.repos.create("lab_results")
    put(writer, "lab_results", "master", "x", b"underscore")
    assert reader.read("lab-results", "x") == b"underscore"
    assert reader.namespace.peek("lab-results") is None
    writer.repos.create("lab-results")
    put(writer, "lab-results", "master", "x", b"hyphen")
    assert reader.read("lab-results", "x") == b"hyphen"
    assert reader.read("lab_results", "x") == b"underscore"


def test_a_branch_that_is_gone_is_not_written_to(pair: tuple[Reader, Store]) -> None:
    reader, writer = pair
    writer.branches.create("labs", "side")
    assert reader.namespace.get("side.labs").writable().scope == "labs@side"
    assert reader.namespace.peek("side.labs") is not None
    writer.branches.delete("labs", "side")
    assert reader.namespace.peek("side.labs") is None
    with pytest.raises(S3Error) as caught:
        reader.namespace.get("side.labs")
    assert caught.value.code == "NoSuchBucket"


def test_a_bucket_is_not_remembered_while_its_repo_is_about_to_change(pair: tuple[Reader, Store]) -> None:
    """Its writer may be killed after the commit and before it told."""
    reader, writer = pair
    writer.changes.announce(["labs"])
    assert reader.namespace.get("labs").name == "labs"
    assert reader.namespace.peek("labs") is None
    writer.changes.tell(["labs"])
    assert reader.namespace.get("labs").name == "labs"
    assert reader.namespace.peek("labs") is not None

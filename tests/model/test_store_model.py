"""A store against the simplest thing that could be one: dictionaries.

Whatever is done in whatever order (writes, copies, commits, branches, jobs'
outputs, collections, ends with and without closing), the store answers as the
dictionaries do, and a check finds nothing wrong with it.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from pfs.samples import HOUR_US, Clock, crash, extents_of, noise, put
from sidegate.errors import NotFound
from sidegate.pfs import chunks, cutting, extent_lists, nodes, open_packs, staged_rows
from sidegate.pfs.checking import check
from sidegate.pfs.collection import collect
from sidegate.pfs.commits import Commit
from sidegate.pfs.extents import slice_extents
from sidegate.pfs.files import FileRecord
from sidegate.pfs.publish import Publication
from sidegate.pfs.staging import StagingInfo
from sidegate.pfs.store import Store

Files = dict[str, bytes]

SMALL = {
    (cutting, "MIN_BYTES"): 64,
    (cutting, "AVERAGE_BYTES"): 128,
    (cutting, "MAX_BYTES"): 512,
    (extent_lists, "FANOUT"): 3,
    (nodes, "MIN_NODE_BYTES"): 150,
    (nodes, "TARGET_NODE_BYTES"): 400,
    (nodes, "MAX_NODE_BYTES"): 1000,
    (chunks, "PACK_BYTES"): 6000,
    (open_packs, "OPEN_PACKS"): 4,
    (staged_rows, "_PAGE"): 3,
}

paths = st.one_of(
    st.integers(0, 30).map("dir/{:02}".format),
    st.sampled_from(["a", "dir", "dir/", "dir0", "é", "~", "\U0001f600"]),
)
contents = st.one_of(
    st.just(b""),
    st.builds(noise, st.integers(1, 3000), st.integers(0, 3)),
    st.integers(1, 200).map(lambda lines: b"".join(b"line %d\n" % n for n in range(lines))),
)
branch_names = st.sampled_from(["master", "dev", "third"])
positions = st.integers(0, 3500)


@dataclass
class Branch:
    """A branch's finished content and its open writes; None in those removes."""

    head: Commit | None = None
    files: Files = field(default_factory=dict)
    writes: dict[str, bytes | None] | None = None

    def view(self) -> Files:
        merged = {**self.files, **(self.writes or {})}
        return {path: data for path, data in merged.items() if data is not None}


def ordered(files: Files) -> list[str]:
    return sorted(files, key=str.encode)


@cache
def template() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="sidegate-model-")) / ".sidegate"
    Store.create(directory)
    with Store.open(directory) as store:
        store.repos.create("labs")
    return directory


class StoreMachine(RuleBasedStateMachine):
    commits = Bundle("commits")

    @initialize()
    def begin(self) -> None:
        self._saved = {key: getattr(*key) for key in SMALL}
        for (module, name), value in SMALL.items():
            setattr(module, name, value)
        self._home = Path(tempfile.mkdtemp(prefix="sidegate-model-"))
        self.directory = self._home / ".sidegate"
        shutil.copytree(template(), self.directory)
        self.clock = Clock()
        self.store = Store.open(self.directory, clock=self.clock)
        self.branches: dict[str, Branch] = {}
        self.finished: list[tuple[Commit, Files]] = []

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        try:
            report = check(self.store)
            assert report.clean, report.findings
            self.store.close()
        finally:
            for (module, name), value in self._saved.items():
                setattr(module, name, value)
            shutil.rmtree(self._home)

    def branch(self, name: str) -> Branch:
        return self.branches.setdefault(name, Branch())

    def content(self, record: FileRecord, offset: int = 0, end: int | None = None) -> bytes:
        return b"".join(self.store.read(record, offset, end))

    def finish(self, branch: Branch, commit: Commit, files: Files) -> tuple[Commit, Files]:
        branch.head, branch.files, branch.writes = commit, files, None
        self.finished.append((commit, files))
        return commit, files

    # -- writing ---------------------------------------------------------

    @rule(name=branch_names, path=paths, data=contents)
    def put(self, name: str, path: str, data: bytes) -> None:
        self.store.branch_view("labs", name).put_many([(path, put(self.store, data))])
        branch = self.branch(name)
        branch.writes = {**(branch.writes or {}), path: data}

    @rule(name=branch_names, files=st.dictionaries(paths, contents, min_size=1, max_size=12))
    def put_many(self, name: str, files: Files) -> None:
        records = [(path, put(self.store, data)) for path, data in files.items()]
        self.store.branch_view("labs", name).put_many(records)
        branch = self.branch(name)
        branch.writes = {**(branch.writes or {}), **files}

    @rule(name=branch_names, path=paths, data=st.lists(contents, min_size=2, max_size=3))
    def put_in_parts(self, name: str, path: str, data: list[bytes]) -> None:
        extents = [extent for part in data for extent in extents_of(self.store, put(self.store, part))]
        record = self.store.record(tuple(extents), parts=len(data))
        self.store.branch_view("labs", name).put_many([(path, record)])
        branch = self.branch(name)
        branch.writes = {**(branch.writes or {}), path: b"".join(data)}

    @rule(name=branch_names, source=paths, path=paths, offset=positions, length=positions)
    def copy_range(self, name: str, source: str, path: str, offset: int, length: int) -> None:
        view = self.store.branch_view("labs", name)
        record = view.get(source)
        data = self.branch(name).view().get(source)
        assert (record is None) == (data is None)
        if record is None or data is None:
            return
        extents = tuple(slice_extents(extents_of(self.store, record), offset, offset + length))
        view.put_many([(path, self.store.record(extents))])
        branch = self.branch(name)
        branch.writes = {**(branch.writes or {}), path: data[offset : offset + length]}

    @rule(name=branch_names, removed=st.lists(paths, min_size=1, max_size=5))
    def delete(self, name: str, removed: list[str]) -> None:
        self.store.branch_view("labs", name).delete(removed)
        branch = self.branch(name)
        there = [path for path in removed if path in branch.view()]
        if there:
            branch.writes = {**(branch.writes or {}), **dict.fromkeys(there)}

    # -- versions ----------------------------------------------------------

    @rule(name=branch_names, target=commits)
    def finish_open(self, name: str) -> object:
        branch = self.branch(name)
        if branch.writes is None:
            with pytest.raises(NotFound):
                self.store.finish_open("labs", name)
            return multiple()
        made = self.store.finish_open("labs", name)
        files = branch.view()
        if branch.head is not None and files == branch.files:
            assert made == []
            branch.writes = None
            return branch.head, files
        [commit] = made
        assert commit.parent == (branch.head.id if branch.head is not None else None)
        return self.finish(branch, commit, files)

    @rule(
        name=branch_names,
        files=st.dictionaries(paths, contents, max_size=8),
        replace=st.booleans(),
        target=commits,
    )
    def publish_attempt(self, name: str, files: Files, replace: bool) -> object:
        attempt = self.store.stagings.begin_attempt("labs", name)
        attempt.put_many((path, put(self.store, data)) for path, data in files.items())
        commit = self.store.publisher.publish(self.info(attempt.id), Publication(replace=replace))
        assert commit is not None
        branch = self.branch(name)
        writes = branch.writes
        result = self.finish(branch, commit, files if replace else {**branch.files, **files})
        branch.writes = writes
        return result

    def info(self, staging_id: str) -> StagingInfo:
        return next(info for info in self.store.stagings.all() if info.id == staging_id)

    @rule(name=st.sampled_from(["new1", "new2"]), origin=commits)
    def branch_off(self, name: str, origin: tuple[Commit, Files]) -> None:
        commit, files = origin
        if name in self.branches:
            return
        self.store.branches.create("labs", name, commit.id)
        self.branches[name] = Branch(commit, files)
        changed = put(self.store, name.encode())
        self.store.branch_view("labs", name).put_many([("branched", changed)])
        self.branches[name].writes = {"branched": name.encode()}

    # -- reading -----------------------------------------------------------

    @rule(name=branch_names, path=paths, offset=positions, end=positions)
    def read(self, name: str, path: str, offset: int, end: int) -> None:
        record = self.store.branch_view("labs", name).get(path)
        data = self.branch(name).view().get(path)
        assert (record is None) == (data is None)
        if record is not None and data is not None:
            assert record.size_bytes == len(data)
            assert self.content(record, offset, end) == data[offset:end]

    @rule(name=branch_names, start=paths)
    def list_from(self, name: str, start: str) -> None:
        found = [path for path, _ in self.store.branch_view("labs", name).files(start)]
        expected = ordered(self.branch(name).view())
        assert found == [path for path in expected if path.encode() >= start.encode()]

    @rule(before=commits, after=commits)
    def diff(self, before: tuple[Commit, Files], after: tuple[Commit, Files]) -> None:
        (old, old_files), (new, new_files) = before, after
        found = {d.path: d.kind for d in self.store.differences(old, new)}
        expected = {}
        for path in ordered({**old_files, **new_files}):
            if path not in old_files:
                expected[path] = "added"
            elif path not in new_files:
                expected[path] = "removed"
            elif old_files[path] != new_files[path]:
                expected[path] = "changed"
        assert found == expected
        assert list(found) == list(expected)

    @rule(origin=commits)
    def read_commit(self, origin: tuple[Commit, Files]) -> None:
        commit, files = origin
        tree = self.store.tree(commit)
        assert {path: self.content(record) for path, record in tree.files()} == files
        assert (commit.file_count, commit.size_bytes) == (len(files), sum(map(len, files.values())))

    # -- ends, and what is left over ------------------------------------------

    @rule(killed=st.booleans())
    def reopen(self, killed: bool) -> None:
        if killed:
            put(self.store, noise(700, "in flight"))
            crash(self.store)
        else:
            self.store.close()
        self.store = Store.open(self.directory, clock=self.clock)

    @rule()
    def abandon_attempt(self) -> None:
        attempt = self.store.stagings.begin_attempt("labs", "master")
        attempt.put("lost", put(self.store, noise(900, "lost")))
        self.store.locks.release(attempt.id)

    @precondition(lambda self: self.finished)
    @rule(hours=st.integers(0, 3))
    def collect(self, hours: int) -> None:
        self.clock.advance(hours * HOUR_US)
        report = collect(self.store)
        assert report.damaged_packs == ()
        assert all(info.purpose != "attempt" for info in self.store.stagings.all())

    @invariant()
    def heads_are_right(self) -> None:
        if hasattr(self, "store"):
            for name, branch in self.branches.items():
                if branch.head is not None:
                    assert self.store.commits.head("labs", name) == branch.head


StoreMachine.TestCase.settings = settings(
    max_examples=max(settings().max_examples // 2, 5),
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestStoreModel = StoreMachine.TestCase


@pytest.fixture(scope="module", autouse=True)
def remove_template() -> object:
    yield
    shutil.rmtree(template().parent)
    template.cache_clear()

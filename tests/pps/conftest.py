"""A store with a little data, and a gateway that only pretends."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sidegate.pfs.commits import Commit
from sidegate.pfs.files import FileRecord
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store
from sidegate.pps.sessions import Verdict
from sidegate.pps.traffic import SessionTraffic


@dataclass
class Stored:
    """A store with short ways to put and read files."""

    store: Store

    def record(self, content: bytes) -> FileRecord:
        cutter = self.store.cutter()
        cutter.write(content)
        return self.store.record(cutter.finish())

    def put(self, repo: str, files: Mapping[str, bytes], branch: str = "master") -> Commit:
        """Commit files, the repo made if need be."""
        self.store.repos.ensure(repo, kind="user")
        rows = [(path, self.record(content)) for path, content in files.items()]
        self.store.stagings.open_commit(repo, branch, held=True)
        self.store.branch_view(repo, branch).put_many(rows)
        return self.store.finish_open(repo, branch)[-1]

    def files(self, commit: Commit) -> dict[str, bytes]:
        """Return all files of a commit."""
        return {path: b"".join(self.store.read(record)) for path, record in self.store.tree(commit).files()}

    def leftovers(self) -> list[str]:
        """Return what jobs have left behind."""
        scratch = self.store.directory / "scratch"
        left = [f"staging {info.id}" for info in self.store.stagings.all()]
        return left + [str(path) for path in (scratch.rglob("*") if scratch.is_dir() else ())]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new store, made once: migrations take longer than most tests."""
    directory = tmp_path_factory.mktemp("empty") / "store"
    Store.create(directory)
    return directory


@pytest.fixture
def stored(tmp_path: Path, empty_store: Path) -> Iterator[Stored]:
    shutil.copytree(empty_store, tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        yield Stored(store)


@dataclass
class FakeGateway:
    """Opens sessions that write `writes` when they are judged, one dict per session."""

    stored: Stored
    writes: list[dict[str, bytes]] = field(default_factory=list)
    refusals: list[str | None] = field(default_factory=list)
    opened: list[tuple[dict[str, str], bool, str, str]] = field(default_factory=list)
    traffic: SessionTraffic = field(default_factory=SessionTraffic)
    closed: int = 0

    @contextmanager
    def __call__(
        self, inputs: Mapping[str, Commit], staging: Staging | None, policy: str, alias: str
    ) -> Iterator[FakeSession]:
        number = len(self.opened)
        commits = {name: commit.id for name, commit in inputs.items()}
        self.opened.append((dict(commits), staging is not None, policy, alias))
        try:
            yield FakeSession(self, staging, number)
        finally:
            self.closed += 1


@dataclass
class FakeSession:
    """One session of the fake gateway."""

    gateway: FakeGateway
    staging: Staging | None
    number: int
    endpoint: str = "http://127.0.0.1:1"

    def verdict(self) -> Verdict:
        assert self.staging is not None
        writes = self.gateway.writes[self.number : self.number + 1]
        for files in writes:
            self.staging.put_many([(path, self.gateway.stored.record(data)) for path, data in files.items()])
        refusal = self.gateway.refusals[self.number] if self.number < len(self.gateway.refusals) else None
        return Verdict(refusal, lambda path: not path.startswith("_temporary/"))

    def traffic(self) -> SessionTraffic:
        return self.gateway.traffic


@pytest.fixture
def gateway(stored: Stored) -> FakeGateway:
    return FakeGateway(stored)

"""A store and a way to run command lines against it, in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sidegate.cli.main import sidegate
from sidegate.pfs.store import Store


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command line ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What stdout says as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def row(self) -> dict[str, Any]:
        """The only JSON line of stdout."""
        (row,) = self.rows
        return row

    @property
    def error(self) -> str:
        """The last line of stderr, which must be an error of one line."""
        line = self.err.splitlines()[-1]
        assert line.startswith("error: "), self.err
        return line.removeprefix("error: ")


Run = Callable[..., Outcome]


@pytest.fixture
def bare_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in an empty folder with no store above it."""
    monkeypatch.chdir(tmp_path)
    for name in ("SIDEGATE_STORE", "SIDEGATE_TRACEBACK", "SIDEGATE_HTTP"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str | Path, stdin: bytes | None = None) -> Outcome:
        result = CliRunner().invoke(sidegate, [str(word) for word in words], input=stdin)
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the repo `labs`, made once: migrations take longer than most tests."""
    directory = tmp_path_factory.mktemp("new") / ".sidegate"
    Store.create(directory)
    with Store.open(directory) as store:
        store.repos.create("labs")
    return directory


@pytest.fixture
def store_directory(tmp_path: Path, new_store: Path) -> Path:
    """The folder of the store in the current folder."""
    return Path(shutil.copytree(new_store, tmp_path / ".sidegate"))


@pytest.fixture
def run(bare_run: Run, store_directory: Path) -> Run:
    """Run a command line where there is a store with the repo `labs`."""
    return bare_run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder `data` with a.csv, sub/b.csv and sub/deep/c.csv."""
    folder = tmp_path / "data"
    for name in ("a.csv", "sub/b.csv", "sub/deep/c.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    return folder

"""A store, and three workers over it for the tests that end none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from workers_harness import Serving, serving

from sidegate.pfs.store import Store


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    Store.create(tmp_path / ".sidegate")
    return tmp_path / ".sidegate"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory = tmp_path_factory.mktemp("three") / ".sidegate"
    Store.create(directory)
    with serving(directory, "--workers", "3", "--finish-after", "never") as server:
        yield server

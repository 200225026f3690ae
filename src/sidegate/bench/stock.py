"""A store with what the cells read, made without a gateway.

One repo is the input of the sidecar, one holds very many keys, one is a branch
that stays open, one takes what is written durably.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidegate.bench import plans
from sidegate.bench.cells import Cell
from sidegate.bench.corpus import LISTED_BODY, Scale, Stored, listed_key
from sidegate.bench.sidecar import OUTPUT_REPO
from sidegate.pfs.files import FileRecord
from sidegate.pfs.store import Store

INPUT: Final = "input"
MANY: Final = "many"
OPEN: Final = "open"
DURABLE: Final = "durable"
BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Stock:
    """A store, the commits of its inputs by bucket, and the one below the branch that stays open."""

    store: Path
    inputs: dict[str, str]
    open_commit: str = ""


def make_stock(directory: Path, cells: Sequence[Cell], scale: Scale) -> Stock:
    """Make the store for some cells."""
    path = directory / ".sidegate"
    Store.create(path)
    needs = frozenset[str]().union(*(cell.needs for cell in cells))
    stored = {one.key: one for cell in cells for one in plans.stored_objects(cell, scale)}
    with Store.open(path) as store:
        for repo in (INPUT, OUTPUT_REPO, OPEN, DURABLE):
            store.repos.create(repo)
        files = [(key, _put(store, one.pieces())) for key, one in stored.items()]
        small = _put(store, [LISTED_BODY])
        if "listed" in needs:
            files += _listed(small, scale.listed_keys)
        inputs = {INPUT: _commit(store, INPUT, files or [("empty", small)])}
        if "many" in needs:
            store.repos.create(MANY)
            inputs[MANY] = _commit(store, MANY, _listed(small, scale.many_keys))
        open_commit = _commit(store, OPEN, files) if "branch" in needs else ""
    return Stock(path, inputs, open_commit)


def _commit(store: Store, repo: str, files: list[tuple[str, FileRecord]]) -> str:
    store.branch_view(repo, "master").put_many(files)
    (commit,) = store.finish_open(repo, "master")
    return commit.id


def _listed(record: FileRecord, count: int) -> list[tuple[str, FileRecord]]:
    return [(listed_key(number, count), record) for number in range(count)]


def _put(store: Store, pieces: Iterable[bytes]) -> FileRecord:
    cutter = store.cutter()
    for piece in pieces:
        for start in range(0, len(piece), BLOCK_BYTES):
            cutter.write(piece[start : start + BLOCK_BYTES])
    return store.record(cutter.finish())


def write_file(path: Path, stored: Stored) -> None:
    """Write an object's bytes to a file, for the yardstick to send."""
    with path.open("wb") as file:
        for piece in stored.pieces():
            file.write(piece)

"""The data that is measured with, from fixed seeds, and the store that holds it.

small       4 KiB each, random: stored raw
raw         one object, random: stored raw
compressed  one object, a CSV of measurements: stored as zstd
keys        names alone, for listings: all share the content of one small object
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from sidegate.bench import corpus as shared
from sidegate.pfs.files import FileRecord
from sidegate.pfs.store import Store

INPUT, OUTPUT_REPO = "labresults", "results"
SMALL_BYTES = shared.SMALL_BYTES
BLOCK_BYTES = 1 << 20
SEED = 20260101


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured; `smoke` only sees that everything runs."""

    smoke: bool
    object_bytes: int = 64 << 20
    small_objects: int = 1000
    listed_keys: int = 10_000
    tree_entries: int = 100_000
    rounds: int = 5
    seconds: float = 0.8
    traffic_bytes: int = 2 << 30
    upload_bytes: int = 1 << 30
    streamed_bytes: int = 5 << 30
    idle_connections: int = 1000
    active_connections: int = 200

    @classmethod
    def choose(cls, *, smoke: bool, rounds: int) -> Scale:
        """Return the scale of a run."""
        if not smoke:
            return cls(False, rounds=rounds)
        return cls(True, 4 << 20, 32, 1500, 3000, 1, 0.01, 16 << 20, 4 << 20, 32 << 20, 20, 12)


@dataclass(frozen=True, slots=True)
class Corpus:
    """A store with one commit, and what the commit holds.

    `raw_file` holds the bytes of the raw object, for the yardstick.
    """

    store: Path
    commit: str
    raw_file: Path
    raw: bytes
    compressed: bytes
    small: list[bytes]
    listed_keys: int


def small_key(number: int) -> str:
    return f"small/{number:06d}.bin"


def listed_key(number: int) -> str:
    return f"keys/group-{number // 100:04d}/measurement-{number:07d}.csv"


def incompressible(size_bytes: int, seed: int = SEED) -> bytes:
    """Return random bytes, the same for the same seed."""
    return random.Random(seed).randbytes(size_bytes)


def measurements(size_bytes: int) -> bytes:
    """Return a CSV of measurements, about 45 bytes a row."""
    return shared.measurements(size_bytes).template


def make(directory: Path, scale: Scale) -> Corpus:
    """Make the store; the raw object is also left as a file."""
    raw, compressed = incompressible(scale.object_bytes), measurements(scale.object_bytes)
    small = [incompressible(SMALL_BYTES, SEED + 1 + number) for number in range(scale.small_objects)]
    raw_file = directory / "raw.bin"
    raw_file.write_bytes(raw)
    path = directory / ".sidegate"
    Store.create(path)
    with Store.open(path) as store:
        store.repos.create(INPUT)
        store.repos.create(OUTPUT_REPO)
        view = store.branch_view(INPUT, "master")

        def put(content: bytes) -> FileRecord:
            cutter = store.cutter()
            for start in range(0, len(content), BLOCK_BYTES):
                cutter.write(content[start : start + BLOCK_BYTES])
            return store.record(cutter.finish())

        records = [put(content) for content in small]
        files = [(small_key(number), record) for number, record in enumerate(records)]
        files += [(listed_key(number), records[0]) for number in range(scale.listed_keys)]
        files += [("raw.bin", put(raw)), ("measurements.csv", put(compressed))]
        view.put_many(files)
        (commit,) = store.finish_open(INPUT, "master")
    return Corpus(path, commit.id, raw_file, raw, compressed, small, scale.listed_keys)

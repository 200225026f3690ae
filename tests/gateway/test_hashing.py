"""Bodies hashed together: every digest is right, whoever was hashed with whom."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from gateway_harness import Client, noise
from hypothesis import given
from hypothesis import strategies as st

from sidegate.gateway import hashing
from sidegate.gateway.hashing import STEP_BYTES, TOGETHER_COUNT, HashStep, hash_together
from sidegate.gateway.threads import GATHER_COUNT, WorkThreads
from sidegate.native import Sha256

LENGTHS = st.lists(
    st.sampled_from([0, 1, 63, 64, 1000, STEP_BYTES - 1, STEP_BYTES, 2 * STEP_BYTES + 65]), max_size=4
)


def step_of(lengths: list[int], seed: int) -> tuple[HashStep, bytes]:
    pieces = [Random(seed + n).randbytes(length) for n, length in enumerate(lengths)]
    step = HashStep(Sha256(), [memoryview(piece) for piece in pieces])
    return step, hashlib.sha256(b"".join(pieces)).digest()


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """How many bodies were hashed at once, and how much of each, call by call."""
    calls: list[tuple[int, int]] = []
    update_together = hashing.update_together

    def counted(streams: list[Sha256], pieces: list[memoryview]) -> None:
        (length,) = {len(piece) for piece in pieces}
        calls.append((len(streams), length))
        update_together(streams, pieces)

    monkeypatch.setattr(hashing, "update_together", counted)
    return calls


@given(lengths=st.lists(LENGTHS, min_size=1, max_size=TOGETHER_COUNT))
def test_pieces_of_any_lengths(lengths: list[list[int]]) -> None:
    steps = [step_of(each, number) for number, each in enumerate(lengths)]
    hash_together([step for step, _ in steps])
    assert [step.hasher.digest() for step, _ in steps] == [digest for _, digest in steps]


def test_side_by_side_as_far_as_any_two_go(shared: list[tuple[int, int]]) -> None:
    lengths = [[STEP_BYTES + 100, 0, 50], [200, 2 * STEP_BYTES], [0, 300]]
    hash_together([step_of(each, number)[0] for number, each in enumerate(lengths)])
    assert shared == [(3, 200), (3, 100), (2, STEP_BYTES - 200), (2, 50)]


class Queued:
    """Work behind work that keeps the only thread, so that all of it waits."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def run(
        self, threads: WorkThreads, works: list[tuple[str, Callable[[], HashStep] | None]]
    ) -> list[object]:
        may_go = threading.Event()

        async def main() -> list[object]:
            blocker = asyncio.ensure_future(threads.run(lambda: may_go.wait(30)))
            await asyncio.sleep(0)
            tasks = [
                asyncio.ensure_future(
                    threads.run(lambda name=name: self.events.append(name) or name, opening=opening)
                )
                for name, opening in works
            ]
            await asyncio.sleep(0)  # all are queued
            may_go.set()
            assert await blocker
            return list(await asyncio.gather(*tasks, return_exceptions=True))

        return asyncio.run(main())

    def opening(self, name: str, step: HashStep) -> Callable[[], HashStep]:
        def open_step() -> HashStep:
            self.events.append(f"open {name}")
            return step

        return open_step


def test_work_that_waits_is_hashed_together_and_done_in_order(shared: list[tuple[int, int]]) -> None:
    queued = Queued()
    names = ["first", "second", "third", "fourth"]
    steps = [step_of([1000 * (n + 1)], n) for n in range(len(names))]
    works = [(name, queued.opening(name, step)) for name, (step, _) in zip(names, steps, strict=True)]
    with WorkThreads(1, "test") as threads:
        assert queued.run(threads, [*works, ("plain", None)]) == [*names, "plain"]
    opened, fourth = [f"open {name}" for name in names[:3]], ["open fourth", "fourth", "plain"]
    assert queued.events == [*opened, *names[:3], *fourth]
    assert shared == [(3, 1000), (2, 1000)]
    assert [step.hasher.digest() for step, _ in steps] == [digest for _, digest in steps]


def test_work_without_a_body_is_passed_over_and_keeps_its_place(shared: list[tuple[int, int]]) -> None:
    queued = Queued()
    steps = {name: step_of([1000], n)[0] for n, name in enumerate(("first", "third"))}
    works = [(name, queued.opening(name, step)) for name, step in steps.items()]
    with WorkThreads(1, "test") as threads:
        queued.run(threads, [works[0], ("second", None), works[1]])
    assert queued.events == ["open first", "open third", "first", "second", "third"]
    assert shared == [(2, 1000)]


def test_a_thread_takes_its_part_of_what_waits_and_no_more(shared: list[tuple[int, int]]) -> None:
    """Of four that are under way two are for the other thread, however long that takes."""
    all_are_queued, rest_is_done = threading.Event(), threading.Event()
    steps = [step_of([1000], n) for n in range(3)]

    def open_first() -> HashStep:
        assert all_are_queued.wait(30)
        return steps[0][0]

    async def main(threads: WorkThreads) -> None:
        first = asyncio.ensure_future(threads.run(lambda: None, opening=open_first))
        blocker = asyncio.ensure_future(threads.run(lambda: rest_is_done.wait(30)))
        await asyncio.sleep(0)
        others = [threads.run(lambda: None, opening=lambda step=step: step) for step, _ in steps[1:]]
        rest = asyncio.gather(*others)
        await asyncio.sleep(0)
        all_are_queued.set()
        await first
        await rest
        rest_is_done.set()
        assert await blocker

    with WorkThreads(2, "test") as threads:
        asyncio.run(main(threads))
    assert shared == [(2, 1000)]
    assert [step.hasher.digest() for step, _ in steps] == [digest for _, digest in steps]


def test_last_blocks_are_hashed_together_and_told_together(shared: list[tuple[int, int]]) -> None:
    may_go = threading.Event()
    steps = [step_of([1000], n) for n in range(GATHER_COUNT)]
    done: list[int] = []

    async def main(threads: WorkThreads) -> list[int]:
        async def one(number: int) -> int:
            step = steps[number][0]
            await threads.run(lambda: done.append(number), gathers=True, opening=lambda: step)
            return len(done)

        blocker = asyncio.ensure_future(threads.run(lambda: may_go.wait(30)))
        await asyncio.sleep(0)
        tasks = [asyncio.ensure_future(one(number)) for number in range(GATHER_COUNT)]
        await asyncio.sleep(0)
        may_go.set()
        await blocker
        return await asyncio.gather(*tasks)

    with WorkThreads(1, "test") as threads:
        assert asyncio.run(main(threads)) == [GATHER_COUNT] * GATHER_COUNT
    assert done == list(range(GATHER_COUNT))
    assert shared == [(3, 1000)]
    assert [step.hasher.digest() for step, _ in steps] == [digest for _, digest in steps]


@pytest.mark.parametrize("faulty", [0, 1])
def test_an_error_of_one_is_not_the_other_s(faulty: int) -> None:
    queued = Queued()
    step, digest = step_of([5000], 1)

    def fault() -> HashStep:
        raise ZeroDivisionError

    works: list[tuple[str, Callable[[], HashStep] | None]] = [("right", lambda: step)]
    works.insert(faulty, ("faulty", fault))
    with WorkThreads(1, "test") as threads:
        results = queued.run(threads, works)
    assert isinstance(results[faulty], ZeroDivisionError)
    assert results[1 - faulty] == "right"
    assert queued.events == ["right"]
    assert step.hasher.digest() == digest


def test_where_hashing_fails_work_ends_with_that_and_the_thread_goes_on() -> None:
    queued = Queued()
    broken = memoryview(bytearray(1000))
    broken.release()
    works = [(name, queued.opening(name, HashStep(Sha256(), [broken]))) for name in ("one", "two")]
    with WorkThreads(1, "test") as threads:
        first, second, third = queued.run(threads, [*works, ("three", None)])
    assert isinstance(first, ValueError)
    assert isinstance(second, ValueError)
    assert third == "three"


def test_with_a_thread_for_each_nobody_is_kept_for_another() -> None:
    meeting = threading.Barrier(2)

    async def main(threads: WorkThreads) -> None:
        works = [
            threads.run(lambda: meeting.wait(30), opening=lambda n=n: step_of([100_000], n)[0])
            for n in range(2)
        ]
        await asyncio.gather(*works)

    with WorkThreads(2, "test") as threads:
        asyncio.run(main(threads))


def test_uploads_at_once_each_with_its_own_verdict(labs: Client) -> None:
    """Right digests and wrong ones side by side, in bodies of one block and of several."""
    bodies = [noise(size, f"body {n}") for n, size in enumerate([70_000, 1 << 20, 3_000_001, 5 << 20] * 3)]
    wrong = {1, 6, 11}

    def put(number: int) -> tuple[int, str | None]:
        client = labs.another()
        body = bodies[number]
        digest = hashlib.sha256(body if number not in wrong else b"another").hexdigest()
        answer = client.ask("PUT", f"/labs/{number}", body, {"x-amz-content-sha256": digest})
        client.close()
        return answer.status, answer.code

    with ThreadPoolExecutor(len(bodies)) as threads:
        answers = list(threads.map(put, range(len(bodies))))
    for number, (status, code) in enumerate(answers):
        if number in wrong:
            assert (status, code) == (400, "XAmzContentSHA256Mismatch")
            assert labs.get(f"/labs/{number}").status == 404
        else:
            assert status == 200
            assert labs.get(f"/labs/{number}").body == bodies[number]

"""Bodies hashed in pairs: every digest is right, whoever was hashed with whom."""

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
from sidegate.gateway.hashing import STEP_BYTES, HashStep, hash_alone, hash_together
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
def pair_lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much was hashed of each of two bodies at once, call by call."""
    lengths: list[int] = []
    update_both = hashing.update_both

    def counted(first: Sha256, first_data: memoryview, second: Sha256, second_data: memoryview) -> None:
        assert len(first_data) == len(second_data)
        lengths.append(len(first_data))
        update_both(first, first_data, second, second_data)

    monkeypatch.setattr(hashing, "update_both", counted)
    return lengths


@given(first=LENGTHS, second=LENGTHS)
def test_pieces_of_any_lengths(first: list[int], second: list[int]) -> None:
    (one, one_digest), (other, other_digest) = step_of(first, 1), step_of(second, 2)
    hash_together(one, other)
    assert (one.hasher.digest(), other.hasher.digest()) == (one_digest, other_digest)
    alone, digest = step_of(first, 1)
    hash_alone(alone)
    assert alone.hasher.digest() == digest


def test_side_by_side_as_far_as_both_go(pair_lengths: list[int]) -> None:
    one, other = step_of([STEP_BYTES + 100, 50], 1)[0], step_of([200, 2 * STEP_BYTES], 2)[0]
    hash_together(one, other)
    assert pair_lengths == [200, STEP_BYTES - 100, 50]


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


def test_work_that_waits_is_hashed_in_pairs_and_done_in_order(pair_lengths: list[int]) -> None:
    queued = Queued()
    steps = [step_of([1000 * (n + 1)], n) for n in range(3)]
    names = ["first", "second", "third"]
    works = [(name, queued.opening(name, step)) for name, (step, _) in zip(names, steps, strict=True)]
    with WorkThreads(1, "test") as threads:
        assert queued.run(threads, [*works, ("plain", None)]) == [*names, "plain"]
    assert queued.events == ["open first", "open second", "first", "second", "open third", "third", "plain"]
    assert pair_lengths == [1000]
    assert [step.hasher.digest() for step, _ in steps] == [digest for _, digest in steps]


def test_last_blocks_are_hashed_in_pairs_and_told_together(pair_lengths: list[int]) -> None:
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
    assert pair_lengths == [1000] * (GATHER_COUNT // 2)
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

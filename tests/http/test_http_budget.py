"""The budget of bytes in flight: never exceeded, never stuck, shared fairly."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

import pytest
from http_harness import PATIENCE_SECONDS, Launch, Running
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidegate.http.budget import Budget, Lease
from sidegate.http.limits import Limits
from sidegate.http.message import Handler, Request, Response

# --- the budget alone: a model of uploads under a schedule that Hypothesis chooses

LIMIT, SMALLEST = 1024, 16


class Upload:
    """Wants so many bytes; keeps blocks until it has enough of them for a chunk, or must give way."""

    def __init__(self, budget: Budget, total: int, chunk: int, block: int, *, silent_after: int) -> None:
        self.budget = budget
        self.lease = budget.lease(self)
        self.left = total
        self.chunk = chunk
        self.block = block
        self.sends = silent_after
        self.kept = 0
        self.room = 0
        self.pressed = False
        self.waits = False

    def budget_granted(self) -> None:
        self.waits = False

    def give_way(self) -> None:
        self.pressed = True

    @property
    def done(self) -> bool:
        return self.left == 0

    @property
    def silent(self) -> bool:
        return self.sends <= 0

    def step(self) -> bool:
        """Do one thing, as a connection and its handler would; whether there was anything to do."""
        if self.done:
            return False
        if self.pressed:
            self.pressed = False
            self.lease.give(self.kept + self.room + self.lease.take_granted())
            self.kept = self.room = 0
            return True
        if self.waits or self.silent:
            return False
        if not self.room:
            self.room = self.lease.ask(min(self.left, self.block))
            self.waits = not self.room
            return True
        self.sends -= 1
        self.left -= self.room
        self.kept += self.room
        self.room = 0
        if self.kept >= self.chunk or not self.left:
            self.lease.give(self.kept)
            self.kept = 0
        if not self.left:
            self.lease.close()
        return True


UPLOADS = st.lists(
    st.tuples(
        st.integers(1, 5000),  # its bytes
        st.sampled_from([1, 100, 400, 2000]),  # its chunk: may be more than the whole budget
        st.sampled_from([8, 16, 64, 256, 2048]),  # its block
        st.sampled_from([0, 1, 3, 10**9]),  # falls silent after so many blocks
    ),
    min_size=1,
    max_size=120,
)


@settings(max_examples=200, deadline=None)
@example([(500, 400, 256, 10**9)] * 200, random.Random(1))
@example([(500, 400, 256, 1)] * 150 + [(500, 400, 256, 10**9)] * 50, random.Random(2))
@given(UPLOADS, st.randoms(use_true_random=False))
def test_whoever_sends_gets_done_and_the_limit_holds(shapes: list[tuple[int, ...]], schedule) -> None:  # type: ignore[no-untyped-def]
    budget = Budget(LIMIT, SMALLEST)
    uploads = [Upload(budget, t, c, b, silent_after=s) for t, c, b, s in shapes]
    steps = 0
    while not all(upload.done or upload.silent for upload in uploads):
        if not sum(upload.step() for upload in uploads):
            budget.sweep()
            assert sum(upload.step() for upload in uploads), "nobody can move, and somebody is not done"
        assert budget.used_bytes <= LIMIT
        assert budget.used_bytes == sum(upload.lease.held_bytes for upload in uploads)
        schedule.shuffle(uploads)
        steps += 1
        assert steps < 20_000, "it goes round in circles"
    for upload in uploads:
        upload.lease.close()
    assert budget.used_bytes == 0
    assert budget.share_bytes == LIMIT


class Recorder:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: deque[str] = deque()

    def budget_granted(self) -> None:
        self.told.append("granted")

    def give_way(self) -> None:
        self.told.append("give way")


def lease(budget: Budget) -> tuple[Lease, Recorder]:
    recorder = Recorder()
    return budget.lease(recorder), recorder


def test_alone_one_may_have_all_and_two_have_half_each() -> None:
    budget = Budget(100, 10)
    first, told = lease(budget)
    assert first.ask(1000) == 100
    second, told_second = lease(budget)
    assert second.ask(30) == 0
    assert not told.told, "what was granted just now may still be used"
    budget.sweep()
    assert list(told.told) == ["give way"]
    first.give(60)
    assert list(told_second.told) == ["granted"]
    assert second.ask(30) == 30
    assert first.ask(40) == 10, "its half, 50"


def test_those_who_wait_are_served_in_turn() -> None:
    budget = Budget(100, 10)
    holder, _ = lease(budget)
    assert holder.ask(100) == 100
    waiting = [lease(budget) for _ in range(5)]
    assert [one.ask(20) for one, _ in waiting] == [0] * 5
    served = []
    for _ in range(5):
        holder.give(10)
        served.append([len(recorder.told) for _, recorder in waiting])
    assert served == [[1] * count + [0] * (5 - count) for count in range(1, 6)]
    assert [one.ask(20) for one, _ in waiting] == [10] * 5


def test_what_is_granted_and_not_taken_can_be_given_back() -> None:
    budget = Budget(100, 10)
    holder, _ = lease(budget)
    holder.ask(100)
    waiter, _ = lease(budget)
    assert waiter.ask(50) == 0
    holder.give(100)
    assert waiter.held_bytes == 50
    waiter.give(waiter.take_granted())
    assert budget.used_bytes == 0


def test_a_closed_lease_waits_for_nothing() -> None:
    budget = Budget(100, 10)
    holder, _ = lease(budget)
    holder.ask(100)
    gone, told = lease(budget)
    assert gone.ask(10) == 0
    gone.close()
    gone.close()
    holder.close()
    assert not told.told
    assert budget.used_bytes == 0


def test_what_is_spare_is_taken_only_where_nobody_has_to_wait_for_it() -> None:
    budget = Budget(LIMIT, SMALLEST)
    first, second = (Upload(budget, LIMIT, 1, 1, silent_after=1) for _ in range(2))
    assert first.lease.take_spare(LIMIT // 2)
    assert first.lease.take_spare(LIMIT // 2)
    assert not second.lease.take_spare(SMALLEST)
    assert not first.pressed
    assert not second.lease.waiting
    assert second.lease.ask(SMALLEST) == 0
    assert second.lease.waiting
    first.lease.give(LIMIT // 2)
    # The one that waits has got its part; the other may hold no more than its share of the moment.
    assert second.lease.granted_bytes == SMALLEST
    assert not first.lease.take_spare(LIMIT // 4)
    assert budget.used_bytes == LIMIT // 2 + SMALLEST
    for upload in (first, second):
        upload.lease.close()
    assert budget.used_bytes == 0


# --- through a server

PUT = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
KIB = 1024
SMALL = Limits(in_flight_bytes=512 * KIB, block_bytes=128 * KIB)


async def keep(request: Request) -> Response:
    """Digest the body; keep blocks until others wait or 300 KiB are there, as who cuts chunks does."""
    digest, kept, last = hashlib.sha256(), [], False
    while not last:
        blocks, last = await request.body.read_here()
        crowded, request.body.crowded = request.body.crowded, False
        for block in blocks:
            digest.update(block)
            kept.append(block)
        if crowded or last or sum(map(len, kept)) > 300 * KIB:
            for block in kept:
                request.body.recycle(block)
            kept.clear()
    return Response(200, body=digest.hexdigest().encode())


def uploads(server: Running, count: int, data: bytes, *, chunked: bool = False) -> list[bytes]:
    """Send the same body over so many connections at once; return the answers."""
    answers: list[bytes] = [b""] * count
    message = CHUNKED + frame(data, 50_000) if chunked else PUT % len(data) + data

    def send(number: int) -> None:
        peer = server.connect()
        answers[number] = peer.ask(message).body
        peer.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def frame(data: bytes, size: int) -> bytes:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True])
def test_many_uploads_share_a_small_budget(launch: Launch, chunked: bool) -> None:
    data = bytes(range(256)) * 4 * KIB
    server = launch(keep, SMALL)
    assert uploads(server, 24, data, chunked=chunked) == [hashlib.sha256(data).hexdigest().encode()] * 24
    assert server.used_bytes == 0


def test_peers_that_stopped_sending_keep_nothing_from_the_others(launch: Launch) -> None:
    data = bytes(range(256)) * 4 * KIB
    server = launch(keep, SMALL)
    stalled = [server.connect() for _ in range(40)]
    for number, peer in enumerate(stalled):
        peer.send(PUT % len(data) + data[: 1 + number * 7 * KIB])
    assert uploads(server, 4, data) == [hashlib.sha256(data).hexdigest().encode()] * 4
    for number, peer in enumerate(stalled):
        assert peer.ask(data[1 + number * 7 * KIB :]).body == hashlib.sha256(data).hexdigest().encode()
    assert server.used_bytes == 0


def test_a_peer_that_vanishes_frees_its_share(launch: Launch) -> None:
    data = bytes(MANY := 1 << 20)
    server = launch(keep, SMALL)
    for _ in range(20):
        peer = server.connect()
        peer.send(PUT % MANY + data[: MANY // 2])
        peer.reset()
    assert uploads(server, 2, data) == [hashlib.sha256(data).hexdigest().encode()] * 2
    server.connect().ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    server.wait_for_ends()
    assert server.used_bytes == 0


def test_an_answer_before_the_body_was_read_frees_its_share(launch: Launch) -> None:
    def refuse(request: Request) -> Response:
        return Response(403, body=b"no")

    data = bytes(1 << 20)
    server = launch(refuse, SMALL)
    for _ in range(8):
        peer = server.connect()
        assert peer.ask(PUT % len(data) + data).status == 403
        assert peer.ask(PUT % 3 + b"abc").status == 403
        peer.socket.shutdown(socket.SHUT_WR)
        peer.read_to_end()
    assert server.used_bytes == 0


# --- bytes that nobody reads

ANSWER = bytes(65_536)
ANSWER_COUNT = 256
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def long_answer(request: Request) -> Response:
    """More than any socket takes at once."""
    return Response(200, segments=(ANSWER for _ in range(ANSWER_COUNT)), length=ANSWER_COUNT * len(ANSWER))


async def long_answer_later(request: Request) -> Response:
    return long_answer(request)


async def long_answer_begun(request: Request) -> Response:
    await request.body.read_here()
    return long_answer(request)


CASES = [
    (framing, handler)
    for framing in ("length", "chunked", "awaited")
    for handler in (long_answer, long_answer_later, long_answer_begun)
    if framing != "awaited" or handler is not long_answer_begun  # who reads has the body come
]


def begin(framing: str, data: bytes) -> tuple[bytes, bytes]:
    """Return what comes before the answer begins, and what comes after."""
    here, later = data[: 200 * KIB], data[200 * KIB :]
    if framing == "chunked":
        return CHUNKED + frame(here, 50_000)[: -len(b"0\r\n\r\n")], frame(later, 50_000)
    awaits = b"Expect: 100-continue\r\n\r\n" if framing == "awaited" else b"\r\n"
    head = (PUT % len(data))[:-2] + awaits
    return (head, data) if framing == "awaited" else (head + here, later)


@pytest.mark.parametrize(("framing", "handler"), CASES)
def test_what_comes_during_the_answer_takes_no_memory(launch: Launch, framing: str, handler: Handler) -> None:
    server = launch(handler, SMALL)
    for size, leave in ((300, None), (700, None), (300, "close"), (700, "reset")):
        before, after = begin(framing, bytes(size * KIB))
        peer = server.connect()
        peer.send(before)
        assert peer.read_head()[0] == 200
        peer.send(after)
        if leave is None:
            peer.discard(ANSWER_COUNT * len(ANSWER))
            if framing != "awaited":
                assert peer.ask(GET, head_only=True).status == 200, "the connection goes on"
        elif leave == "close":
            peer.close()
        else:
            peer.reset()
    server.call(server.server.drain(0.0))
    assert server.used_bytes == 0


def test_a_reader_that_rests_keeps_nothing_from_uploads(launch: Launch) -> None:
    async def handler(request: Request) -> Response:
        return long_answer(request) if request.method == "GET" else await keep(request)

    data = bytes(range(256)) * 4 * KIB
    server = launch(handler, SMALL)
    for framing in ["length", "chunked"] * 10:
        before, after = begin(framing, bytes(700 * KIB))
        peer = server.connect(receive_buffer_bytes=4 * KIB)
        peer.send(before.replace(b"PUT", b"GET", 1))
        assert peer.read_head()[0] == 200
        peer.send(after)
    assert uploads(server, 4, data) == [hashlib.sha256(data).hexdigest().encode()] * 4
    assert server.used_bytes == 0


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_requests_that_were_never_begun_keep_nothing(launch: Launch, framing: str) -> None:
    held = threading.Event()

    async def handler(request: Request) -> Response:
        await asyncio.get_running_loop().run_in_executor(None, held.wait, 10)
        return Response(200)

    server = launch(handler, SMALL)
    whole = CHUNKED + frame(bytes(20 * KIB), 5_000) if framing == "chunked" else PUT % 20_000 + bytes(20_000)
    for more in (b"", begin(framing, bytes(700 * KIB))[0][: 30 * KIB]):
        peer = server.connect()
        peer.send(GET + whole + more)
        wait_until(lambda: received_bytes(server) > 20_000)
        peer.reset()
        wait_until(lambda: not server.server.connection_count)
    held.set()
    server.wait_for_ends()
    assert server.used_bytes == 0


def received_bytes(server: Running) -> int:
    return sum(connection._received_bytes for connection in list(server.server._service.connections))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_handler_that_fails_at_once_keeps_nothing(launch: Launch, framing: str) -> None:
    def handler(request: Request) -> Response:
        raise ValueError("a bug")

    data = bytes(30 * KIB)
    server = launch(handler, SMALL)
    for count in (None, -10):
        message = CHUNKED + frame(data, 5_000) if framing == "chunked" else PUT % len(data) + data
        assert server.connect().ask(message[:count]).status == 500
    server.call(server.server.drain(0.0))
    assert server.used_bytes == 0

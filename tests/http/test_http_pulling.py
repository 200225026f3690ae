"""Bodies that a thread takes from the socket itself, while the connection rests."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from http_harness import Launch, Peer, Running

from sidegate.http import pulling
from sidegate.http.blocks import BlockPool
from sidegate.http.body import IncomingBody
from sidegate.http.budget import Budget
from sidegate.http.errors import BodyTruncated
from sidegate.http.limits import Limits
from sidegate.http.message import Request, Response
from sidegate.http.pulling import LEAST_BYTES, MOST_BYTES, Pull, pull_from

KIB, MIB = 1 << 10, 1 << 20
PUT = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
PATIENCE_SECONDS = 20
BLOCK_BYTES = 64 * KIB


def data_of(size_bytes: int) -> bytes:
    return random.Random(size_bytes).randbytes(size_bytes)


def digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


# --- by itself


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)  # a test that fills the socket fails, and does not hang
    with ours, theirs:
        yield ours, theirs


def pull_of(ours: socket.socket, remaining_bytes: int, spare_count: int) -> Pull:
    pull = Pull(os.dup(ours.fileno()))
    pull.remaining_bytes = remaining_bytes
    pool = BlockPool(BLOCK_BYTES, 16 * BLOCK_BYTES)
    pull.spare = [pool.take(BLOCK_BYTES) for _ in range(spare_count)]
    return pull


def test_blocks_come_whole_and_the_last_one_ends_with_the_body(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = sockets
    body = data_of(BLOCK_BYTES + 1000)
    theirs.sendall(body + b"GET /next")
    pull = pull_of(ours, len(body), 2)
    first, second = pull.next_block(), pull.next_block()
    assert (first, second) == (body[:BLOCK_BYTES], body[BLOCK_BYTES:])
    assert (pull.received_bytes, pull.remaining_bytes, pull.is_dry) == (len(body), 0, False)
    assert pull.next_block() is None
    assert ours.recv(100) == b"GET /next"


def test_a_block_that_waits_for_the_peer_is_filled_later(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = sockets
    body = data_of(BLOCK_BYTES)
    pull = pull_of(ours, len(body), 1)
    for end in range(10_000, len(body), 10_000):
        theirs.sendall(body[end - 10_000 : end])
        assert pull.next_block() is None
        assert (pull.is_dry, pull.filled_bytes, pull.received_bytes) == (True, end, end)
    theirs.sendall(body[end:])
    assert pull.next_block() == body


@pytest.mark.parametrize("expected", [False, True])
def test_only_while_quick_answers_are_given_a_block_comes_bit_by_bit(
    sockets: tuple[socket.socket, socket.socket],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    expected: bool,
) -> None:
    ours, theirs = sockets
    if expected:
        request.getfixturevalue("quick_answers_expected")
    counts: list[int] = []
    ways: list[None] = []
    readv = os.readv

    def recorded(descriptor: int, rooms: tuple[memoryview, ...]) -> int:
        counts.append(readv(descriptor, rooms))
        return counts[-1]

    monkeypatch.setattr(os, "readv", recorded)
    monkeypatch.setattr(pulling, "SHORT_RECEIVE_BYTES", 10_000)
    monkeypatch.setattr(pulling, "give_way", lambda: ways.append(None))
    body = data_of(BLOCK_BYTES)
    theirs.sendall(body)
    assert pull_of(ours, len(body), 1).next_block() == body
    assert counts == ([10_000] * 6 + [BLOCK_BYTES - 60_000] if expected else [BLOCK_BYTES])
    assert len(ways) == (len(counts) if expected else 0)


def test_without_a_block_nothing_is_received_until_one_is_given_back(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = sockets
    body = data_of(2 * BLOCK_BYTES)
    theirs.sendall(body)
    pull = pull_of(ours, len(body), 1)
    first = pull.next_block()
    assert first == body[:BLOCK_BYTES]
    assert pull.next_block() is None
    assert (pull.is_dry, pull.received_bytes) == (False, BLOCK_BYTES)
    pull.reuse([b"not of the pool", first[:100]])
    assert pull.others == [b"not of the pool"]
    assert pull.next_block() == body[BLOCK_BYTES:]


@pytest.mark.parametrize("end", ["closed", "reset"])
def test_the_end_of_the_peer_is_for_the_connection_to_find(end: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    peer = Peer(listener.getsockname())
    ours, _ = listener.accept()
    listener.close()
    ours.setblocking(False)
    with ours:
        pull = pull_of(ours, 100, 1)
        peer.close() if end == "closed" else peer.reset()
        assert pull.next_block() is None
        assert pull.is_dry


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_one_that_is_abandoned_keeps_its_descriptor_for_as_long_as_a_thread_works(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = sockets
    descriptor = os.dup(ours.fileno())
    pull = Pull(descriptor)
    with pull:
        pull.abandon()
        assert is_open(descriptor)
    assert not is_open(descriptor)
    # What comes to it only then finds nothing to receive, whatever has the number now.
    theirs.sendall(b"abc")
    pull.remaining_bytes, pull.spare = 3, [memoryview(bytearray(3))]
    with pull:
        assert pull.next_block() is None
    rested = pull_of(ours, 0, 0)
    rested.abandon()
    rested.abandon()


def test_there_is_none_over_tls_or_without_a_descriptor(
    sockets: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, _ = sockets

    class Transport(asyncio.BaseTransport):
        tls = object()

        def get_extra_info(self, name: str, default: object = None) -> object:
            return {"socket": ours, "sslcontext": self.tls}.get(name, default)

    def refuse(descriptor: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    assert pull_from(Transport()) is None
    assert pull_from(asyncio.BaseTransport({"sslcontext": None})) is None
    monkeypatch.setattr(Transport, "tls", None)
    monkeypatch.setattr(os, "dup", refuse)
    assert pull_from(Transport()) is None
    monkeypatch.undo()


class Lender:
    """A connection that lends its socket, where more is at once."""

    def __init__(self, pull: Pull) -> None:
        self.pull = pull

    def body_lent(self) -> Pull:
        return self.pull

    def body_returned(self, pull: Pull) -> None:
        pull.goes_on = True

    def body_wanted(self) -> None: ...
    def body_taken(self) -> None: ...
    def body_granted(self) -> None: ...
    def body_gives_way(self) -> None: ...


def test_between_two_pulls_no_memory_is_kept(sockets: tuple[socket.socket, socket.socket]) -> None:
    """A reader that does not go on, though it could, would keep it from others while the peer is silent."""
    pull = pull_of(sockets[0], 4 * MIB, 0)
    budget = Budget(4 * MIB)
    pool = BlockPool(BLOCK_BYTES, 4 * MIB)
    body = IncomingBody(Lender(pull), pool, budget, 4 * MIB, expects_continue=False)
    for _ in range(2):
        assert body.begin_pull() is pull
        assert budget.used_bytes == len(pull.spare) * BLOCK_BYTES > 0
        body.end_pull(pull)
        assert (budget.used_bytes, pull.spare) == (0, [])
    pull.close()


# --- through a server


class Reader:
    """A handler that pulls where it can, and answers with the digest of what it has read."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.pulled_bytes = 0
        self.read_bytes = 0
        self.dry = threading.Semaphore(0)
        self.failures: list[BaseException] = []
        self._before = before

    async def __call__(self, request: Request) -> Response:
        try:
            return Response(200, body=await self._read(request))
        except BaseException as error:
            self.failures.append(error)
            raise

    async def _read(self, request: Request) -> bytes:
        body, digest, last = request.body, hashlib.sha256(), False
        loop = asyncio.get_running_loop()
        pull = body.begin_pull()
        while True:
            blocks: list[bytes | memoryview] = []
            if pull is None:
                blocks, last = await body.read_here()
                pull = None if last else body.begin_pull()
            body.crowded = False
            for block in blocks:
                self.read_bytes += len(block)
                digest.update(block)
                body.recycle(block)
            if pull is not None:
                try:
                    await loop.run_in_executor(None, self._pull, pull, digest)
                except asyncio.CancelledError:
                    pull.abandon()
                    raise
                self.pulled_bytes += pull.received_bytes
                body.end_pull(pull)
                last = not pull.remaining_bytes
                if pull.is_dry:
                    self.dry.release()
            if last:
                return digest.hexdigest().encode()
            pull = body.begin_pull() if pull is not None and pull.goes_on else None

    def _pull(self, pull: Pull, digest: hashlib._Hash) -> None:
        with pull:
            self._before()
            for _ in range(4):
                block = pull.next_block()
                if block is None:
                    return
                digest.update(block)
                pull.reuse([block])


@pytest.mark.parametrize("size", [LEAST_BYTES, 5 * MIB + 4321, MOST_BYTES])
def test_a_body_is_pulled_to_its_end_and_no_further(launch: Launch, size: int) -> None:
    reader = Reader()
    server = launch(reader)
    peer = server.connect()
    data = data_of(size)
    for _ in range(3):
        peer.send(PUT % size + data + PUT % 3 + b"abc")
        assert peer.read().body == digest_of(data)
        assert peer.read().body == digest_of(b"abc")
    # Only what came with the head, or where the peer was slower, is received by the connection.
    assert reader.pulled_bytes > 0
    assert server.used_bytes == 0


@pytest.mark.parametrize("size", [LEAST_BYTES - 1, MOST_BYTES + 1])
def test_shorter_and_longer_bodies_are_not_pulled(launch: Launch, size: int) -> None:
    reader = Reader()
    server = launch(reader)
    data = data_of(size)
    assert server.connect().ask(PUT % size + data).body == digest_of(data)
    assert reader.pulled_bytes == 0


@pytest.mark.usefixtures("quick_answers_expected")
@pytest.mark.parametrize(("size", "is_pulled"), [(LEAST_BYTES - 1, False), (MOST_BYTES + 1, True)])
def test_while_quick_answers_are_given_longer_bodies_are_pulled_too(
    launch: Launch, size: int, is_pulled: bool
) -> None:
    reader = Reader()
    server = launch(reader)
    data = data_of(size)
    assert server.connect().ask(PUT % size + data).body == digest_of(data)
    assert (reader.pulled_bytes > 0) is is_pulled
    assert server.used_bytes == 0


def test_quick_answers_may_begin_and_end_while_a_body_comes(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pulled, read and pulled again: nothing of it is lost, and nobody waits for the other."""
    answers: list[bool] = []

    def are_expected() -> bool:
        answers.append(len(answers) % 5 < 3)
        return answers[-1]

    monkeypatch.setattr(pulling, "quick_answers", SimpleNamespace(are_expected=are_expected))
    reader = Reader()
    server = launch(reader)
    data = data_of(2 * MOST_BYTES)
    for _ in range(3):
        assert server.connect().ask(PUT % len(data) + data).body == digest_of(data)
    assert reader.pulled_bytes > 0
    assert reader.read_bytes > 0
    assert server.used_bytes == 0


def test_a_body_without_a_length_is_not_pulled(launch: Launch) -> None:
    reader = Reader()
    data = data_of(3 * MIB)
    message = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    assert launch(reader).connect().ask(message % (len(data), data)).body == digest_of(data)
    assert reader.pulled_bytes == 0


def test_a_peer_that_takes_its_time_is_waited_for_by_the_connection(launch: Launch) -> None:
    reader = Reader()
    server = launch(reader)
    peer = server.connect()
    data = data_of(6 * MIB)
    peer.send(PUT % len(data))
    sent = 0
    for pieces in ((1, 70_000, 3 * MIB), (1, 2 * MIB)):
        # The thread has found nothing, and leaves the rest of a block to the connection.
        assert reader.dry.acquire(timeout=PATIENCE_SECONDS)
        for count in pieces:
            peer.send(data[sent : sent + count])
            sent += count
    assert peer.ask(data[sent:]).body == digest_of(data)
    assert reader.read_bytes > 0
    assert server.used_bytes == 0


@pytest.mark.parametrize("end", ["closed", "reset"])
def test_a_peer_that_vanishes_while_a_thread_pulls(launch: Launch, end: str) -> None:
    begun, gone = threading.Event(), threading.Event()

    def before() -> None:
        begun.set()
        gone.wait(PATIENCE_SECONDS)

    reader = Reader(before)
    server = launch(reader)
    peer = server.connect()
    peer.send(PUT % (4 * MIB) + data_of(MIB))
    assert begun.wait(PATIENCE_SECONDS)
    peer.close() if end == "closed" else peer.reset()
    gone.set()
    server.wait_for_ends()
    assert [type(failure) for failure in reader.failures] == [BodyTruncated]
    assert server.used_bytes == 0
    assert server.connect().ask(GET).status == 200


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc to count descriptors in")
def test_a_reader_that_is_cancelled_leaves_no_descriptor(launch: Launch) -> None:
    begun, ended = threading.Event(), threading.Event()

    def before() -> None:
        begun.set()
        ended.wait(PATIENCE_SECONDS)

    server = launch(Reader(before))
    sockets_before = count_sockets()
    peer = server.connect()
    peer.send(PUT % (4 * MIB) + data_of(MIB))
    assert begun.wait(PATIENCE_SECONDS)
    assert count_sockets() == sockets_before + 3  # the peer's, the accepted one, and a duplicate

    async def cancel() -> None:
        tasks = list(server.server._service.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    server.call(cancel())
    ended.set()
    with pytest.raises((EOFError, ConnectionResetError)):
        peer.read()
    drain_executor(server)
    peer.close()
    assert count_sockets() == sockets_before


def count_sockets() -> int:
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        try:
            count += os.readlink(path).startswith("socket:")
        except OSError:
            continue  # the one that lists them
    return count


def drain_executor(server: Running) -> None:
    """Return when the loop's threads have done what they were given."""

    async def drained() -> None:
        await asyncio.get_running_loop().shutdown_default_executor()

    server.call(drained())


def test_an_answer_before_the_body_is_read_leaves_the_connection_usable(launch: Launch) -> None:
    def refuse(request: Request) -> Response:
        return Response(403, body=b"no")

    server = launch(refuse)
    peer = server.connect()
    for _ in range(3):
        assert peer.ask(PUT % (4 * MIB) + data_of(4 * MIB)).status == 403
    assert server.used_bytes == 0


def test_a_body_that_is_awaited_is_asked_for_before_it_is_pulled(launch: Launch) -> None:
    reader = Reader()
    peer = launch(reader).connect()
    data = data_of(8 * MIB)
    head = PUT % len(data)
    assert peer.ask(head[:-2] + b"Expect: 100-continue\r\n\r\n").status == 100
    assert peer.ask(data).body == digest_of(data)
    assert reader.pulled_bytes > 0


def test_many_pulled_uploads_share_a_small_budget(launch: Launch) -> None:
    reader = Reader()
    server = launch(reader, Limits(in_flight_bytes=512 * KIB, block_bytes=128 * KIB))
    data = data_of(3 * MIB)
    answers: list[bytes] = []

    def send() -> None:
        peer = server.connect()
        answers.append(peer.ask(PUT % len(data) + data).body)

    threads = [threading.Thread(target=send) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [digest_of(data)] * 16
    assert reader.read_bytes > 0
    assert server.used_bytes == 0


def test_a_handler_that_ends_with_a_pull_ends_the_connection(launch: Launch) -> None:
    """Nobody knows how much of the body a thread has received, so what follows cannot be told from it."""

    async def handler(request: Request) -> Response:
        if request.method == "GET":
            return Response(200)
        await asyncio.sleep(0.05)  # the connection has received what it may meanwhile
        while (pull := request.body.begin_pull()) is None:
            request.body.recycle(await request.body.read())
        with pull:
            pull.next_block()
        pull.abandon()
        raise asyncio.CancelledError  # not of this task: something it waited for was cancelled

    server = launch(handler, Limits(drain_seconds=300.0, linger_seconds=300.0))
    data = data_of(5 * MIB)
    peer = server.connect()
    peer.send(PUT % len(data) + data)
    answer = peer.read()
    assert (answer.status, answer.headers["connection"]) == (500, "close")
    peer.socket.shutdown(socket.SHUT_WR)
    assert peer.read_to_end() == b""
    wait_seconds = 0.0
    while server.server.connection_count and wait_seconds < PATIENCE_SECONDS:
        server.call(asyncio.sleep(0.01))
        wait_seconds += 0.01
    assert server.server.connection_count == 0
    assert server.used_bytes == 0

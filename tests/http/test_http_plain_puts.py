"""Plain PUTs whose bodies are still to come: received as any other body, whoever reads them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from http_harness import Launch, Peer, Running

from sidegate.http.errors import BodyTruncated
from sidegate.http.limits import Limits
from sidegate.http.message import Body, Request, Response
from sidegate.http.shortcut import Answer, Found, Opening, Outcome, ReceivePut

BODY = os.urandom(2_500_001)
DIGEST = hashlib.sha256(BODY).hexdigest().encode()
GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"


def head(length: int = len(BODY), path: bytes = b"/digest", lines: bytes = b"") -> bytes:
    return b"PUT %b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n%b\r\n" % (path, length, lines)


class Puts:
    """Receives every plain PUT; its path says what becomes of it."""

    wanted_headers: tuple[bytes, ...] = ()
    declined_headers: tuple[bytes, ...] = (b"x-declined",)
    parameters: tuple[bytes, ...] = ()
    family = b"x-amz-"
    ignored_headers: tuple[bytes, ...] = ()
    longest_bytes = 10

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended: list[type[BaseException] | None] = []
        self._works = {
            "/digest": self._digest,
            "/refuse": self._refuse,
            "/refuse-long": self._refuse_at_length,
            "/boom": self._fail,
        }

    def begin(self, found: Found, head: bytes, body: bytes, answer: Callable[[Outcome], None]) -> bool:
        return False

    def receiver(self, found: Found, head: bytes) -> ReceivePut | None:
        assert head.startswith(b"PUT %b HTTP/1.1\r\n" % found[2].encode())
        assert head.endswith(b"\r\n\r\n")
        work = self._works.get(found[2])
        return work and (lambda body: self._watch(work(body)))

    async def _watch(self, work: Coroutine[Any, Any, Response]) -> Response:
        self.begun.set()
        try:
            response = await work
        except BaseException as error:
            self.ended.append(type(error))
            raise
        self.ended.append(None)
        return response

    async def _digest(self, body: Body) -> Response:
        hasher, last = hashlib.sha256(), False
        while not last:
            blocks, last = await body.read_here()
            body.crowded = False
            for block in blocks:
                hasher.update(block)
                body.recycle(block)
        return Response(200, [(b"by", b"shortcut")], hasher.hexdigest().encode())

    async def _refuse(self, body: Body) -> Response:
        return Response(403, [(b"by", b"shortcut")], b"no")

    async def _refuse_at_length(self, body: Body) -> Response:
        return Response(403, segments=(bytes(1 << 16) for _ in range(256)), length=16 << 20)

    async def _fail(self, body: Body) -> Response:
        await body.read()
        raise ValueError("a bug")


class Toy:
    """Answers no read."""

    wanted_headers: tuple[bytes, ...] = ()
    declined_headers: tuple[bytes, ...] = ()
    parameters: tuple[bytes, ...] = ()

    def __init__(self) -> None:
        self.puts = Puts()

    def answer(self, found: Found, opening: Opening) -> Answer | None:
        return None


async def handler(request: Request) -> Response:
    hasher = hashlib.sha256()
    while block := await request.body.read():
        hasher.update(block)
    return Response(200, [(b"by", b"handler")], hasher.hexdigest().encode())


@pytest.fixture
def toy() -> Toy:
    return Toy()


def ask(peer: Peer, data: bytes = head() + BODY) -> tuple[int, str, bytes]:
    answer = peer.ask(data)
    return answer.status, answer.headers["by"], answer.body


def held_bytes(running: Running) -> int:
    async def look() -> int:
        return running.server._service.budget.used_bytes

    used: int = running.call(look())
    return used


def test_a_plain_put_is_received_and_others_are_left(launch: Launch, toy: Toy) -> None:
    running = launch(handler, shortcut=toy)
    peer = running.connect()
    for _ in range(2):
        assert ask(peer) == (200, "shortcut", DIGEST)
        assert ask(peer, head(path=b"/other") + BODY) == (200, "handler", DIGEST)
        assert ask(peer, head(lines=b"X-Declined: 1\r\n") + BODY) == (200, "handler", DIGEST)
        assert ask(peer, head(5) + BODY[:5])[1] == "handler"  # it is here whole, and left by `begin`
        assert peer.ask(GET).headers["by"] == "handler"
    assert held_bytes(running) == 0


def test_a_peer_that_waits_is_told_to_go_on(launch: Launch, toy: Toy) -> None:
    peer = launch(handler, shortcut=toy).connect()
    for lines, by in ((b"Expect: 100-continue\r\n", "shortcut"), (b"expect: 100-Continue \r\n", "shortcut")):
        peer.send(head(lines=lines))
        assert peer.read_head()[0] == 100
        assert ask(peer, BODY) == (200, by, DIGEST)
        # Who sends some of the body with its head does not wait, and is told nothing.
        peer.send(head(lines=lines) + BODY[:1])
        assert ask(peer, BODY[1:]) == (200, by, DIGEST)
    # It waits for the interim response though there is nothing to send.
    peer.send(head(0, lines=b"Expect: 100-continue\r\n"))
    assert peer.read_head()[0] == 100
    assert peer.read().headers["by"] == "handler"


def test_a_peer_that_waits_is_refused_without_being_told_to_go_on(launch: Launch, toy: Toy) -> None:
    running = launch(handler, shortcut=toy)
    peer = running.connect()
    peer.send(head(path=b"/refuse", lines=b"Expect: 100-continue\r\n"))
    answer = peer.read()
    assert (answer.status, answer.headers["by"], answer.headers["connection"]) == (403, "shortcut", "close")
    assert held_bytes(running) == 0
    for lines in (b"Expect: more\r\n", b"Expect: 100-continue\r\nExpect: 100-continue\r\n"):
        assert running.connect().ask(head(lines=lines)).status == 417


@pytest.mark.parametrize("size", [1, 10, 4096, 65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1])
def test_every_size_in_every_piece(launch: Launch, toy: Toy, size: int) -> None:
    running = launch(handler, shortcut=toy)
    peer = running.connect()
    data = head(size) + BODY[:size]
    begin = len(data) - size
    answer = (200, "shortcut", hashlib.sha256(BODY[:size]).hexdigest().encode())
    for edge in {begin, begin + size // 2, len(data) - 1}:
        peer.send(data[:edge])
        assert toy.puts.begun.wait(10)  # what was sent is here before the rest is
        assert ask(peer, data[edge:] + GET) == answer
        assert peer.read().headers["by"] == "handler"
        toy.puts.begun.clear()
    assert held_bytes(running) == 0


def test_bytewise_bodies_are_received(launch: Launch, toy: Toy) -> None:
    peer = launch(handler, shortcut=toy).connect()
    peer.send(head(1000))
    peer.send_bytewise(BODY[:1000])
    assert peer.read().body == hashlib.sha256(BODY[:1000]).hexdigest().encode()


@pytest.mark.parametrize("sent", [0, 1, 70_000, 1_200_000, len(BODY) - 1])
def test_a_peer_that_goes_away_gives_everything_back(launch: Launch, toy: Toy, sent: int) -> None:
    running = launch(handler, shortcut=toy)
    for leave in (Peer.close, Peer.reset):
        peer = running.connect()
        peer.send(head() + BODY[:sent])
        assert toy.puts.begun.wait(10)
        toy.puts.begun.clear()
        leave(peer)
    running.call(running.server._service.empty.wait())
    assert toy.puts.ended == [BodyTruncated] * 2
    assert held_bytes(running) == 0


def test_a_peer_that_falls_silent_is_told(launch: Launch, toy: Toy) -> None:
    running = launch(handler, Limits(body_idle_seconds=0.2), shortcut=toy)
    peer = running.connect()
    peer.send(head() + BODY[:100_000])
    assert peer.read().status == 408
    assert peer.read_to_end() == b""
    assert toy.puts.ended == [BodyTruncated]
    assert held_bytes(running) == 0


def test_a_refusal_drains_what_is_unread(launch: Launch, toy: Toy) -> None:
    peer = launch(handler, shortcut=toy).connect()
    for _ in range(2):
        assert ask(peer, head(path=b"/refuse") + BODY) == (403, "shortcut", b"no")
        assert ask(peer) == (200, "shortcut", DIGEST)
    peer = launch(handler, Limits(drain_bytes=1000), shortcut=toy).connect()
    peer.send(head(path=b"/refuse") + BODY[:70_000])
    assert peer.read().headers["connection"] == "close"
    assert peer.read_to_end() == b""


@pytest.mark.parametrize("lines", [b"", b"Expect: 100-continue\r\n"])
def test_what_comes_during_a_refusal_takes_no_memory(launch: Launch, toy: Toy, lines: bytes) -> None:
    running = launch(handler, shortcut=toy)
    for leave in (None, Peer.close, Peer.reset):
        peer = running.connect()
        peer.send(head(path=b"/refuse-long", lines=lines))
        assert peer.read_head()[0] == 403
        peer.send(BODY)
        if leave is not None:
            leave(peer)
            continue
        peer.discard(16 << 20)
        if not lines:
            assert ask(peer) == (200, "shortcut", DIGEST)
    running.call(running.server.drain(0.0))
    assert held_bytes(running) == 0


def test_a_reader_that_fails_is_answered(launch: Launch, toy: Toy) -> None:
    running = launch(handler, shortcut=toy)
    peer = running.connect()
    assert peer.ask(head(path=b"/boom") + BODY).status == 500
    assert ask(peer) == (200, "shortcut", DIGEST)
    assert held_bytes(running) == 0


def test_many_share_a_small_budget(launch: Launch, toy: Toy) -> None:
    limits = Limits(in_flight_bytes=256 << 10, block_bytes=128 << 10)
    running = launch(handler, limits, shortcut=toy)
    answers: list[tuple[int, str, bytes]] = []

    def upload() -> None:
        peer = running.connect()
        for _ in range(3):
            answers.append(ask(peer))

    stalled = running.connect()
    stalled.send(head() + BODY[:200_000])
    threads = [threading.Thread(target=upload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [(200, "shortcut", DIGEST)] * 24
    stalled.send(BODY[200_000:])
    assert stalled.read().body == DIGEST
    assert held_bytes(running) == 0


def test_a_server_that_drains_waits_for_the_body(launch: Launch, toy: Toy) -> None:
    running = launch(handler, shortcut=toy)
    peer = running.connect()
    peer.send(head() + BODY[:100_000])
    assert toy.puts.begun.wait(10)
    draining = running.begin_drain()
    peer.send(BODY[100_000:])
    answer = peer.read()
    assert (answer.body, answer.headers["connection"]) == (DIGEST, "close")
    draining.result(10)


def test_a_server_that_stops_waits_no_longer_than_it_may(launch: Launch, toy: Toy) -> None:
    running = launch(handler, shortcut=toy)
    peer = running.connect()
    peer.send(head() + BODY[:100_000])
    assert toy.puts.begun.wait(10)
    running.call(running.server.drain(0.01))
    assert toy.puts.ended == [asyncio.CancelledError]
    assert held_bytes(running) == 0

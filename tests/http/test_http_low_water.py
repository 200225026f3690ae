"""How much of a body must be here before the loop is woken, and that nothing waits for ever."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from http_harness import Launch

from sidegate.http.intake import Intake
from sidegate.http.limits import Limits
from sidegate.http.low_water import LEAST_BYTES, WORTH_WAKING_BYTES, LowWaterMark
from sidegate.http.message import Request, Response

PUT = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"

linux = pytest.mark.skipif(sys.platform != "linux", reason="the mark is set on Linux only")


async def count(request: Request) -> Response:
    size = 0
    while block := await request.body.read():
        size += len(block)
        request.body.recycle(block)
    return Response(200, body=b"%d" % size)


class _Transport(asyncio.Transport):
    def __init__(self, one: socket.socket) -> None:
        super().__init__({"socket": one})


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as near:
        near.connect(listener.getsockname())
        far, _ = listener.accept()
        with far:
            yield near, far


@linux
def test_the_mark_is_what_is_sure_to_come_within_bounds(sockets: tuple[socket.socket, socket.socket]) -> None:
    one = sockets[0]

    def kernel() -> int:
        return one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)

    mark = LowWaterMark(_Transport(one))
    assert (mark.size_bytes, kernel()) == (1, 1)
    for owed_bytes, expected in (
        (10 << 20, WORTH_WAKING_BYTES),
        (WORTH_WAKING_BYTES - 1, WORTH_WAKING_BYTES - 1),
        (LEAST_BYTES, LEAST_BYTES),
        (LEAST_BYTES - 1, 1),
        (0, 1),
    ):
        mark.expect(owed_bytes)
        assert (mark.size_bytes, kernel()) == (expected, expected)
    mark.expect(10 << 20)
    mark.lower()
    assert (mark.size_bytes, kernel()) == (1, 1)


@linux
def test_a_socket_that_is_gone_is_no_error(sockets: tuple[socket.socket, socket.socket]) -> None:
    mark = LowWaterMark(_Transport(sockets[0]))
    sockets[0].close()
    mark.expect(1 << 20)


@linux
def test_a_mark_that_was_closed_leaves_the_socket_alone(sockets: tuple[socket.socket, socket.socket]) -> None:
    mark = LowWaterMark(_Transport(sockets[0]))
    mark.close()
    mark.expect(1 << 20)
    assert sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


@pytest.mark.parametrize("size", [LEAST_BYTES - 1, WORTH_WAKING_BYTES + 1, (1 << 20) + 3, 5 << 20])
def test_a_body_and_the_request_after_it_arrive(launch: Launch, size: int) -> None:
    peer = launch(count).connect()
    for _ in range(2):
        assert peer.ask(PUT % size + bytes(size)).body == b"%d" % size
        assert peer.ask(GET).body == b"0"


@linux
def test_the_loop_is_woken_less_often(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that stops a byte before the mark is not read from, and the byte brings all of it."""
    counts: list[int] = []
    received = Intake.received

    def counted(intake: Intake, size_bytes: int, *more: Any) -> None:
        counts.append(size_bytes)
        received(intake, size_bytes, *more)

    monkeypatch.setattr(Intake, "received", counted)
    running = launch(count, Limits(body_idle_seconds=60.0))
    peer = running.connect()
    peer.send(PUT % (1 << 20))
    while not counts:
        running.call(asyncio.sleep(0))
    for _ in range(8):
        peer.send(bytes(WORTH_WAKING_BYTES // 16))
        running.call(asyncio.sleep(0))
    # A sweep may have lowered the mark once.
    assert len(counts) <= 2
    peer.send(bytes((1 << 20) - WORTH_WAKING_BYTES // 2))
    assert peer.read().body == b"%d" % (1 << 20)


def test_a_body_that_trickles_in_is_not_taken_for_silence(launch: Launch) -> None:
    """Less than the mark each time, for three times as long as silence may last."""
    size = 1 << 20
    peer = launch(count, Limits(body_idle_seconds=0.4)).connect()
    peer.send(PUT % size + bytes(LEAST_BYTES))
    pause = threading.Event()
    sent = LEAST_BYTES
    for _ in range(24):
        peer.send(bytes(1000))
        sent += 1000
        pause.wait(0.05)
    peer.send(bytes(size - sent))
    assert peer.read().body == b"%d" % size

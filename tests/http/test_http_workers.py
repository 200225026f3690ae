"""What workers share: counts in common memory, and connections over a channel."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import socket
import sys

import pytest
from http_harness import Peer

from sidegate.http import loops
from sidegate.http.handover import Adoption, channel_pair, hand_over, hear_ready
from sidegate.http.message import Request, Response
from sidegate.http.server import Server
from sidegate.http.supervisor import listen, restart_delay_seconds
from sidegate.http.tally import Tally


def test_a_tally_is_seen_through_its_descriptor() -> None:
    tally = Tally.create(2, 3)
    other = Tally(os.dup(tally.fd), 2, 3)
    tally.rows[1][2] = 2**63
    assert [list(row) for row in other.rows] == [[0, 0, 0], [0, 0, 2**63]]
    other.clear(1)
    assert list(tally.rows[1]) == [0, 0, 0]
    kept = tally.rows[0]
    tally.close()
    other.close()
    assert list(kept) == [0, 0, 0]


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory files are of Linux")
def test_a_tally_needs_no_memory_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    tally = Tally.create(1, 4)
    tally.rows[0][3] += 7
    assert list(Tally(tally.fd, 1, 4).rows[0]) == [0, 0, 0, 7]


def test_restarts_take_their_time_only_when_they_must() -> None:
    delays = [restart_delay_seconds(deaths) for deaths in range(1, 12)]
    assert delays[:4] == [0.0, 0.1, 0.2, 0.4]
    assert delays == sorted(delays)
    assert delays[-1] == 10.0


def test_a_full_channel_takes_no_connection() -> None:
    near, far = channel_pair()
    first, second = socket.socketpair()
    taken = 0
    while hand_over(near, first):
        taken += 1
    assert taken > 16
    far.close()
    assert not hand_over(near, first)
    for one in (near, first, second):
        one.close()


@pytest.mark.parametrize("number", [errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM])
def test_a_system_out_of_room_takes_no_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    near, far = channel_pair()
    with near, far:
        monkeypatch.setattr("socket.send_fds", refuse)
        assert not hand_over(near, near)
        assert "cannot hand over a connection" in caplog.text
        monkeypatch.undo()
        assert hand_over(near, near)


def test_a_connection_without_a_descriptor_for_it_is_counted_and_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The counts say how many connections a worker has: one that is never ended is there for ever."""
    events: list[str] = []

    async def serve() -> None:
        near, far = channel_pair()
        ended = asyncio.Event()
        server = Server.unbound(lambda request: Response(200))

        def fail() -> None:
            events.append("failed")
            ended.set()

        adoption = Adoption(far, server, on_taken=lambda: events.append("taken"), on_failure=fail)
        running = asyncio.create_task(adoption.run())
        await asyncio.sleep(0)
        one, other = socket.socketpair()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            assert hand_over(near, one)
            one.close()
            other.settimeout(20)
            assert hear_ready(near)
            await ended.wait()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert other.recv(1) == b""
        near.close()
        await asyncio.wait_for(running, 20)
        for each in (other, far):
            each.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(asyncio.wait_for(serve(), 20))
    assert events == ["taken", "failed"]
    assert "no file descriptor left" in caplog.text


def test_localhost_is_one_port_on_each_of_its_addresses() -> None:
    listeners = listen("localhost", 0)
    assert len({listener.getsockname()[1] for listener in listeners}) == 1
    assert {listener.getsockname()[0] for listener in listeners} <= {"127.0.0.1", "::1"}
    for listener in listeners:
        listener.close()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(("loop", "parser"), [("uvloop", "httptools"), ("asyncio", "h11")])
def test_a_connection_is_served_where_it_was_handed_to(loop: str, parser: str) -> None:
    events: list[str] = []

    def answer(request: Request) -> Response:
        return Response(200, body=request.target)

    async def serve() -> None:
        near, far = channel_pair()
        server = Server.unbound(answer, backend=parser, on_close=lambda: events.append("closed"))
        adoption = Adoption(
            far,
            server,
            on_taken=lambda: events.append("taken"),
            on_failure=lambda: events.append("failed"),
        )
        running = asyncio.create_task(adoption.run())
        listener = socket.create_server(("127.0.0.1", 0))
        peer = Peer(listener.getsockname())
        accepted, _ = listener.accept()
        assert hand_over(near, accepted)
        accepted.close()
        await asyncio.sleep(0)
        assert hear_ready(near)
        assert not hear_ready(near)
        got = await asyncio.to_thread(peer.ask, b"GET /here HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (got.status, got.body) == (200, b"/here")
        assert events == ["taken"]
        assert server.address == ("", 0)
        near.close()
        await asyncio.wait_for(running, 20)
        await server.drain(20)
        assert events == ["taken", "closed"]
        assert await asyncio.to_thread(peer.read_to_end) == b""
        for one in (peer.socket, listener, far):
            one.close()

    if loop == "uvloop" and sys.implementation.name != "cpython":
        pytest.skip("uvloop is of CPython")
    loops.run(serve(), loop)

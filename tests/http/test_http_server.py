"""Time-outs, limits and the ending of a server."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from http_harness import Launch, Peer, Running

from sidegate.http.limits import Limits
from sidegate.http.message import Request, Response
from sidegate.http.server import Server

GET = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n"


def answer(request: Request) -> Response:
    return Response(200, body=b"ok")


def test_an_idle_connection_is_closed_with_fin(launch: Launch) -> None:
    running = launch(answer, Limits(idle_seconds=0.1))
    unused, used = running.connect(), running.connect()
    assert used.ask(GET % b"").body == b"ok"
    assert used.read_to_end() == b""
    assert unused.read_to_end() == b""


def test_a_slow_head_is_refused(launch: Launch) -> None:
    running = launch(answer, Limits(head_seconds=0.1))
    peer = running.connect()
    assert peer.ask(GET % b"").status == 200
    peer.send((GET % b"")[:20])
    refusal = peer.read()
    assert (refusal.status, refusal.headers["connection"]) == (408, "close")
    assert peer.read_to_end() == b""


def test_a_head_that_trickles_in_gets_no_more_time(launch: Launch) -> None:
    peer = launch(answer, Limits(head_seconds=0.2)).connect()
    stop = threading.Event()
    peer.send(b"GET / HTTP/1.1\r\nA: ")

    def trickle() -> None:
        while not stop.wait(0.02):
            try:
                peer.send(b"x")
            except OSError:
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        assert peer.read().status == 408
    finally:
        stop.set()
        thread.join()


def test_a_busy_handler_is_not_a_silent_peer(launch: Launch) -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.3)
        return answer(request)

    limits = Limits(idle_seconds=0.05, head_seconds=0.05, body_idle_seconds=0.05, send_idle_seconds=0.05)
    assert launch(slow, limits).connect().ask(GET % b"").body == b"ok"


def test_a_peer_that_lingers_is_cut(launch: Launch) -> None:
    running = launch(answer, Limits(linger_seconds=0.1))
    peer = running.connect()
    assert peer.ask(b"GET / HTTP/1.1\r\n\r\n").status == 400
    assert peer.read_to_end() == b""
    while running.server.connection_count:
        running.call(asyncio.sleep(0))


def test_too_many_connections_are_told_so(launch: Launch) -> None:
    running = launch(answer, Limits(connections=2))
    held = [running.connect() for _ in range(2)]
    for peer in held:
        assert peer.ask(GET % b"").status == 200
    refused = [running.connect() for _ in range(2)]
    cut = running.connect()
    with pytest.raises((EOFError, OSError)):
        cut.ask(GET % b"")
    refusal = refused[0].ask(GET % b"")
    assert (refusal.status, refusal.headers["connection"]) == (503, "close")
    assert refused[0].read_to_end() == b""
    held.pop().close()
    refused.pop().close()
    while running.server.connection_count > 1:
        running.call(asyncio.sleep(0))
    assert running.connect().ask(GET % b"").status == 200


class Slow:
    """A handler that answers when it is released."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.cancelled = threading.Event()
        self.future: asyncio.Future[None] | None = None

    async def __call__(self, request: Request) -> Response:
        self.future = asyncio.get_running_loop().create_future()
        self.begun.set()
        try:
            await self.future
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return answer(request)

    def release(self) -> None:
        assert self.future is not None
        self.future.get_loop().call_soon_threadsafe(self.future.set_result, None)


def refused(running: Running) -> bool:
    try:
        Peer(running.server.address).close()
    except ConnectionRefusedError:
        return True
    return False


def test_drain_lets_requests_finish_and_closes_the_rest(launch: Launch) -> None:
    slow = Slow()
    running = launch(lambda request: slow(request) if request.target == b"/slow" else answer(request))
    idle, busy, halfway = running.connect(), running.connect(), running.connect()
    assert idle.ask(GET % b"").status == 200
    half = GET % b""
    halfway.send(half[:10])
    busy.send(GET % b"slow")
    assert slow.begun.wait(10)
    draining = running.begin_drain()
    assert idle.read_to_end() == b""
    assert refused(running)
    halfway.send(half[10:])
    last = halfway.read()
    assert (last.body, last.headers["connection"]) == (b"ok", "close")
    slow.release()
    last = busy.read()
    assert (last.body, last.headers["connection"]) == (b"ok", "close")
    assert busy.read_to_end() == b""
    draining.result(10)
    assert running.server.connection_count == 0


def test_drain_cuts_what_is_left_after_the_grace(launch: Launch) -> None:
    slow = Slow()
    running = launch(slow)
    peer = running.connect()
    peer.send(GET % b"")
    assert slow.begun.wait(10)
    running.call(running.server.drain(0.05))
    assert slow.cancelled.is_set()
    with pytest.raises((EOFError, ConnectionResetError)):
        peer.read()


def test_drain_says_what_it_waits_for(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A write that cannot be cut short is waited for beyond the grace, and not in silence."""
    monkeypatch.setattr("sidegate.http.server.PATIENCE_SECONDS", 0.05)
    begun, written = threading.Event(), threading.Event()

    async def handler(request: Request) -> Response:
        begun.set()
        writing = asyncio.ensure_future(asyncio.to_thread(written.wait, 20))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing
        return Response(200)

    running = launch(handler)
    peer = running.connect()
    peer.send(GET % b"")
    assert begun.wait(10)
    draining = asyncio.run_coroutine_threadsafe(running.server.drain(0.01), running.loop)
    with pytest.raises(TimeoutError):
        draining.result(0.5)
    assert "waits for what cannot be cut short: 1 handlers, 0 small writes" in caplog.text
    written.set()
    draining.result(10)


def test_drain_waits_for_a_handler_whose_peer_is_gone(launch: Launch) -> None:
    slow = Slow()
    running = launch(slow)
    peer = running.connect()
    peer.send(GET % b"")
    assert slow.begun.wait(10)
    peer.reset()
    while running.server.connection_count:
        running.call(asyncio.sleep(0))
    draining = running.begin_drain()
    with pytest.raises(TimeoutError):
        draining.result(0.05)
    slow.release()
    draining.result(10)
    assert not slow.cancelled.is_set()


def test_a_half_closed_peer_gets_its_answer(launch: Launch) -> None:
    slow = Slow()
    peer = launch(slow).connect()
    peer.send(GET % b"")
    assert slow.begun.wait(10)
    peer.socket.shutdown(socket.SHUT_WR)
    slow.release()
    assert peer.read().body == b"ok"
    assert peer.read_to_end() == b""


@pytest.mark.parametrize("data", [b"", b"GET / HTTP"])
def test_a_peer_that_leaves_between_requests_is_forgotten(launch: Launch, data: bytes) -> None:
    running = launch(answer)
    peer = running.connect()
    assert peer.ask(GET % b"").status == 200
    peer.send(data)
    peer.close()
    while running.server.connection_count:
        running.call(asyncio.sleep(0))


def test_a_given_socket_is_listened_on(pair: tuple[str, str]) -> None:
    async def main() -> None:
        given = socket.create_server(("127.0.0.1", 0))
        server = await Server.start(answer, sockets=[given], backend=pair[1])
        assert server.address == given.getsockname()
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(GET % b"")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await server.drain(1.0)

    asyncio.run(main())

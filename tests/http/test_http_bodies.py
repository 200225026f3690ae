"""Request bodies: whole, in blocks, awaited, unread, broken off."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading

import pytest
from http_harness import Launch, Outcomes, Peer, address_of

from sidegate.http.errors import BodyTruncated, Reason
from sidegate.http.limits import Limits
from sidegate.http.message import Body, Request, Response

PUT = b"PUT /%b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n%b\r\n"
GET = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"
EXPECT = b"Expect: 100-Continue\r\n"


def chunked(data: bytes, size: int) -> bytes:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


CHUNKED = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


async def describe(request: Request) -> Response:
    """Answer the sizes of the blocks and the digest of their content."""
    sizes, digest = [], hashlib.sha256()
    while block := await request.body.read():
        sizes.append(len(block))
        digest.update(block)
        request.body.recycle(block)
    assert await request.body.read() == b""
    return Response(200, body=f"{sizes} {digest.hexdigest()}".encode())


def expected(sizes: list[int], data: bytes) -> bytes:
    return f"{sizes} {hashlib.sha256(data).hexdigest()}".encode()


def data_of(size: int) -> bytes:
    return b"".join(number.to_bytes(4) for number in range(size // 4 + 1))[:size]


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (0, []),
        (1, [1]),
        (1000, [1000]),
        (1024, [1024]),
        (1025, [1024, 1]),
        (5000, [1024, 1024, 1024, 1024, 904]),
    ],
)
def test_blocks_are_whole_when_the_body_comes_after_its_head(
    launch: Launch, size: int, sizes: list[int]
) -> None:
    data = data_of(size)
    peer = launch(describe, Limits(block_bytes=1024)).connect()
    for _ in range(2):
        peer.send(PUT % (b"", size, EXPECT))
        assert peer.read_head()[0] == 100
        peer.send(data)
        assert peer.read().body == expected(sizes, data)


@pytest.mark.parametrize("bytewise", [False, True])
def test_what_follows_a_body_belongs_to_the_next_request(launch: Launch, bytewise: bool) -> None:
    data = data_of(3000)
    message = PUT % (b"", len(data), b"") + data + CHUNKED + chunked(data, 700) + GET
    peer = launch(describe, Limits(block_bytes=1 << 20)).connect()
    threading.Thread(target=peer.send_bytewise if bytewise else peer.send, args=(message,)).start()
    assert peer.read().body == expected([3000], data)
    assert peer.read().body == expected([3000], data)
    assert peer.read().body == expected([], b"")


def test_a_mib_is_one_block_with_its_framing(launch: Launch) -> None:
    # Chunks of 8 KiB, each with a signature: a size, ";chunk-signature=", 64 digits and two line ends.
    data = data_of((1 << 20) + 128 * (4 + 17 + 64 + 4))
    peer = launch(describe).connect()
    peer.send(PUT % (b"", len(data), b"") + data)
    assert peer.read().body == expected([len(data)], data)


@pytest.mark.parametrize("style", ["length", "chunked"])
def test_a_large_body_comes_in_large_blocks(launch: Launch, style: str) -> None:
    data = data_of(5 << 20)
    peer = launch(describe).connect()
    whole = Limits().block_bytes
    for _ in range(2):
        if style == "length":
            peer.send(PUT % (b"", len(data), b"") + data)
            assert peer.read().body == expected([whole] * 4 + [len(data) - whole * 4], data)
        else:
            peer.send(CHUNKED + chunked(data, 100_000))
            sizes, digest = peer.read().body.rsplit(b" ", 1)
            assert digest == expected([], data).split()[-1]
            assert len(sizes.split(b",")) == 5


def test_a_small_body_is_taken_whole_without_waiting(launch: Launch) -> None:
    seen: list[bytes | None] = []

    def handler(request: Request) -> Response:
        seen.append(request.body.take_whole())
        return Response(200)

    peer = launch(handler).connect()
    peer.ask(PUT % (b"", 5, b"") + b"hello")
    peer.ask(CHUNKED + chunked(b"hello", 2))
    peer.ask(GET)
    assert seen == [b"hello", b"hello", b""]


def test_take_whole_is_none_until_all_is_here_and_after_a_read(launch: Launch) -> None:
    seen: list[object] = []
    more = threading.Event()

    async def handler(request: Request) -> Response:
        seen.append(request.body.take_whole())
        more.set()
        seen.append(bytes(await request.body.read()))
        seen.append(request.body.take_whole())
        return Response(200)

    peer = launch(handler).connect()
    peer.send(PUT % (b"", 6, b"") + b"abc")
    assert more.wait(10)
    peer.send(b"def")
    assert peer.read().status == 200
    assert seen == [None, b"abcdef", None]


class Gate:
    """A handler that reads when it is told to, and only as often."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.steps: asyncio.Queue[bool] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, request: Request) -> Response:
        self.steps, self.loop = asyncio.Queue(), asyncio.get_running_loop()
        self.begun.set()
        while await self.steps.get():
            if not await request.body.read():
                break
        return Response(200)

    def step(self, go_on: bool = True) -> None:
        assert self.begun.wait(10)
        assert self.loop is not None
        assert self.steps is not None
        self.loop.call_soon_threadsafe(self.steps.put_nowait, go_on)


def send_until_stuck(peer: Peer, limit: int) -> int:
    """Send zeros until the socket takes none for half a second; return how many went."""
    peer.socket.settimeout(0.5)
    sent = 0
    try:
        while sent < limit:
            sent += peer.socket.send(bytes(65536))
    except TimeoutError:
        pass
    peer.socket.settimeout(20)
    return sent


@pytest.mark.parametrize("style", ["length", "chunked"])
def test_a_sender_is_held_back_while_nobody_reads(launch: Launch, style: str) -> None:
    size = 256 << 20
    gate = Gate()
    running = launch(gate, Limits(block_bytes=64 << 10))
    peer = running.connect()
    head = PUT % (b"", size, b"") if style == "length" else CHUNKED + b"%x\r\n" % size
    peer.send(head)
    assert gate.begun.wait(10)
    # What the kernel's buffers take, at most some MiB each way, and two blocks.
    assert send_until_stuck(peer, size) < 32 << 20
    for _ in range(40):
        gate.step()
    assert send_until_stuck(peer, 1 << 20) > 0


def test_continue_is_sent_when_the_body_is_first_wanted(launch: Launch) -> None:
    gate = Gate()
    peer = launch(gate).connect()
    peer.send(PUT % (b"", 3, EXPECT))
    assert gate.begun.wait(10)
    assert not peer.buffer
    gate.step()
    assert peer.read_head() == (100, {})
    peer.send(b"abc")
    gate.step()
    assert peer.read().status == 200


def test_an_answer_instead_of_continue_ends_the_connection(launch: Launch) -> None:
    peer = launch(lambda request: Response(403, body=b"no")).connect()
    answer = peer.ask(PUT % (b"", 3, EXPECT))
    assert (answer.status, answer.headers["connection"], answer.body) == (403, "close", b"no")
    # A client may have begun meanwhile: that must not become a reset.
    peer.send(b"abc")
    assert peer.read_to_end() == b""


def test_a_body_of_no_bytes_that_waits_gets_its_continue(launch: Launch) -> None:
    """botocore sends this, and misreads the next response when the interim one is missing."""
    peer = launch(describe).connect()
    for _ in range(2):
        peer.send(PUT % (b"", 0, EXPECT))
        assert peer.read_head() == (100, {})
        assert peer.read().body == expected([], b"")


def test_a_body_that_did_not_wait_needs_no_continue(launch: Launch) -> None:
    peer = launch(describe).connect()
    peer.send(PUT % (b"", 3, EXPECT) + b"a")
    peer.send(b"bc")
    assert peer.read().body == expected([3], b"abc")


@pytest.mark.parametrize("style", ["length", "chunked", "begun"])
def test_an_unread_body_is_dropped_after_the_answer(launch: Launch, style: str) -> None:
    size = 3 << 20
    peer = launch(lambda request: Response(403, body=b"no")).connect()
    data = bytes(size)
    message = CHUNKED + chunked(data, 99_999) if style == "chunked" else PUT % (b"", size, b"") + data
    if style == "begun":
        peer.send(message[:1000])
        assert peer.read().status == 403
        peer.send(message[1000:])
    else:
        peer.send(message)
        answer = peer.read()
        assert (answer.status, "connection" in answer.headers) == (403, False)
    assert peer.ask(GET).status == 403


def test_an_unread_body_past_the_limit_ends_the_connection(launch: Launch) -> None:
    peer = launch(lambda request: Response(403, body=b"no"), Limits(drain_bytes=1000)).connect()
    answer = peer.ask(PUT % (b"", 2000, b"") + bytes(500))
    assert (answer.status, answer.headers["connection"]) == (403, "close")
    assert peer.read_to_end() == b""
    peer = launch(lambda request: Response(403, body=b"no"), Limits(drain_bytes=1000)).connect()
    assert peer.ask(CHUNKED + chunked(bytes(2000), 10)[:1500]).status == 403
    peer.send(chunked(bytes(2000), 10)[1500:])
    assert peer.read_to_end() == b""


def test_draining_has_a_time_limit(launch: Launch) -> None:
    limits = Limits(drain_seconds=0.1, linger_seconds=0.1)
    peer = launch(lambda request: Response(403), limits).connect()
    assert peer.ask(PUT % (b"", 2000, b"") + b"x").status == 403
    assert peer.read_to_end() == b""


class Reader:
    """A handler that reads to the end and keeps what stopped it."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.begun = threading.Event()
        self.error: BaseException | None = None
        self.body: Body | None = None
        self.outcomes = Outcomes()

    async def __call__(self, request: Request) -> Response:
        self.body = request.body
        self.begun.set()
        try:
            while await request.body.read():
                pass
        except BodyTruncated as error:
            self.error = error
            return Response(400, body=error.reason.encode(), on_sent=self.outcomes)
        finally:
            self.done.set()
        return Response(200, on_sent=self.outcomes)

    def reason(self) -> Reason:
        assert self.done.wait(10)
        assert isinstance(self.error, BodyTruncated)
        return self.error.reason


@pytest.mark.parametrize("style", ["length", "chunked"])
@pytest.mark.parametrize("ending", ["shut", "close", "reset"])
def test_a_peer_that_goes_away_mid_body(launch: Launch, style: str, ending: str) -> None:
    reader = Reader()
    peer = launch(reader).connect()
    peer.send(PUT % (b"", 10, b"") + b"12345" if style == "length" else CHUNKED + b"a\r\n12345")
    assert reader.begun.wait(10)
    if ending == "shut":
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.read().body == b"peer-gone"
        assert peer.read_to_end() == b""
    elif ending == "close":
        peer.close()
    else:
        peer.reset()
    assert reader.reason() is Reason.PEER_GONE
    outcomes = reader.outcomes.wait()
    assert len(outcomes) == 1
    if ending == "reset":
        assert outcomes == [False]


def test_a_silent_sender_times_out_but_may_read_the_answer(launch: Launch) -> None:
    reader = Reader()
    peer = launch(reader, Limits(body_idle_seconds=0.1)).connect()
    peer.send(PUT % (b"", 10, b"") + b"12345")
    answer = peer.read()
    assert (answer.body, answer.headers["connection"]) == (b"body-timeout", "close")
    assert reader.reason() is Reason.BODY_TIMEOUT
    # What the peer sends too late must not turn the answer into a reset.
    peer.send(b"67890" * 1000)
    assert peer.read_to_end() == b""


def test_a_peer_that_waits_for_continue_does_not_time_out(launch: Launch) -> None:
    async def handler(request: Request) -> Response:
        await asyncio.sleep(0.3)
        return await describe(request)

    peer = launch(handler, Limits(body_idle_seconds=0.1)).connect()
    peer.send(PUT % (b"", 3, EXPECT))
    assert peer.read_head()[0] == 100
    peer.send(b"abc")
    assert peer.read().status == 200


def test_broken_chunks_fail_the_reader_and_end_the_connection(launch: Launch) -> None:
    reader = Reader()
    peer = launch(reader).connect()
    peer.send(CHUNKED + b"3\r\nabc\r\n")
    assert reader.begun.wait(10)
    peer.send(b"nonsense\r\n")
    answer = peer.read()
    assert (answer.status, answer.body, answer.headers["connection"]) == (400, b"framing", "close")
    assert peer.read_to_end() == b""


def test_an_error_of_the_body_may_pass_through_the_handler(
    launch: Launch, caplog: pytest.LogCaptureFixture
) -> None:
    peer = launch(describe, Limits(body_idle_seconds=0.1)).connect()
    assert peer.ask(PUT % (b"", 10, b"") + b"12345").status == 408
    assert "Traceback" not in caplog.text


def test_a_body_cannot_be_read_after_the_answer(launch: Launch) -> None:
    bodies: list[Body] = []

    def handler(request: Request) -> Response:
        bodies.append(request.body)
        return Response(200)

    running = launch(handler)
    peer = running.connect()
    peer.ask(PUT % (b"", 1000, b"") + b"x")
    with pytest.raises(BodyTruncated) as caught:
        running.call(bodies[0].read())
    assert caught.value.reason is Reason.ABANDONED


def test_a_block_given_back_is_used_again(launch: Launch) -> None:
    buffers: list[int] = []

    async def handler(request: Request) -> Response:
        while block := await request.body.read():
            assert isinstance(block, memoryview)
            buffers.append(address_of(block))
            request.body.recycle(block)
        return Response(200)

    peer = launch(handler, Limits(block_bytes=4096)).connect()
    peer.send(PUT % (b"", 40_960, EXPECT))
    peer.read_head()
    for _ in range(10):
        peer.send(bytes(4096))
    assert peer.read().status == 200
    assert len(buffers) == 10
    assert len(set(buffers)) < 10

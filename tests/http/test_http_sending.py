"""Response bodies: from memory, from files, from sources that fail or wait."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from http_harness import Launch, Outcomes, Peer, recorded_files

from sidegate.http import file_pipe, sender, turns
from sidegate.http.limits import Limits
from sidegate.http.message import FileSegment, Request, Response, Segment, Segments

GET = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n"
SIZE = 9_000_011


async def in_turn(segments: list[Segment]) -> AsyncIterator[Segment]:
    for segment in segments:
        await asyncio.sleep(0)
        yield segment


SOURCES = pytest.mark.parametrize("source", [iter, in_turn], ids=["sync", "async"])
Source = Callable[[list[Segment]], Segments]


def serve_one(
    launch: Launch, make: Callable[[], Response], limits: Limits | None = None
) -> tuple[Peer, Outcomes]:
    outcomes = Outcomes()

    def handler(request: Request) -> Response:
        if request.target == b"/plain":
            return Response(200, body=b"plain")
        response = make()
        response.on_sent = outcomes
        return response

    return launch(handler, limits).connect(), outcomes


@SOURCES
@pytest.mark.parametrize("offset", [0, 1, 4095, 4096, 4097, 70_001])
@pytest.mark.parametrize("length", [1, 16_383, 16_384, 20_000, 65_536, 8_900_000])
def test_file_segments_are_exact(
    launch: Launch, file: int, content: bytes, source: Source, offset: int, length: int
) -> None:
    peer, outcomes = serve_one(
        launch, lambda: Response(206, segments=source([FileSegment(file, offset, length)]), length=length)
    )
    for count in (1, 2):
        answer = peer.ask(GET % b"")
        assert answer.body == content[offset : offset + length]
        assert outcomes.wait(count) == [True] * count
    assert peer.ask(GET % b"plain").body == b"plain"


@SOURCES
def test_segments_of_all_kinds_keep_their_order(
    launch: Launch, file: int, content: bytes, source: Source
) -> None:
    segments: list[Segment] = [
        b"begin",
        FileSegment(file, 5, 300_000),
        memoryview(content)[7:2_000_000],
        FileSegment(file, 8192, 10),
        bytearray(b"-"),
        b"",
        FileSegment(file, 4096, 65_536),
        FileSegment(file, 1, 1_000_000),
        b"end",
    ]
    whole = b"".join(
        content[part.offset : part.offset + part.length] if isinstance(part, FileSegment) else part
        for part in segments
    )
    peer, outcomes = serve_one(launch, lambda: Response(200, segments=source(segments), length=len(whole)))
    # Pipelined, so that a file follows what the transport has not sent yet.
    peer.send(GET % b"" + GET % b"plain" + GET % b"")
    for expected in (whole, b"plain", whole):
        assert peer.read().body == expected
    assert outcomes.wait(2) == [True, True]


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system has no sendfile")
def test_turns_end_on_page_boundaries(
    launch: Launch, file: int, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = recorded_files(monkeypatch)
    segments: list[Segment] = [b"head", FileSegment(file, 4097, SIZE - 4097)]
    peer, _ = serve_one(launch, lambda: Response(200, segments=iter(segments), length=SIZE - 4093))
    assert peer.ask(GET % b"").body == b"head" + content[4097:]
    ends = [offset + count for offset, count in asked]
    assert any(end < SIZE for end in ends), "more than one turn"
    assert all(end % sender.PAGE_BYTES == 0 for end in ends if end < SIZE)


def test_files_are_copied_where_sendfile_is_not_supported(
    launch: Launch, file: int, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*arguments: object) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(file_pipe, "FilePipe", unsupported)
    monkeypatch.setattr(os, "sendfile", unsupported)
    segments = [FileSegment(file, 1, 3_000_000), b"|", FileSegment(file, 0, 20_000)]
    peer, _ = serve_one(launch, lambda: Response(200, segments=iter(segments), length=3_020_001))
    for _ in range(2):
        assert peer.ask(GET % b"").body == content[1:3_000_001] + b"|" + content[:20_000]


@SOURCES
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_segments_without_a_length(
    launch: Launch, file: int, content: bytes, source: Source, version: bytes
) -> None:
    segments: list[Segment] = [b"abc", b"", FileSegment(file, 3, 100_000), b"d"]
    peer, outcomes = serve_one(launch, lambda: Response(200, segments=source(segments)))
    answer = peer.ask(b"GET / HTTP/%b\r\nHost: h\r\n\r\n" % version)
    assert answer.body == b"abc" + content[3:100_003] + b"d"
    assert outcomes.wait() == [True]
    if version == b"1.1":
        assert peer.ask(GET % b"plain").body == b"plain"
    else:
        assert answer.headers["connection"] == "close"


@SOURCES
def test_no_segments_at_all(launch: Launch, source: Source) -> None:
    peer, _ = serve_one(launch, lambda: Response(200, segments=source([]), length=0))
    assert peer.ask(GET % b"").headers["content-length"] == "0"
    assert peer.ask(GET % b"plain").body == b"plain"


def broken(segments: list[Segment]) -> Iterator[Segment]:
    yield from segments
    raise OSError(5, "the disk failed")


async def broken_later(segments: list[Segment]) -> AsyncIterator[Segment]:
    for segment in segments:
        yield segment
    raise OSError(5, "the disk failed")


@pytest.mark.parametrize("source", [broken, broken_later])
def test_a_source_that_fails_at_once_is_answered_500(launch: Launch, source: Source) -> None:
    peer, outcomes = serve_one(launch, lambda: Response(200, segments=source([]), length=10))
    assert peer.ask(GET % b"").status == 500
    assert outcomes.wait() == [False]
    assert peer.ask(GET % b"plain").body == b"plain"


def short_file(file: int) -> list[Segment]:
    return [FileSegment(file, SIZE - 100_000, 200_000)]


@pytest.mark.parametrize(
    ("make", "length"),
    [
        (lambda file: broken([b"12345"]), 10),
        (lambda file: broken_later([b"12345"]), 10),
        (lambda file: broken([FileSegment(file, 0, 50_000)]), 60_000),
        (lambda file: iter([b"12345"]), 10),
        (lambda file: in_turn([b"12345"]), 10),
        (lambda file: iter([b"12345", b"678901"]), 10),
        (lambda file: iter(short_file(file)), 200_000),
        (lambda file: in_turn(short_file(file)), 200_000),
        (lambda file: iter([b"x", FileSegment(file, SIZE - 5, 10)]), 11),
        (lambda file: broken([b"12345"]), None),
    ],
    ids=[
        *("broken", "broken-later", "broken-file", "short", "short-later", "long"),
        *("file-short", "file-short-later", "small-file", "chunked"),
    ],
)
def test_a_response_cut_short_never_looks_complete(
    launch: Launch,
    file: int,
    make: Callable[[int], Segments],
    length: int | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    peer, outcomes = serve_one(launch, lambda: Response(200, segments=make(file), length=length))
    peer.send(GET % b"")
    with pytest.raises((EOFError, ConnectionResetError)):
        peer.read()
    assert outcomes.wait() == [False]
    assert "cut short" in caplog.text


class Endless:
    """A source that goes on until it is stopped, and tells."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def at_once(self) -> Iterator[Segment]:
        try:
            while True:
                yield bytes(65_536)
        finally:
            self.stopped.set()

    async def later(self) -> AsyncIterator[Segment]:
        try:
            while True:
                await asyncio.sleep(0)
                yield bytes(65_536)
        finally:
            self.stopped.set()

    async def never(self) -> AsyncIterator[Segment]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


@pytest.mark.parametrize("kind", ["at_once", "later", "never"])
def test_the_source_is_closed_when_the_peer_goes_away(
    launch: Launch, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    endless = Endless()
    peer, outcomes = serve_one(
        launch, lambda: Response(200, segments=getattr(endless, kind)(), length=1 << 40)
    )
    peer.send(GET % b"")
    peer.read_head()
    peer.reset()
    assert endless.stopped.wait(10)
    assert outcomes.wait() == [False]
    assert not caplog.records


def test_a_vanished_reader_of_a_file_is_no_error(
    launch: Launch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as sparse:
        sparse.truncate(1 << 30)
    with path.open("rb") as sparse:
        segment = FileSegment(sparse.fileno(), 0, 1 << 30)
        peer, outcomes = serve_one(launch, lambda: Response(200, segments=iter([segment]), length=1 << 30))
        peer.send(GET % b"")
        peer.read_head()
        peer.close()
        assert outcomes.wait() == [False]
    assert not caplog.records


def test_the_answer_of_a_slow_handler_is_dropped_when_the_peer_is_gone(launch: Launch) -> None:
    outcomes, begun, ended = Outcomes(), threading.Event(), threading.Event()
    endless = Endless()
    go_on: list[Callable[[], None]] = []

    async def handler(request: Request) -> Response:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        go_on.append(lambda: future.set_result(None))
        begun.set()
        await future
        ended.set()
        return Response(200, segments=endless.later(), length=5, on_sent=outcomes)

    running = launch(handler)
    peer = running.connect()
    peer.send(GET % b"")
    assert begun.wait(10)
    peer.reset()
    while running.server.connection_count:
        running.call(asyncio.sleep(0))
    running.loop.call_soon_threadsafe(go_on[0])
    assert ended.wait(10)
    assert outcomes.wait() == [False]


def test_a_slow_reader_neither_fills_memory_nor_delays_others(launch: Launch, file: int) -> None:
    block, count = bytes(65_536), 1024
    made: list[bytes] = []

    def source() -> Iterator[Segment]:
        for _ in range(count):
            made.append(block)
            yield block

    def handler(request: Request) -> Response:
        if request.target == b"/slow":
            return Response(200, segments=source(), length=count * len(block))
        if request.target == b"/file":
            return Response(200, segments=iter([FileSegment(file, 1, SIZE - 1)] * 5), length=5 * (SIZE - 1))
        return Response(200, body=b"quick")

    running = launch(handler)
    slow = [running.connect(receive_buffer_bytes=65_536) for _ in range(2)]
    for peer, target in zip(slow, (b"slow", b"file"), strict=True):
        peer.send(GET % target)
        peer.read_head()
    quick = running.connect()
    for _ in range(50):
        assert quick.ask(GET % b"").body == b"quick"
    # What the kernel's buffers hold at most, not 64 MiB.
    assert len(made) * len(block) < 16 << 20
    # And the slow ones still get all of it, in the end.
    slow[0].discard(count * len(block))
    slow[1].discard(5 * (SIZE - 1))
    for peer in slow:
        assert peer.ask(GET % b"").body == b"quick"


@pytest.mark.parametrize("kind", ["memory", "file", "whole", "async"])
def test_a_peer_that_does_not_read_is_dropped(launch: Launch, file: int, kind: str) -> None:
    segments = [FileSegment(file, 0, SIZE)] * 9 if kind == "file" else [bytes(65_536)] * 1024

    def make() -> Response:
        if kind == "whole":
            return Response(200, body=bytes(16 << 20))
        length = 9 * SIZE if kind == "file" else 64 << 20
        return Response(200, segments=in_turn(segments) if kind == "async" else iter(segments), length=length)

    outcomes = Outcomes()

    def handler(request: Request) -> Response:
        response = make()
        response.on_sent = outcomes
        return response

    running = launch(handler, Limits(send_idle_seconds=0.2, idle_seconds=0.2))
    peer = running.connect()
    peer.send(GET % b"")
    assert outcomes.wait() == [kind == "whole"]
    while running.server.connection_count:
        running.call(asyncio.sleep(0))
    with pytest.raises((EOFError, ConnectionResetError)):
        peer.read()


def test_requests_wait_while_their_answers_are_not_read(launch: Launch) -> None:
    handled: list[bytes] = []

    def handler(request: Request) -> Response:
        handled.append(request.target)
        return Response(200, body=bytes(60_000))

    peer = launch(handler, Limits(send_idle_seconds=60)).connect(receive_buffer_bytes=65_536)
    count = 2_000
    sending = threading.Thread(target=peer.send, args=(GET % b"" * count,))
    sending.start()
    peer.read_head()
    assert len(handled) < count // 2
    peer.discard(60_000)
    for _ in range(count - 1):
        peer.read_head()
        peer.discard(60_000)
    sending.join()
    assert len(handled) == count


def test_one_turn_is_bounded(launch: Launch, file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "LONG_BYTES", 10_000)
    segments = [b"a" * 9_999, b"b" * 9_999, FileSegment(file, 0, 500_000), b"c"]
    for source in (iter, in_turn):
        peer, _ = serve_one(
            launch, lambda source=source: Response(200, segments=source(segments), length=519_999)
        )
        assert len(peer.ask(GET % b"").body) == 519_999


def test_what_a_handler_has_not_read_is_nobodys(launch: Launch) -> None:
    """It could stay for as long as the peer takes to read the answer."""

    async def late(request: Request) -> AsyncIterator[Segment]:
        yield b"abc"
        yield await request.body.read()

    def handler(request: Request) -> Response:
        return Response(200, segments=late(request))

    peer = launch(handler).connect()
    for data in (b"Content-Length: 10\r\n\r\n0123456789", b"Content-Length: 10\r\n\r\n0"):
        peer.send(b"PUT / HTTP/1.1\r\nHost: h\r\n" + data)
        assert peer.read_head()[0] == 200
        if data.endswith(b"9"):
            assert peer.read_exactly(13) == b"3\r\nabc\r\n0\r\n\r\n"
    with pytest.raises((EOFError, ConnectionResetError)):
        peer.read_exactly(13)


def test_on_sent_may_fail(launch: Launch) -> None:
    def fail(complete: bool) -> None:
        raise ValueError("a bug in on_sent")

    peer = launch(lambda request: Response(200, on_sent=fail)).connect()
    for _ in range(2):
        assert peer.ask(GET % b"").status == 200


def test_rendered_headers_are_sent_as_they_are(launch: Launch) -> None:
    response = Response(200, [(b"a", b"1")], b"x", raw_headers=b"b: 2\r\nc: 3\r\n")
    answer = launch(lambda request: response).connect().ask(GET % b"")
    assert list(answer.headers)[2:] == ["b", "c", "a", "content-length"]

"""A shortcut changes what a request costs and nothing else."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_harness import Launch, recorded_files

from sidegate import scheduling
from sidegate.http import turns
from sidegate.http.limits import Limits
from sidegate.http.message import FileSegment, Request, Response, Segment
from sidegate.http.responder import Responder
from sidegate.http.sender import Sender
from sidegate.http.shortcut import Answer, FileAnswer, Opening, PutShortcut, StreamedAnswer

FILE = os.urandom(3_000_000)
ONE = FILE[5:]
PART = FILE[7:65_007]
FILES = {b"/f": FILE, b"/one": ONE, b"/part": PART}


def get(path: bytes, lines: bytes = b"", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: h\r\n%b\r\n" % (method, path, lines)


class Toy:
    """Answers `/s…` with its path, `/f`, `/one`, `/part` and `/torn…` with a file; fails at `/boom`.

    Leaves the rest.
    """

    wanted_headers: tuple[bytes, ...] = (b"x-wanted",)
    declined_headers: tuple[bytes, ...] = (b"x-declined",)
    parameters: tuple[bytes, ...] = (b"harmless",)
    puts: PutShortcut | None = None

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.found: list[tuple[Any, ...]] = []

    def answer(self, found: tuple[Any, ...], opening: Opening) -> Answer | None:
        self.found.append(found[1:])
        path = found[2]
        head = opening(200) + b"by: shortcut\r\nContent-Length: %d\r\n\r\n"
        if path == "/boom":
            raise ValueError("a bug in a shortcut")
        if path == "/f":
            return StreamedAnswer(head % len(FILE), self._segments(), len(FILE))
        if path == "/one":
            return FileAnswer(head % len(ONE), FileSegment(self._fd, 5, len(ONE)), self)
        if path == "/part":
            return FileAnswer(head % len(PART), FileSegment(self._fd, 7, len(PART)), self)
        if path in ("/torn-page", "/torn-part"):
            missing = 50_000 if path == "/torn-part" else len(PART)
            start = len(FILE) + missing - len(PART)
            return FileAnswer(head % len(PART), FileSegment(self._fd, start, len(PART)), self)
        if path == "/torn":
            return FileAnswer(head % len(FILE), FileSegment(self._fd, 5, len(FILE)), self)
        if path == "/short":
            return StreamedAnswer(head % 5, iter([b"abc"]), 5)
        return head % len(path) + path.encode() if path.startswith("/s") else None

    def _segments(self) -> Iterator[Segment]:
        yield FileSegment(self._fd, 0, 1_000_001)
        yield FileSegment(self._fd, 1_000_001, len(FILE) - 1_000_001)


async def handler(request: Request) -> Response:
    body = b""
    while block := await request.body.read():
        body += block
    return Response(200, [(b"by", b"handler")], FILES.get(request.target) or request.target + body)


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    path = tmp_path / "file"
    path.write_bytes(FILE)
    fd = os.open(path, os.O_RDONLY)
    yield Toy(fd)
    os.close(fd)


def test_a_shortcut_answers_what_it_can_and_the_handler_the_rest(launch: Launch, toy: Toy) -> None:
    peer = launch(handler, shortcut=toy).connect()
    by = {path: peer.ask(get(path)).headers["by"] for path in (b"/s", b"/x", b"/s?harmless=1", b"/s?other")}
    assert by == {b"/s": "shortcut", b"/x": "handler", b"/s?harmless=1": "shortcut", b"/s?other": "handler"}
    assert peer.ask(get(b"/s", b"X-Declined: \r\n")).headers["by"] == "handler"
    assert peer.ask(get(b"/s", b"X-Wanted: v\r\nRange: bytes=1-\r\n")).headers["by"] == "shortcut"
    assert toy.found[-1] == (False, "/s", b"h", 1, -1, b"v")
    for line in (b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n", b"Connection: close\r\n"):
        peer = launch(handler, shortcut=toy).connect()
        peer.send(get(b"/s", line))
        if b"Expect" in line:
            assert peer.read_head()[0] == 100
        assert peer.read().headers["by"] == "handler"


def test_a_small_answer_of_a_shortcut_shortens_the_turns_of_others(
    launch: Launch, toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "EXPECTED_SECONDS", 3600.0)
    asked = recorded_files(monkeypatch)
    server = launch(handler, shortcut=toy)
    assert server.connect().ask(get(b"/one")).body == ONE
    assert max(count for _, count in asked) > turns.SHORT_BYTES + 4096
    asked.clear()
    assert server.connect().ask(get(b"/s")).body == b"/s"
    assert server.connect().ask(get(b"/one")).body == ONE
    assert max(count for _, count in asked) <= turns.SHORT_BYTES + 4096  # to the next boundary of a page


def test_a_shortcut_that_fails_leaves_the_request_to_the_handler(launch: Launch, toy: Toy) -> None:
    peer = launch(handler, shortcut=toy).connect()
    peer.send(get(b"/s1") + get(b"/boom") + get(b"/s2"))
    assert [peer.read().body for _ in range(3)] == [b"/s1", b"/boom", b"/s2"]


@pytest.mark.parametrize(
    ("path", "sends"),
    [(b"/one", (Sender, "send_file")), (b"/f", (Responder, "stream"))],
    ids=["file", "stream"],
)
@pytest.mark.parametrize("behind", [get(b"/s2"), get(b"/x"), b""], ids=["plain", "other", "nothing"])
def test_an_answer_that_cannot_be_sent_ends_the_connection(
    launch: Launch,
    toy: Toy,
    monkeypatch: pytest.MonkeyPatch,
    path: bytes,
    sends: tuple[type, str],
    behind: bytes,
) -> None:
    """The next answer would be taken for that of this request."""

    def fail(*_: object) -> None:
        raise OSError("no way")

    running = launch(handler, shortcut=toy)
    peer = running.connect()
    assert peer.ask(get(b"/one")).body == ONE
    monkeypatch.setattr(*sends, fail)
    with pytest.raises((EOFError, ConnectionError)):
        peer.ask(get(path) + behind)
    with pytest.raises((EOFError, ConnectionError)):
        peer.ask(get(b"/s3"))
    monkeypatch.undo()
    assert running.connect().ask(get(b"/one")).body == ONE


def test_every_mixture_is_answered_in_order(launch: Launch, toy: Toy) -> None:
    put = b"PUT /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n123"
    chunked = b"PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n0\r\n\r\n"
    parts = [(get(b"/s"), b"/s"), (put, b"/p123"), (get(b"/f"), FILE), (chunked, b"/p123")]
    parts += [
        (get(b"/one"), ONE),
        (get(b"/one"), ONE),
        (get(b"/x"), b"/x"),
        (get(b"/s2"), b"/s2"),
        (get(b"/f"), FILE),
        (get(b"/s3"), b"/s3"),
    ]
    data = b"".join(request for request, _ in parts)
    peer = launch(handler, shortcut=toy).connect()
    for edges in ((len(data),), (1, len(data)), tuple(range(7, len(data), 31)), (100, 200, 300, 301)):
        start, expected = 0, iter(body for _, body in parts)
        for end in edges:
            peer.send(data[start:end])
            start = end
        peer.send(data[start:])
        for body in expected:
            assert peer.read().body == body


def test_bytewise_heads_reach_the_handler(launch: Launch, toy: Toy) -> None:
    peer = launch(handler, shortcut=toy).connect()
    for _ in range(2):
        peer.send_bytewise(get(b"/s"))
        assert peer.read().body == b"/s"


def test_a_slow_reader_is_waited_for(launch: Launch, toy: Toy) -> None:
    """More answers than any buffer holds, asked for at once."""
    peer = launch(handler, shortcut=toy).connect(receive_buffer_bytes=4096)
    count = 20_000
    requests = b"".join(get(b"/s%d" % number) for number in range(count))
    sending = threading.Thread(target=peer.send, args=(requests,))
    sending.start()
    for number in range(count):
        assert peer.read().body == b"/s%d" % number
    sending.join()


def test_parts_of_files_wait_for_a_slow_reader(launch: Launch, toy: Toy) -> None:
    """Wherever the socket is full: in the head, in what leaves with it, in what the kernel sends."""
    peer = launch(handler, shortcut=toy).connect(receive_buffer_bytes=4096)
    count = 400
    sending = threading.Thread(target=peer.send, args=(get(b"/part") * count + get(b"/s"),))
    sending.start()
    for _ in range(count):
        assert peer.read().body == PART
    assert peer.read().body == b"/s"
    sending.join()


@pytest.mark.parametrize("path", [b"/short", b"/torn", b"/torn-part"])
def test_an_answer_cut_short_ends_the_connection(launch: Launch, toy: Toy, path: bytes) -> None:
    running = launch(handler, shortcut=toy)
    peer = running.connect()
    for _ in range(2):
        # From the second on, the way past the transport is open already.
        assert peer.ask(get(b"/one")).body == ONE
    peer.send(get(path))
    status, headers = peer.read_head()
    assert status == 200
    with pytest.raises((EOFError, ConnectionResetError)):
        peer.read_exactly(int(headers["content-length"]))
    assert running.connect().ask(get(b"/one")).body == ONE


def test_where_nothing_of_a_part_is_there_no_head_is_sent(launch: Launch, toy: Toy) -> None:
    running = launch(handler, shortcut=toy)
    peer = running.connect()
    assert peer.ask(get(b"/one")).body == ONE
    assert peer.ask(get(b"/torn-page")).status == 500
    assert running.connect().ask(get(b"/part")).body == PART


def test_a_file_goes_to_slow_readers_and_to_none(launch: Launch, toy: Toy) -> None:
    running = launch(handler, shortcut=toy)
    peer = running.connect(receive_buffer_bytes=4096)
    for _ in range(3):
        peer.send(get(b"/one"))
        assert peer.read().body == ONE
    gone = running.connect(receive_buffer_bytes=4096)
    gone.send(get(b"/one") * 2)
    assert gone.read_head()[0] == 200
    gone.reset()
    assert peer.ask(get(b"/one")).body == ONE


def test_limits_hold_on_the_short_way_too(launch: Launch, toy: Toy) -> None:
    running = launch(handler, Limits(header_count=3, head_bytes=200, connections=1), shortcut=toy)
    peer = running.connect()
    assert peer.ask(get(b"/s", b"A: b\r\n" * 2)).status == 200
    over = running.connect()
    assert over.ask(get(b"/s")).status == 503
    assert peer.ask(get(b"/s", b"A: b\r\n" * 3)).status == 431
    assert len(toy.found) == 1


def test_a_draining_server_takes_no_shortcut(launch: Launch, toy: Toy) -> None:
    begun, held = threading.Event(), threading.Event()

    async def waiting(request: Request) -> Response:
        begun.set()
        await asyncio.get_running_loop().run_in_executor(None, held.wait, 10)
        return Response(200)

    running = launch(waiting, shortcut=toy)
    peer = running.connect()
    peer.send(get(b"/x") + get(b"/s"))
    assert begun.wait(10)
    draining = running.begin_drain()
    held.set()
    assert peer.read().headers["connection"] == "close"
    assert peer.read_to_end() == b""
    draining.result(10)
    assert [found[1] for found in toy.found] == ["/x"]

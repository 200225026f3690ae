"""Which parts of files go through the pipe, and what happens where there is none."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
from pathlib import Path

import pytest
from http_harness import Launch

from sidegate.http import file_pipe, raw_socket
from sidegate.http.file_pipe import SharedPipe
from sidegate.http.message import FileSegment, Request, Response
from sidegate.http.server import Server

SIZE = 3_000_000
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"

pytestmark = pytest.mark.skipif(
    not hasattr(os, "splice") or not hasattr(fcntl, "F_SETPIPE_SZ"), reason="this system has no splice"
)


class RecordedPipe:
    """A pipe that counts its bytes, and fails as it is told."""

    made = 0
    sent_bytes = 0
    fault = 0

    def __init__(self, room_bytes: int) -> None:
        type(self).made += 1
        self.room_bytes = room_bytes
        self.closed = False

    def send(self, socket: int, file: int, offset: int, count: int) -> int | None:
        if self.fault:
            raise OSError(self.fault, os.strerror(self.fault))
        try:
            sent = os.sendfile(socket, file, offset, count)
        except BlockingIOError:
            return None
        type(self).sent_bytes += sent
        return sent

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[RecordedPipe]:
    class Fresh(RecordedPipe):
        pass

    monkeypatch.setattr(file_pipe, "FilePipe", Fresh)
    return Fresh


def serve(launch: Launch, file: int, size_bytes: int = SIZE) -> bytes:
    def handler(request: Request) -> Response:
        return Response(200, segments=iter([FileSegment(file, 0, size_bytes)]), length=size_bytes)

    server = launch(handler)
    peers = [server.connect() for _ in range(2)]
    answers = {bytes(peer.ask(GET).body) for peer in peers for _ in range(3)}
    (answer,) = answers
    return answer


def test_large_parts_of_all_connections_share_one(
    launch: Launch, file: int, content: bytes, recorded: type[RecordedPipe]
) -> None:
    assert serve(launch, file) == content
    assert recorded.made == 1
    assert recorded.sent_bytes > 0


def test_small_parts_need_none(
    launch: Launch, file: int, content: bytes, recorded: type[RecordedPipe]
) -> None:
    size_bytes = raw_socket.PIPE_MIN_BYTES - 1
    assert serve(launch, file, size_bytes) == content[:size_bytes]
    assert recorded.made == 0


@pytest.mark.parametrize("code", sorted(raw_socket.SENDFILE_UNSUPPORTED))
def test_without_splice_all_goes_by_sendfile(
    launch: Launch, file: int, content: bytes, recorded: type[RecordedPipe], code: int
) -> None:
    recorded.fault = code
    assert serve(launch, file) == content
    assert (recorded.made, recorded.sent_bytes) == (1, 0)


def test_where_a_pipe_is_not_to_be_had_it_is_asked_for_once(
    launch: Launch, file: int, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refused(room_bytes: int) -> None:
        asked.append(room_bytes)
        raise PermissionError(errno.EPERM, "too many pipes")

    monkeypatch.setattr(file_pipe, "FilePipe", refused)
    assert serve(launch, file) == content
    assert asked == [file_pipe.ROOM_BYTES]


def test_a_pipe_that_could_not_be_emptied_is_not_used_again(recorded: type[RecordedPipe]) -> None:
    shared = SharedPipe()
    pipe = shared.get()
    assert pipe is not None
    assert shared.get() is pipe
    pipe.close()
    another = shared.get()
    assert another is not None
    assert another is not pipe
    assert shared.get() is another
    assert recorded.made == 2


def test_what_was_given_up_stays_so(recorded: type[RecordedPipe]) -> None:
    shared = SharedPipe()
    pipe = shared.get()
    assert pipe is not None
    shared.give_up()
    assert pipe.closed
    assert shared.get() is None


def test_a_server_that_has_ended_keeps_no_pipe(file: int, content: bytes) -> None:
    def open_pipes() -> int:
        names = (os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink())
        return sum(name.startswith("pipe:") for name in names)

    async def handler(request: Request) -> Response:
        return Response(200, segments=iter([FileSegment(file, 0, SIZE)]), length=SIZE)

    async def serve_once() -> int:
        server = await Server.start(handler, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await reader.read(-1)).endswith(content)
        held = open_pipes()
        writer.close()
        await server.drain(10)
        return held

    before = open_pipes()
    assert asyncio.run(serve_once()) == before + 2
    assert open_pipes() == before


def test_a_reader_that_is_slow_gets_all(
    launch: Launch, file: int, content: bytes, recorded: type[RecordedPipe]
) -> None:
    size_bytes, parts = SIZE, 10

    def handler(request: Request) -> Response:
        segments = iter([FileSegment(file, 0, size_bytes)] * parts)
        return Response(200, segments=segments, length=parts * size_bytes)

    peer = launch(handler).connect()
    assert peer.ask(GET).body == content * parts
    assert recorded.sent_bytes < parts * size_bytes, "what follows a refusal goes by sendfile"

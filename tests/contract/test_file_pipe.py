"""What both twins of the file pipe promise: a socket gets the bytes of the file, and nothing else ever."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from contract_harness import received
from hypothesis import given, settings
from hypothesis import strategies as st

ROOM_BYTES = 1 << 16
SIZE = 1_000_003

pytestmark = pytest.mark.skipif(
    not hasattr(os, "splice") or not hasattr(fcntl, "F_SETPIPE_SZ"), reason="this system has no splice"
)


@pytest.fixture
def make(file_pipe: Any) -> Any:
    return file_pipe.FilePipe


@pytest.fixture
def pipe(make: Any) -> Iterator[Any]:
    pipe = make(ROOM_BYTES)
    yield pipe
    pipe.close()


@settings(max_examples=60)
@given(offset=st.integers(0, SIZE), count=st.integers(0, 3 * ROOM_BYTES))
def test_any_part_arrives(
    pipe: Any,
    file: int,
    content: bytes,
    sockets: tuple[socket.socket, socket.socket],
    offset: int,
    count: int,
) -> None:
    near, far = sockets
    count = min(count, SIZE - offset)
    sent = 0
    while sent < count:
        piece = pipe.send(near.fileno(), file, offset + sent, count - sent) or 0
        assert received(far, piece) == content[offset + sent : offset + sent + piece]
        sent += piece
    assert sent == count


def test_the_file_is_not_moved_by_it(
    pipe: Any, file: int, sockets: tuple[socket.socket, socket.socket]
) -> None:
    before = os.lseek(file, 0, os.SEEK_CUR)
    assert pipe.send(sockets[0].fileno(), file, 5000, 1000) == 1000
    assert os.lseek(file, 0, os.SEEK_CUR) == before


def test_what_a_full_socket_refuses_reaches_nobody(
    pipe: Any, file: int, content: bytes, sockets: tuple[socket.socket, socket.socket]
) -> None:
    near, far = sockets
    taken = 0
    while (count := pipe.send(near.fileno(), file, taken % 500_000, 500_000)) is not None:
        assert 0 < count <= 500_000
        taken += count
        assert taken < 1 << 30, "a socket that is never full"
    one, other = socket.socketpair()
    with one, other:
        assert pipe.send(one.fileno(), file, 7, 1000) == 1000
        assert received(other, 1000) == content[7:1007]
    drained = received(far, taken)
    assert len(drained) == taken
    assert pipe.send(near.fileno(), file, 11, 1000) == 1000
    assert received(far, 1000) == content[11:1011]


def test_the_end_of_the_file(pipe: Any, file: int, sockets: tuple[socket.socket, socket.socket]) -> None:
    near = sockets[0].fileno()
    assert pipe.send(near, file, SIZE, 1000) == 0
    assert pipe.send(near, file, SIZE - 10, 1000) == 10
    assert pipe.send(near, file, 0, 0) == 0


def test_a_peer_that_is_gone(
    pipe: Any, file: int, content: bytes, sockets: tuple[socket.socket, socket.socket]
) -> None:
    near, _ = sockets
    near.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenPipeError):
        pipe.send(near.fileno(), file, 0, 2 * ROOM_BYTES)
    one, other = socket.socketpair()
    with one, other:
        assert pipe.send(one.fileno(), file, 3, 100) == 100
        assert received(other, 100) == content[3:103]


def test_what_is_no_file_is_an_error(pipe: Any, sockets: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(OSError, match="descriptor"):
        pipe.send(sockets[0].fileno(), -1, 0, 100)
    folder = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match=r"Invalid argument|directory"):
            pipe.send(sockets[0].fileno(), folder, 0, 100)
    finally:
        os.close(folder)


def test_closing(make: Any, file: int, sockets: tuple[socket.socket, socket.socket]) -> None:
    before = set(os.listdir("/proc/self/fd"))
    pipe = make(ROOM_BYTES)
    assert (pipe.closed, pipe.room_bytes) == (False, ROOM_BYTES)
    assert len(set(os.listdir("/proc/self/fd")) - before) == 3
    pipe.close()
    pipe.close()
    assert pipe.closed
    with pytest.raises(ValueError, match="closed"):
        pipe.send(sockets[0].fileno(), file, 0, 100)
    make(ROOM_BYTES)  # nobody keeps it
    assert set(os.listdir("/proc/self/fd")) == before


def test_more_room_than_there_may_be_is_refused_and_leaves_nothing_open(make: Any) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="no pipe with room"):
        make(1 << 33)
    assert set(os.listdir("/proc/self/fd")) == before

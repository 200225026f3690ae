"""What both twins of `send_behind_head` promise: what they say was sent is what the socket gets, in order."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import pytest
from contract_harness import received
from hypothesis import given, settings
from hypothesis import strategies as st

from sidegate.native.pure.file_pipe import COPIED_BYTES

SIZE = 300_003
HEAD = b"HTTP/1.1 206 Partial Content\r\n\r\n"

Send = Callable[[int, bytes, int, int, int, int], int]
Pair = tuple[socket.socket, socket.socket]

pytestmark = pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system has no sendfile")


@pytest.fixture
def send(file_pipe: Any) -> Send:
    function: Send = file_pipe.send_behind_head
    return function


@settings(max_examples=60)
@given(
    head=st.binary(max_size=10_000),
    offset=st.integers(0, SIZE),
    copied=st.integers(0, COPIED_BYTES),
    count=st.integers(0, 100_000),
)
def test_head_and_part_arrive(
    send: Send, file: int, content: bytes, sockets: Pair, head: bytes, offset: int, copied: int, count: int
) -> None:
    near, far = sockets
    copied = min(copied, SIZE - offset)
    wanted = head + content[offset : offset + copied + count]
    sent = send(near.fileno(), head, file, offset, copied, count)
    assert received(far, sent) == wanted[:sent]
    # The socket was empty: it takes all, but the kernel may cut what follows the head.
    assert sent >= min(len(wanted), len(head) + copied)
    # What was held back for more would never come.
    rest = wanted[sent:] + b"end"
    near.sendall(rest)
    assert received(far, len(rest)) == rest


def test_a_full_socket_takes_a_part_of_it_and_then_none(
    send: Send, file: int, content: bytes, sockets: Pair
) -> None:
    near, far = sockets
    one = HEAD + content[5 : 5 + 4091 + 60_000]
    counts = []
    while not counts or counts[-1] == len(one):
        counts.append(send(near.fileno(), HEAD, file, 5, 4091, 60_000))
        assert sum(counts) < 1 << 30, "a socket that is never full"
    assert 0 <= counts[-1] < len(one)
    if counts[-1] >= len(HEAD) + 4091:
        with pytest.raises(BlockingIOError):
            near.send(b"more")
    data = received(far, sum(counts))
    assert data == (one * len(counts))[: sum(counts)]


def test_the_file_is_not_moved_by_it(send: Send, file: int, sockets: Pair) -> None:
    before = os.lseek(file, 0, os.SEEK_CUR)
    assert send(sockets[0].fileno(), HEAD, file, 5000, 100, 1000) == len(HEAD) + 1100
    assert os.lseek(file, 0, os.SEEK_CUR) == before


def test_a_file_that_is_shorter(send: Send, file: int, content: bytes, sockets: Pair) -> None:
    near, far = sockets
    size = os.fstat(file).st_size
    # What should leave with the head is not there: nothing leaves.
    assert send(near.fileno(), HEAD, file, size - 10, 11, 0) == 0
    assert send(near.fileno(), HEAD, file, size - 10, 4, 1000) == len(HEAD) + 10
    assert received(far, len(HEAD) + 10) == HEAD + content[size - 10 :]


def test_what_fails_is_left_to_who_goes_on(send: Send, file: int, sockets: Pair) -> None:
    near, far = sockets
    assert send(near.fileno(), HEAD, -1, 0, 10, 10) == 0
    assert send(near.fileno(), HEAD, -1, 0, 0, 10) == len(HEAD)
    assert received(far, len(HEAD)) == HEAD
    near.shutdown(socket.SHUT_WR)
    assert send(near.fileno(), HEAD, file, 0, 10, 10) == 0
    assert send(1_000_000, HEAD, file, 0, 10, 10) == 0  # no descriptor


@pytest.mark.parametrize(("copied", "count"), [(-1, 0), (COPIED_BYTES + 1, 0), (0, -1)])
def test_numbers_that_cannot_be(send: Send, file: int, sockets: Pair, copied: int, count: int) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        send(sockets[0].fileno(), HEAD, file, 0, copied, count)

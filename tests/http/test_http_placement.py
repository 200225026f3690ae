"""Where in its block a body begins: the payload of a framed one on a page boundary, and none is changed."""

from __future__ import annotations

import mmap

import pytest
from http_harness import Launch, address_of

from sidegate.http.limits import Limits
from sidegate.http.message import Request, Response
from sidegate.http.placement import begin_in

MIB = 1 << 20
BLOCK = Limits().block_bytes
SIGNATURE = b";chunk-signature=" + b"0" * 64
HEADERS = [b"100000\r\n", b"fFf\r\n", b"0\r\n", b"100000" + SIGNATURE + b"\r\n"]
OTHERS = [
    b"",
    b"\r\n",
    b"hello\r\n",
    b"100000\n",
    b"100000",
    b"12345678901234567\r\n",
    b"1;" + b"x" * 600 + b"\r\n",
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_what_follows_a_chunk_header_is_on_a_page_boundary(header: bytes, kind: type) -> None:
    begun = kind(header + b"x" * 100)
    assert (begin_in(BLOCK, begun) + len(header)) % mmap.PAGESIZE == 0


@pytest.mark.parametrize("begun", OTHERS)
def test_what_is_no_chunk_header_begins_its_block(begun: bytes) -> None:
    assert begin_in(BLOCK, begun) == 0


def test_a_block_without_room_is_used_from_its_front() -> None:
    begun = HEADERS[0] + b"x" * 100
    start = mmap.PAGESIZE - len(HEADERS[0])
    assert begin_in(start + len(begun), begun) == 0
    assert begin_in(start + len(begun) + 1, begun) == start


@pytest.mark.parametrize("size", [MIB, BLOCK, 3 * MIB])
@pytest.mark.parametrize("header", [*HEADERS, b"hello\r\n"])
def test_a_body_is_the_same_wherever_it_begins(launch: Launch, header: bytes, size: int) -> None:
    sent = header + bytes(range(256)) * (size // 256)
    addresses: list[int] = []
    found = bytearray()

    async def handler(request: Request) -> Response:
        while block := await request.body.read():
            if isinstance(block, memoryview):
                addresses.append(address_of(block))
            found.extend(block)
            request.body.recycle(block)
        return Response(200)

    peer = launch(handler).connect()
    peer.send(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(sent) + sent)
    assert peer.read().status == 200
    assert found == sent
    shift = len(header) if header in HEADERS else 0
    assert (addresses[0] + shift) % mmap.PAGESIZE == 0

"""The ceiling: a bare uvloop + httptools server that stores nothing.

It answers GET /bytes/N from memory, GET /file/N by sendfile from a page
boundary (N has 21 digits, and more may follow), and PUT by dropping the body, or
by writing it to a file: with --write to the end of one that grows, as who stores
bodies must, with --overwrite to the same pages again and again, which is cheaper
than storing can be.  No checks, no limits, no time-outs: what a real server
does less than this in the same run is that server's own cost.  It shares no
code with the package on purpose.

    python -m sidegate.bench.yardstick --port 0 --file PATH [--write PATH | --overwrite PATH]

prints one JSON line with the port when it is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
from typing import Any

import httptools
import uvloop

from sidegate.http.loopback import prefer_unpaced

RECEIVE_BYTES = 64 * 1024
# Where a file that grows is emptied, so that a long run does not fill the disk.
KEPT_BYTES = 1024 * 1024 * 1024
# Where bodies are written over the first ones.
OVERWRITTEN_BYTES = 256 * 1024 * 1024
HEAD = b"HTTP/1.1 200 OK\r\nServer: yardstick\r\nContent-Length: %d\r\n\r\n"
BODY_BYTES = 64 * 1024 * 1024
# Where the size is in /bytes/N and /file/N.
BYTES_SIZE, FILE_SIZE = slice(7, 28), slice(6, 27)


class Stock:
    """What there is to send and where to write, prepared once."""

    def __init__(self, path: str | None, write_path: str | None, overwrite: bool) -> None:
        self.file = os.open(path, os.O_RDONLY) if path else -1
        self.target = os.open(write_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) if write_path else -1
        self.target_offset = 0
        self.target_end = OVERWRITTEN_BYTES if overwrite else KEPT_BYTES
        self.overwrite = overwrite
        self.memory = bytes(BODY_BYTES)
        self.small: dict[bytes, bytes] = {}

    def small_answer(self, target: bytes) -> bytes:
        """Return head and body for /bytes/N, made once per N."""
        digits = target[BYTES_SIZE]
        answer = self.small.get(digits)
        if answer is None:
            size = int(digits)
            answer = self.small[digits] = HEAD % size + self.memory[:size]
        return answer

    def write(self, data: memoryview) -> None:
        """Write received bytes, if that is wanted."""
        if self.target >= 0:
            os.pwrite(self.target, data, self.target_offset)
            self.target_offset += len(data)
            if self.target_offset >= self.target_end:
                self.target_offset = 0
                if not self.overwrite:
                    os.ftruncate(self.target, 0)


class Connection(asyncio.BufferedProtocol):
    """One connection; the parser sees heads, bodies are counted past it."""

    __slots__ = (
        "feed",
        "left",
        "loop",
        "method",
        "raw",
        "sending",
        "socket",
        "stock",
        "target",
        "transport",
        "view",
    )

    def __init__(self, stock: Stock, loop: asyncio.AbstractEventLoop) -> None:
        self.stock = stock
        self.loop = loop
        self.view = memoryview(bytearray(RECEIVE_BYTES))
        self.left = 0
        self.target = b""
        self.raw = -1
        self.sending = (0, 0)
        self.renew()

    def renew(self) -> None:
        self.feed = httptools.HttpRequestParser(self).feed_data

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.raw >= 0:
            self.loop.remove_writer(self.raw)
            os.close(self.raw)

    def get_buffer(self, sizehint: int) -> memoryview:
        left = self.left
        return self.view[:left] if 0 < left < RECEIVE_BYTES else self.view

    def buffer_updated(self, nbytes: int) -> None:
        if not self.left:
            self.feed(self.view[:nbytes])
            return
        self.stock.write(self.view[:nbytes])
        self.left -= nbytes
        if not self.left:
            self.renew()
            self.transport.write(HEAD % 0)

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 14 and name.lower() == b"content-length":
            self.left = int(value)

    def on_body(self, data: bytes) -> None:
        # A small body comes with its head; the rest of a large one goes past the parser.
        self.stock.write(memoryview(data))
        self.left -= len(data)
        if not self.left:
            self.transport.write(HEAD % 0)

    def on_headers_complete(self) -> None:
        target, self.target = self.target, b""
        if target.startswith(b"/bytes/"):
            self.answer_bytes(target)
        elif target.startswith(b"/file/"):
            size = int(target[FILE_SIZE])
            self.open_raw()
            self.send_head(HEAD % size)
            self.sending = (0, size)
            self.send_file()
        elif not self.left:
            self.transport.write(HEAD % 0)

    def on_message_complete(self) -> None:
        pass

    def answer_bytes(self, target: bytes) -> None:
        size = int(target[BYTES_SIZE])
        if size <= RECEIVE_BYTES:
            self.transport.write(self.stock.small_answer(target))
        else:
            self.transport.write(HEAD % size)
            self.transport.write(memoryview(self.stock.memory)[:size])

    def open_raw(self) -> None:
        if self.raw < 0:
            self.raw = os.dup(self.transport.get_extra_info("socket").fileno())
            self.socket = socket.socket(fileno=os.dup(self.raw))

    def send_head(self, head: bytes) -> None:
        self.socket.send(head, socket.MSG_MORE)

    def send_file(self) -> None:
        offset, end = self.sending
        try:
            while offset < end:
                offset += os.sendfile(self.raw, self.stock.file, offset, end - offset)
        except BlockingIOError:
            self.sending = (offset, end)
            self.loop.add_writer(self.raw, self.send_file)
        except ConnectionError:
            self.loop.remove_writer(self.raw)
        else:
            self.loop.remove_writer(self.raw)


async def serve(port: int, stock: Stock) -> None:
    """Serve until cancelled; prints where."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(stock, loop), "127.0.0.1", port, backlog=1024)
    # As ours does, or it would be no ceiling where the system prefers BBR.
    for listener in server.sockets:
        prefer_unpaced(listener)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1], "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    await server.serve_forever()


def main(arguments: list[str]) -> None:
    """Run in this process."""
    parser = argparse.ArgumentParser(description="A bare HTTP server: the ceiling of every cell.")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--file", help="what /file/N sends the first N bytes of")
    written = parser.add_mutually_exclusive_group()
    written.add_argument("--write", help="write PUT bodies to the end of this file instead of dropping them")
    written.add_argument("--overwrite", help="the same, over the first bytes of the file again and again")
    options = parser.parse_args(arguments)
    stock = Stock(options.file, options.write or options.overwrite, options.overwrite is not None)
    uvloop.run(serve(options.port, stock))


if __name__ == "__main__":
    main(sys.argv[1:])

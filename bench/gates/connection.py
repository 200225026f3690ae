"""One connection of an outside client: exact requests, whole answers."""

from __future__ import annotations

import re
import socket

ANSWER_SECONDS = 300.0
"""Under callgrind on a busy machine a page of a listing takes some seconds."""

READ_BYTES = 1 << 20

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)\r\n")


class WrongAnswer(Exception):
    """An answer that is not a success, or not whole."""


class Connection:
    """Asks for one thing after another and checks that each answer is a success."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=ANSWER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> bytes:
        """Send a request and return the body of its answer; raises WrongAnswer."""
        self.send(request)
        return self.receive(request)

    def send(self, request: bytes) -> None:
        """Send a request."""
        self._socket.sendall(request)

    def receive(self, request: bytes) -> bytes:
        """Return the body of the answer to `request`; raises WrongAnswer."""
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more(request)
        body_start = end + 4
        if not data.startswith(b"HTTP/1.1 20"):
            raise WrongAnswer(f"{request[:120]!r}: {bytes(data[:600])!r}")
        total = body_start + self._body_bytes(request, bytes(data[:body_start]))
        while len(data) < total:
            data += self._more(request)
        if len(data) > total:
            raise WrongAnswer(f"{request[:120]!r}: more than one answer: {bytes(data[:600])!r}")
        return bytes(data[body_start:])

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _more(self, request: bytes) -> bytes:
        more = self._socket.recv(READ_BYTES)
        if not more:
            raise WrongAnswer(f"{request[:120]!r}: the server closed the connection")
        return more

    def _body_bytes(self, request: bytes, head: bytes) -> int:
        if request.startswith(b"HEAD "):
            return 0
        found = _LENGTH.search(head)
        if found is None:
            raise WrongAnswer(f"{request[:120]!r}: no length in {head!r}")
        return int(found[1])

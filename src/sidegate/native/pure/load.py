"""The load loop in its plainest form: one epoll loop over many sockets.

This is the reference: `ext/load.pyx` must find the same in the same answers.  It
is several times slower, so it may be the limit where the other is not.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sidegate.native.exchange import (
    EXAMPLE_BYTES,
    KEPT_BYTES,
    MAX_EXAMPLES,
    MAX_FAILURES,
    Exchange,
    Payload,
    Rhythm,
    Tally,
    bodies_for,
    bucket_of,
)

_STAMP = struct.Struct("<Q")
_HEAD_END = b"\r\n\r\n"
_READ_BYTES = 4 << 20
_SLEEP_SECONDS = 0.02


# epoll's are the same numbers, and only Linux has it.
_IN, _OUT, _FAILED, _HANG_UP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP


class Script:
    """Exchanges to be sent over and over; see `sidegate.native._load`."""

    def __init__(self, exchanges: Sequence[Exchange], payload: Payload | None = None) -> None:
        self.exchanges = list(exchanges)
        self.payload = payload or Payload(b"")
        if not self.exchanges:
            raise ValueError("a script needs an exchange")
        if any(max(len(e.body or b""), len(e.holds)) > KEPT_BYTES // 2 for e in self.exchanges):
            raise ValueError(f"only {KEPT_BYTES // 2} bytes of an answer can be compared")
        for offset in self.payload.stamps:
            if not 0 <= offset <= len(self.payload.template) - _STAMP.size:
                raise ValueError(f"there is no room for a stamp at {offset}")

    def __len__(self) -> int:
        return len(self.exchanges)

    def drive(
        self,
        descriptors: Sequence[int],
        rhythm: Rhythm,
        *,
        first_position: int = 0,
        first_serial: int = 0,
        keep_answers: bool = False,
        bodies: Sequence[bytearray] | None = None,
    ) -> Tally:
        """Keep one request under way on each socket, and count."""
        copies = bodies_for(len(descriptors), self.payload.template, bodies)
        run = _Run(self, descriptors, copies, rhythm, first_position, first_serial)
        if keep_answers:
            run.tally.answers = [b""] * rhythm.count
        try:
            return run.finish()
        finally:
            run.close()


@dataclass(slots=True)
class _Connection:
    """One socket with the exchange under way on it, if one is."""

    fd: int
    socket: socket.socket
    payload: bytearray
    exchange: Exchange | None = None
    position: int = 0
    began: float = 0.0
    unsent: list[memoryview] = field(default_factory=list)
    reader: _Reader | None = None
    broken: bool = False


class _Reader:
    """Takes the bytes of one answer: keeps the first, counts the rest."""

    def __init__(self, *, to_head: bool) -> None:
        self._to_head = to_head
        self.kept = bytearray()
        self.status = 0
        self.body_bytes = 0
        self.left: int | None = None  # of a body with a length
        self.head_end = 0
        self.closes = False
        self.ended = False
        self._chunks: _Chunks | None = None

    @property
    def until_close(self) -> bool:
        """Whether the end of the connection is the end of the body."""
        return bool(self.head_end) and self.left is None and self._chunks is None

    def take(self, data: bytes) -> bool:
        """Take what came; returns False when it is no HTTP."""
        try:
            return self._take(data)
        except ValueError:  # a size that is no number
            return False

    def _take(self, data: bytes) -> bool:
        if self.head_end:
            self._take_body(data)
            return True
        self.kept += data
        while not self.head_end:
            end = self.kept.find(_HEAD_END)
            if end < 0:
                return len(self.kept) < KEPT_BYTES
            head_end = end + len(_HEAD_END)
            self.status = _status_of(self.kept)
            if not self.status:
                return False
            if 100 <= self.status < 200:
                del self.kept[:head_end]
                continue
            self.head_end = head_end
        body = bytes(self.kept[self.head_end :])
        del self.kept[self.head_end :]
        self._begin_body()
        self._take_body(body)
        return True

    def _begin_body(self) -> None:
        persists = self.kept[7:8] != b"0"  # RFC 9112, 9.3: HTTP/1.0 closes unless it says otherwise
        for line in bytes(self.kept).split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            words = [word.strip(b" \t").lower() for word in value.split(b",")]
            match name.lower():
                case b"content-length":
                    self.left = self.body_bytes = _size_of(value)
                case b"transfer-encoding" if b"chunked" in words:
                    self._chunks = _Chunks()
                case b"connection":
                    self.closes = self.closes or b"close" in words
                    persists = persists or b"keep-alive" in words
        if self._to_head or self.status in (204, 304):
            self.left = self.body_bytes = 0
            self._chunks = None
        if self._chunks is not None:
            self.left, self.body_bytes = None, 0
        self.closes = self.closes or not persists or self.until_close
        self.ended = self.left == 0

    def _take_body(self, data: bytes) -> None:
        if self._chunks is not None:
            data, self.ended = self._chunks.take(data)
            self.body_bytes += len(data)
        elif self.left is None:
            self.body_bytes += len(data)
        else:
            data = data[: self.left]
            self.left -= len(data)
            self.ended = self.left == 0
        self.kept += data[: KEPT_BYTES - len(self.kept)]


def _size_of(value: bytes) -> int:
    """Return a Content-Length: digits, and blanks around them (RFC 9110, 8.6).  Raises ValueError."""
    digits = value.strip(b" \t")
    if not digits.isdigit():
        raise ValueError(f"{value!r} is no size")
    return int(digits)


class _Chunks:
    """Takes the chunked framing off."""

    def __init__(self) -> None:
        self._rest = b""
        self._left = 0  # of the data of this chunk, with its CRLF
        self._trailers = False

    def take(self, data: bytes) -> tuple[bytes, bool]:
        """Return the data in what came, and whether the body has ended."""
        data, self._rest = self._rest + data, b""
        found = b""
        while data:
            if self._left:
                part, data = data[: self._left], data[self._left :]
                found += part[: max(0, self._left - 2)]
                self._left -= len(part)
                continue
            line, end, after = data.partition(b"\n")
            if not end:
                self._rest = data
                break
            data = after
            if self._trailers:
                if not line.strip():
                    return found, True
                continue
            size = int(line.partition(b";")[0].strip() or b"0", 16)
            self._trailers = size == 0
            self._left = size + 2 if size else 0
        return found, False


class _Run:
    """One use of a script; ends when its rhythm says so."""

    def __init__(
        self,
        script: Script,
        descriptors: Sequence[int],
        bodies: Sequence[bytearray],
        rhythm: Rhythm,
        first_position: int,
        first_serial: int,
    ) -> None:
        self._script = script
        self._rhythm = rhythm
        self._first_position = first_position
        self._first_serial = first_serial
        self.tally = Tally()
        self._poller = _poller()
        # Duplicates, so that closing these leaves the caller's descriptors open.
        self._connections = {
            fd: _Connection(fd, socket.socket(fileno=os.dup(fd)), body)
            for fd, body in zip(descriptors, bodies, strict=True)
        }
        first = self._connections[descriptors[0]].socket
        self._address, self._family = first.getpeername(), first.family
        for connection in self._connections.values():
            self._watch(connection)
        self._began = self._last = self._last_answer = time.perf_counter()

    def close(self) -> None:
        """Give back what the run opened."""
        self._poller.close()
        for connection in self._connections.values():
            connection.socket.close()

    def finish(self) -> Tally:
        """Run to the end and return the tally."""
        for connection in self._connections.values():
            self._next(connection, time.perf_counter())
        timeout = 0 if self._rhythm.poll else _SLEEP_SECONDS
        while self.tally.unanswered and self.tally.failed < MAX_FAILURES:
            before = time.perf_counter()
            ready = self._poller.poll(timeout)
            now = time.perf_counter()
            if not ready or not self._rhythm.poll:
                self.tally.idle_seconds += now - before
            for fd, events in ready:
                self._attend(self._connections[fd], events, now)
            if ready:
                self._last = now
            limit = min(self._last, self._began + self._rhythm.seconds) + self._rhythm.drain_seconds
            if time.perf_counter() > limit:
                break
        end = time.perf_counter() if self.tally.unanswered else self._last_answer
        self.tally.seconds = end - self._began
        return self.tally

    def _watch(self, connection: _Connection) -> None:
        connection.socket.setblocking(False)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poller.register(connection.fd, _IN)

    def _next(self, connection: _Connection, now: float) -> None:
        """Begin the next request, if there is to be one."""
        connection.exchange = None
        tally, rhythm = self.tally, self._rhythm
        if tally.begun >= rhythm.count or now >= self._began + rhythm.seconds or tally.failed >= MAX_FAILURES:
            return
        connection.position = tally.begun
        tally.begun += 1
        tally.unanswered += 1
        exchanges = self._script.exchanges
        exchange = exchanges[(self._first_position + connection.position) % len(exchanges)]
        for offset in self._script.payload.stamps:
            _STAMP.pack_into(connection.payload, offset, self._first_serial + connection.position)
        parts = (exchange.head, connection.payload, exchange.tail)
        connection.unsent = [memoryview(part) for part in parts if part]
        connection.exchange, connection.began, connection.broken = exchange, now, False
        connection.reader = _Reader(to_head=exchange.head.startswith(b"HEAD "))
        self._send(connection)

    def _send(self, connection: _Connection) -> None:
        """Send what fits."""
        unsent = connection.unsent
        while unsent:
            try:
                sent = connection.socket.send(unsent[0])
            except BlockingIOError:
                self._poller.modify(connection.fd, _IN | _OUT)
                return
            except OSError:  # the answer, or the end, is there to be read
                unsent.clear()
                connection.broken = True
                break
            unsent[0] = unsent[0][sent:]
            if not unsent[0]:
                del unsent[0]
        self._poller.modify(connection.fd, _IN)

    def _attend(self, connection: _Connection, events: int, now: float) -> None:
        if connection.unsent and events & _OUT:
            self._send(connection)
        if not events & (_IN | _HANG_UP | _FAILED):
            return
        if connection.exchange is None or connection.reader is None:
            self._poller.unregister(connection.fd)
            return
        reader = connection.reader
        try:
            data = connection.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # a connection that breaks off ends no body
            self._lose(connection, reader, now)
            return
        self.tally.received_bytes += len(data)
        if not data and reader.until_close:
            reader.ended = True
        elif not data or not reader.take(data):
            self._lose(connection, reader, now)
            return
        if reader.ended:
            self._end(connection, reader, time.perf_counter() if reader.body_bytes > KEPT_BYTES else now)

    def _end(self, connection: _Connection, reader: _Reader, now: float) -> None:
        """Judge an answer that is all there, and go on."""
        if self._is_right(connection, reader):
            self.tally.answered += 1
            self.tally.latencies[bucket_of(int((now - connection.began) * 1e9))] += 1
        else:
            self._note_example(connection, reader)
        if self.tally.answers:
            self.tally.answers[connection.position] = bytes(reader.kept)
        self._leave(connection, now, reconnect=reader.closes or connection.broken or bool(connection.unsent))

    def _lose(self, connection: _Connection, reader: _Reader, now: float) -> None:
        """Count an answer that does not come; go on with a new connection."""
        self._note_example(connection, reader)
        self._leave(connection, now, reconnect=True)

    def _leave(self, connection: _Connection, now: float, *, reconnect: bool) -> None:
        self.tally.unanswered -= 1
        self._last_answer = now
        if reconnect:
            self._reconnect(connection)
        self._next(connection, now)

    def _is_right(self, connection: _Connection, reader: _Reader) -> bool:
        exchange = connection.exchange
        if exchange is None or reader.status != exchange.status or connection.unsent:
            return False
        if exchange.body_bytes not in (None, reader.body_bytes):
            return False
        body = reader.kept[reader.head_end :]
        return body.startswith(exchange.body or b"") and exchange.holds in body

    def _note_example(self, connection: _Connection, reader: _Reader) -> None:
        self.tally.failed += 1
        if len(self.tally.examples) < MAX_EXAMPLES:
            self.tally.examples.append((connection.position, bytes(reader.kept[:EXAMPLE_BYTES])))

    def _reconnect(self, connection: _Connection) -> None:
        """Put a new connection to the same server under the descriptor."""
        self.tally.reconnections += 1
        with socket.socket(self._family, socket.SOCK_STREAM) as new:
            _adopt_congestion(new, connection.socket)
            new.connect(self._address)
            connection.socket.close()
            self._poller.unregister(connection.fd)
            os.dup2(new.fileno(), connection.fd)
        connection.socket = socket.socket(fileno=os.dup(connection.fd))
        connection.unsent = []
        self._watch(connection)


class _Poll:
    """poll(2) with the times and the end of an epoll, for systems that have none."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register, self.modify = self._poll.register, self._poll.modify
        self.unregister = self._poll.unregister

    def poll(self, timeout_seconds: float) -> list[tuple[int, int]]:
        """Return (descriptor, events) of those that are ready, waiting for the first."""
        return self._poll.poll(timeout_seconds * 1000)

    def close(self) -> None:
        """Do nothing: there is no descriptor."""


def _poller() -> Any:
    return select.epoll() if hasattr(select, "epoll") else _Poll()


def _adopt_congestion(new: socket.socket, other: socket.socket) -> None:
    """Have a socket send at the pace of another; without that choice, at the system's."""
    if hasattr(socket, "TCP_CONGESTION"):
        with suppress(OSError):
            name = other.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
            new.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name)


def _status_of(head: bytes | bytearray) -> int:
    """Return the status of `HTTP/1.1 200 OK`, 0 for anything else."""
    digits = bytes(head[9:12])
    return int(digits) if head.startswith(b"HTTP/1.") and head[8:9] == b" " and digits.isdigit() else 0

"""The load generator: exchanges over keep-alive connections, nothing else.

Runs in a process and on a core of its own (see `generator`).  It knows HTTP/1.1
framing just well enough to tell a right answer from a wrong one; what is asked,
and what it means, is the caller's business.  A wrong answer ends the job.

Small answers are compared whole.  Large ones are discarded in the kernel
(MSG_TRUNC), so that the client is not the limit: `verify` reads them in full,
outside of the measured time.  While a core is free for it the generator polls:
waking a sleeping receiver costs the sender's core an interrupt.
"""

from __future__ import annotations

import gc
import hashlib
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle

HEAD_END = b"\r\n\r\n"
SMALL_READ_BYTES = 64 << 10
HEAD_READ_BYTES = 1 << 10
DISCARD_BYTES = 4 << 20
SEND_BYTES = 1 << 20
STAMP_EVERY_BYTES = 64 << 10
"""Each chunk (256 KiB at least) holds a stamp, so no chunk of an upload is stored yet."""

STALL_SECONDS = 30.0
_STAMP = struct.Struct("<Q")

Receive = Callable[[int], bytes]


class WrongAnswer(Exception):
    """A response that is not what the exchange expects."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as sent, and what must come back.

    `body_bytes` is the size of the answer's body (0 for HEAD), None: not known.
    `body` is compared when given; by `verify` alone also `digest` (SHA-256) and
    `holds`: what is in the body, and how often.
    """

    request: bytes
    status: int = 200
    body_bytes: int | None = None
    body: bytes | None = None
    digest: bytes | None = None
    holds: tuple[tuple[bytes, int], ...] = ()
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Job:
    """Exchanges to be made `count` times in all, over `connections` at once.

    `shape` says what is large: "small" nothing, "download" the answers, "upload"
    the requests (`payload_seed` and `payload_bytes` make each body, `unique`
    stamps it); "verify" makes them one after another and reads all.
    """

    address: tuple[str, int]
    shape: str
    exchanges: list[Exchange]
    connections: int
    count: int
    poll: bool
    payload_seed: int = 0
    payload_bytes: int = 0
    unique: bool = False


@dataclass(slots=True)
class Outcome:
    """What a job took; `busy` is the share of the time with work for the client."""

    seconds: float = 0.0
    requests: int = 0
    busy: float = 1.0
    cpu_seconds: float = 0.0
    error: str | None = None
    uploads: list[tuple[int, bytes]] = field(default_factory=list)
    """For "upload": which exchange each connection sent last, and the digest of its body."""


@dataclass(slots=True)
class _Idle:
    """Counts polls that found nothing, and gives up when nothing comes at all."""

    poller: select.epoll
    timeout_seconds: float
    empty: int = 0
    deadline: float = 0.0

    def note(self) -> None:
        self.empty += 1
        if self.timeout_seconds:
            raise WrongAnswer(f"no answer within {STALL_SECONDS} s")
        if self.empty & 0xFFFF == 0:
            now = time.monotonic()
            if self.deadline and now > self.deadline:
                raise WrongAnswer(f"no answer within {STALL_SECONDS} s")
            self.deadline = self.deadline or now + STALL_SECONDS

    def seconds(self) -> float:
        """Return about how long the empty polls took; asks the poller while nothing is under way."""
        if self.timeout_seconds or not self.empty:
            return 0.0
        rounds = 20_000
        began = time.perf_counter()
        for _ in range(rounds):
            self.poller.poll(0)
        return (time.perf_counter() - began) / rounds * self.empty


def run(job: Job) -> Outcome:
    """Do a job; its outcome says what went wrong, if anything did."""
    outcome = Outcome()
    sockets = [_connect(job.address) for _ in range(1 if job.shape == "verify" else job.connections)]
    gc.disable()
    cpu_before = time.process_time()
    try:
        _SHAPES[job.shape](job, sockets, outcome)
    except (WrongAnswer, OSError) as error:
        outcome.error = f"{type(error).__name__}: {error}"
    finally:
        gc.enable()
        outcome.cpu_seconds = time.process_time() - cpu_before
        for connection in sockets:
            connection.close()
    return outcome


def _connect(address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address, timeout=STALL_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _poller(job: Job, sockets: list[socket.socket], events: int) -> _Idle:
    poller = select.epoll()
    for connection in sockets:
        connection.setblocking(False)
        poller.register(connection.fileno(), events)
    return _Idle(poller, 0 if job.poll else STALL_SECONDS)


def _settle(outcome: Outcome, idle: _Idle, began: float, requests: int) -> None:
    outcome.seconds = time.perf_counter() - began
    outcome.requests = requests
    outcome.busy = max(0.0, 1 - idle.seconds() / outcome.seconds) if idle.timeout_seconds == 0 else 0.0
    idle.poller.close()


# -- small answers: one recv, one comparison, one send for each --------------------


def _small(job: Job, sockets: list[socket.socket], outcome: Outcome) -> None:
    """Keep one request under way per connection; the loop is as short as Python allows."""
    idle = _poller(job, sockets, select.EPOLLIN)
    poll, timeout = idle.poller.poll, idle.timeout_seconds
    script = _script(job)
    size = max(connection.fileno() for connection in sockets) + 1
    receive: list = [None] * size
    send: list = [None] * size
    awaited: list = [None] * size
    bodies = [b""] * size
    statuses = [b""] * size
    expected_bytes = -1
    unsent, unanswered = job.count, job.count
    began = time.perf_counter()
    for connection in sockets[: job.count]:
        fd = connection.fileno()
        receive[fd], send[fd] = connection.recv, connection.send
        exchange, request, statuses[fd], bodies[fd] = next(script)
        awaited[fd] = exchange
        send[fd](request)
        unsent -= 1
    while unanswered:
        ready = poll(timeout)
        if not ready:
            idle.note()
            continue
        for fd, _ in ready:
            data = receive[fd](SMALL_READ_BYTES)
            if (
                len(data) != expected_bytes
                or not data.startswith(statuses[fd])
                or not data.endswith(bodies[fd])
            ):
                expected_bytes = len(_finish_answer(receive[fd], data, awaited[fd]))
            unanswered -= 1
            if unsent:
                unsent -= 1
                awaited[fd], request, statuses[fd], bodies[fd] = next(script)
                send[fd](request)
    _settle(outcome, idle, began, job.count)


def _script(job: Job) -> Iterator[tuple[Exchange, bytes, bytes, bytes]]:
    return cycle([(e, e.request, b"HTTP/1.1 %d " % e.status, e.body or b"") for e in job.exchanges])


def _finish_answer(receive: Receive, first: bytes, exchange: Exchange) -> bytes | bytearray:
    """Return a whole, right answer that begins with `first`; raises WrongAnswer."""
    deadline = time.monotonic() + STALL_SECONDS
    data = bytearray(first)
    total = _answer_bytes(data, exchange)
    while total is None or len(data) < total:
        try:
            more = receive(SMALL_READ_BYTES)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise WrongAnswer(f"half an answer: {data[:300]!r}") from None
            continue
        if not more:
            raise WrongAnswer(f"the server closed the connection after {data[:300]!r}")
        data += more
        if total is None:
            total = _answer_bytes(data, exchange)
    _check(data, total, exchange)
    return data


def _answer_bytes(data: bytes | bytearray, exchange: Exchange) -> int | None:
    """Return the size of an answer from its head, None while that is not all there."""
    end = data.find(HEAD_END)
    if end < 0:
        return None
    if exchange.method == "HEAD":
        return end + len(HEAD_END)
    for line in data[:end].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return end + len(HEAD_END) + int(value)
    return end + len(HEAD_END)


def _check(data: bytes | bytearray, total: int, exchange: Exchange) -> None:
    body_bytes = total - data.index(HEAD_END) - len(HEAD_END)
    right = data.startswith(b"HTTP/1.1 %d " % exchange.status) and len(data) == total
    right = right and exchange.body_bytes in (None, body_bytes)
    if not right or (exchange.body is not None and data[total - body_bytes :] != exchange.body):
        raise WrongAnswer(f"expected {exchange.status} with {exchange.body_bytes} bytes, got {data[:600]!r}")


# -- large answers: the head is read, the body discarded in the kernel -------------


def _download(job: Job, sockets: list[socket.socket], outcome: Outcome) -> None:
    idle = _poller(job, sockets, select.EPOLLIN)
    poll, timeout = idle.poller.poll, idle.timeout_seconds
    script = _script(job)
    scratch = bytearray(DISCARD_BYTES)
    by_fd = {connection.fileno(): connection for connection in sockets}
    awaited: dict[int, Exchange] = {}
    missing: dict[int, int] = {}
    """Bytes of the answer still to come; 0: none of it has come yet."""
    unsent, unanswered = job.count, job.count
    began = time.perf_counter()
    for fd in list(by_fd)[: job.count]:
        awaited[fd], request, _, _ = next(script)
        missing[fd] = 0
        by_fd[fd].send(request)
        unsent -= 1
    while unanswered:
        ready = poll(timeout)
        if not ready:
            idle.note()
            continue
        for fd, _ in ready:
            connection = by_fd[fd]
            if missing[fd]:
                missing[fd] -= _discard(connection, scratch, missing[fd])
            else:
                missing[fd] = _begin_answer(connection, awaited[fd])
                if missing[fd]:
                    missing[fd] -= _discard(connection, scratch, missing[fd])
            if missing[fd] == 0:
                unanswered -= 1
                if unsent:
                    unsent -= 1
                    awaited[fd], request, _, _ = next(script)
                    connection.send(request)
    _settle(outcome, idle, began, job.count)


def _begin_answer(connection: socket.socket, exchange: Exchange) -> int:
    """Read the head, check it, return how much of the answer is still to come."""
    data = connection.recv(HEAD_READ_BYTES)
    total = _answer_bytes(data, exchange)
    if total is None:
        raise WrongAnswer(f"half a head: {data!r}")
    body_bytes = total - data.index(HEAD_END) - len(HEAD_END)
    if not data.startswith(b"HTTP/1.1 %d " % exchange.status) or exchange.body_bytes not in (
        None,
        body_bytes,
    ):
        raise WrongAnswer(f"expected {exchange.status} with {exchange.body_bytes} bytes, got {data[:600]!r}")
    return total - len(data)


def _discard(connection: socket.socket, scratch: bytearray, wanted: int) -> int:
    """Drop what is there of `wanted` bytes; returns how many."""
    try:
        count = connection.recv_into(scratch, min(wanted, DISCARD_BYTES), socket.MSG_TRUNC)
    except BlockingIOError:
        return 0
    if not count:
        raise WrongAnswer(f"the server closed the connection {wanted} bytes early")
    return count


# -- large requests: the same payload per connection, stamped anew for each --------


class _Upload:
    """What one connection sends: a head, then its payload."""

    def __init__(self, connection: socket.socket, payload: bytearray, first_serial: int) -> None:
        self.connection = connection
        self.payload = payload
        self.serial = first_serial
        self.number = -1
        self.exchange: Exchange | None = None
        self._parts: list[memoryview] = []

    def begin(self, number: int, exchange: Exchange, *, unique: bool) -> None:
        self.number, self.exchange = number, exchange
        if unique:
            for offset in range(0, len(self.payload) - _STAMP.size + 1, STAMP_EVERY_BYTES):
                _STAMP.pack_into(self.payload, offset, self.serial)
                self.serial += 1
        self._parts = [memoryview(exchange.request), memoryview(self.payload)]

    def send(self) -> bool:
        """Send what fits; whether all of it has left."""
        while self._parts:
            part = self._parts[0]
            try:
                sent = self.connection.send(part[:SEND_BYTES])
            except BlockingIOError:
                return False
            if sent < len(part):
                self._parts[0] = part[sent:]
            else:
                del self._parts[0]
        return True


def _upload(job: Job, sockets: list[socket.socket], outcome: Outcome) -> None:
    block = _random_bytes(job.payload_seed, job.payload_bytes)
    uploads = {
        connection.fileno(): _Upload(connection, bytearray(block), time.time_ns() + (index << 40))
        for index, connection in enumerate(sockets[: job.count])
    }
    idle = _poller(job, sockets, select.EPOLLOUT)
    poll, timeout = idle.poller.poll, idle.timeout_seconds
    numbers = iter(range(job.count))
    unanswered = job.count
    began = time.perf_counter()
    for upload in uploads.values():
        _begin_upload(job, upload, next(numbers))
    while unanswered:
        ready = poll(timeout)
        if not ready:
            idle.note()
            continue
        for fd, event in ready:
            upload = uploads[fd]
            if event & select.EPOLLIN:
                _finish_answer(upload.connection.recv, b"", upload.exchange)
                unanswered -= 1
                number = next(numbers, None)
                if number is None:
                    idle.poller.unregister(fd)
                    continue
                _begin_upload(job, upload, number)
                idle.poller.modify(fd, select.EPOLLOUT)
            elif upload.send():
                idle.poller.modify(fd, select.EPOLLIN)
    _settle(outcome, idle, began, job.count)
    outcome.uploads = [
        (upload.number % len(job.exchanges), hashlib.sha256(upload.payload).digest())
        for upload in uploads.values()
    ]


def _begin_upload(job: Job, upload: _Upload, number: int) -> None:
    upload.begin(number, job.exchanges[number % len(job.exchanges)], unique=job.unique)


def _random_bytes(seed: int, size_bytes: int) -> bytes:
    block_bytes = min(size_bytes, 8 << 20)
    block = hashlib.shake_128(seed.to_bytes(8, "little")).digest(block_bytes)
    return (block * -(-size_bytes // block_bytes))[:size_bytes]


# -- verification: each answer in full, by digest ----------------------------------


def _verify(job: Job, sockets: list[socket.socket], outcome: Outcome) -> None:
    connection = sockets[0]
    began = time.perf_counter()
    for exchange in job.exchanges:
        connection.sendall(exchange.request)
        data = _finish_answer(connection.recv, b"", exchange)
        body = data[data.index(HEAD_END) + len(HEAD_END) :]
        right = exchange.digest is None or hashlib.sha256(body).digest() == exchange.digest
        if not right or any(body.count(part) != count for part, count in exchange.holds):
            raise WrongAnswer(f"the body is not what it should be: {exchange.request[:120]!r}")
        outcome.requests += 1
    outcome.seconds = time.perf_counter() - began


_SHAPES = {"small": _small, "download": _download, "upload": _upload, "verify": _verify}

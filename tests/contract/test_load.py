"""What both twins of the load loop promise, against a server that says what a test tells it."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from sidegate.native import select
from sidegate.native.exchange import KEPT_BYTES, MAX_FAILURES, Exchange, Payload, Rhythm, bucket_of, floor_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
GET = Exchange(b"GET /key HTTP/1.1\r\nHost: here\r\n\r\n", 200, 5, b"hello")

Answer = Callable[[int, bytes, bytes], list[bytes] | None]
"""Number, head and body of a request → the pieces to send; None closes the connection."""

CLOSE, RESET = b"(close)", b"(reset)"
"""Sent as pieces, they end the connection: as HTTP has it, or with what is under way lost."""


needs_congestion = pytest.mark.skipif(
    not hasattr(socket, "TCP_CONGESTION"), reason="this system has no choice of congestion controls"
)


def congestion_of(one: socket.socket) -> str:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


@pytest.fixture(params=["native", "pure", "pure, without epoll"])
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "pure, without epoll":
        monkeypatch.delattr("select.epoll", raising=False)
    try:
        _, modules = select("require" if request.param == "native" else "off")
    except ModuleNotFoundError as absent:
        pytest.skip(f"not compiled: {absent}")
    return modules["load"].Script


class Server:
    """Answers requests as told, a thread for each connection."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._numbers = itertools.count()
        self.bodies: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        rest = b""
        with connection, suppress(ConnectionError):
            while True:
                while b"\r\n\r\n" not in rest:
                    data = connection.recv(65536)
                    if not data:
                        return
                    rest += data
                head, _, rest = rest.partition(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0
                )
                while len(rest) < length:
                    rest += connection.recv(1 << 20)
                body, rest = rest[:length], rest[length:]
                self.bodies.append(body)
                pieces = self._answer(next(self._numbers), head, body)
                if pieces is None:
                    return
                for piece in pieces:
                    if piece is RESET:
                        time.sleep(0.05)  # what was sent before may be taken
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    if piece is CLOSE or piece is RESET:
                        return
                    connection.sendall(piece)


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    server = Server(answer)
    try:
        yield server
    finally:
        server.close()


def always(*pieces: bytes) -> Answer:
    return lambda number, head, body: list(pieces)


def drive(script: Any, server: Server, *, count: int = 10, connections: int = 2, **more: Any) -> Any:
    rhythm = Rhythm(
        more.pop("seconds", 30.0), count, more.pop("drain_seconds", 20.0), more.pop("poll", False)
    )
    sockets = [socket.create_connection(server.address) for _ in range(connections)]
    try:
        return script.drive([one.fileno() for one in sockets], rhythm, **more)
    finally:
        for one in sockets:
            one.close()


@pytest.mark.parametrize("poll", [False, True], ids=["sleeping", "polling"])
def test_right_answers_are_counted(script: Any, poll: bool) -> None:
    with serving(always(OK)) as server:
        tally = drive(script([GET]), server, count=50, connections=4, poll=poll)
    assert (tally.begun, tally.answered, tally.failed, tally.unanswered) == (50, 50, 0, 0)
    assert sum(tally.latencies) == 50
    assert tally.received_bytes == 50 * len(OK)
    assert tally.seconds > 0
    assert 0 <= tally.idle_seconds <= tally.seconds
    assert tally.examples == []


@pytest.mark.parametrize(
    ("exchange", "answer"),
    [
        (GET, b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello"),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!"),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellO"),
        (Exchange(GET.head, holds=b"<ETag>"), OK),
        (Exchange(GET.head, 206), OK),
    ],
    ids=["status", "length", "body", "holds", "other status"],
)
def test_wrong_answers_are_counted_and_shown(script: Any, exchange: Exchange, answer: bytes) -> None:
    with serving(always(answer)) as server:
        tally = drive(script([exchange]), server, count=7)
    assert (tally.answered, tally.failed, tally.unanswered) == (0, 7, 0)
    assert sum(tally.latencies) == 0
    assert len(tally.examples) == 3
    assert all(answer.startswith(example) for _, example in tally.examples)
    assert tally.reconnections == 0


def test_too_many_wrong_answers_end_it(script: Any) -> None:
    with serving(always(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")) as server:
        tally = drive(script([GET]), server, count=10_000)
    assert MAX_FAILURES <= tally.failed <= MAX_FAILURES + 1


FRAMINGS = {
    "length": OK,
    "tab": b"HTTP/1.1 200 OK\r\nContent-Length:\t5\r\n\r\nhello",
    "chunked, tight": b"HTTP/1.1 200 OK\r\ntransfer-encoding:\tChunked \r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "lower case": b"HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA:b\r\nC:d\r\n\r\n",
    "informational": b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    "two of them": b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
    "blanks": b"HTTP/1.1 200 OK\r\nContent-Length:  5 \t\r\n\r\nhello",
}


@pytest.mark.parametrize("answer", FRAMINGS.values(), ids=FRAMINGS)
def test_framing_is_understood_wherever_it_is_split(script: Any, answer: bytes) -> None:
    with serving(always(answer)) as server:
        assert drive(script([GET]), server).answered == 10
    with serving(always(*(bytes([byte]) for byte in answer))) as server:
        tally = drive(script([GET]), server, count=2)
    assert (tally.answered, tally.failed) == (2, 0)


@pytest.mark.parametrize("size", [b"5x", b"", b"x", b"+5", b"5_0", b"-5", b"5, 5", b"0x5"])
def test_a_size_that_is_none_is_a_wrong_answer(script: Any, size: bytes) -> None:
    with serving(always(b"HTTP/1.1 200 OK\r\nContent-Length: %b\r\n\r\nhello" % size)) as server:
        tally = drive(script([GET]), server, count=3, connections=1)
    assert (tally.answered, tally.failed, tally.unanswered) == (0, 3, 0)


def test_heads_have_no_body(script: Any) -> None:
    head = Exchange(b"HEAD /key HTTP/1.1\r\n\r\n", 200, 0)
    with serving(always(b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n")) as server:
        tally = drive(script([head]), server)
    assert (tally.answered, tally.failed) == (10, 0)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_large_bodies_are_counted(script: Any, chunked: bool) -> None:
    size = 3_000_000
    if chunked:
        part = b"%x\r\n%b\r\n" % (size // 3, bytes(size // 3))
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + part * 3 + b"0\r\n\r\n"
    else:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    with serving(always(answer)) as server:
        tally = drive(script([Exchange(GET.head, 200, size), Exchange(GET.head, 200, size - 1)]), server)
    assert (tally.answered, tally.failed, tally.unanswered) == (5, 5, 0)
    assert tally.received_bytes == 10 * len(answer)


@pytest.mark.parametrize("how", ["header", "unannounced", "old"])
def test_a_closed_connection_is_made_again(script: Any, how: str) -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"

    def answer(number: int, head: bytes, body: bytes) -> list[bytes] | None:
        if how == "unannounced":
            return None if number % 2 else [OK]
        return [closing]

    with serving(answer) as server:
        tally = drive(script([GET]), server, count=10, connections=1)
    if how == "unannounced":
        assert (tally.answered, tally.failed) == (5, 5)
        assert tally.examples[0] == (1, b"")
    else:
        assert (tally.answered, tally.failed) == (10, 0)
    assert tally.reconnections >= 5


@needs_congestion
def test_a_connection_made_again_is_paced_like_the_one_before(script: Any) -> None:
    with serving(always(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")) as server:
        connection = socket.create_connection(server.address)
        given = "cubic" if congestion_of(connection) == "reno" else "reno"
        with connection:
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, given.encode())
            except OSError as error:
                pytest.skip(f"this system does not allow {given}: {error}")
            tally = script([GET]).drive([connection.fileno()], Rhythm(30.0, 3, 20.0, poll=False))
            assert (tally.answered, tally.reconnections) == (3, 3)
            assert congestion_of(connection) == given


LARGE = bytes(range(256)) * 4000
ENDINGS = {
    "small": (Exchange(GET.head, 200, 5, b"hello"), [b"hel", b"lo"], True),
    "with the head": (Exchange(GET.head, 200, 5, b"hello"), [b"hello"], True),
    "any size": (Exchange(GET.head, 200, None, holds=b"ll"), [b"he", b"l", b"lo"], True),
    "other bytes": (Exchange(GET.head, 200, 5, b"hello"), [b"hel", b"l0"], False),
    "too short": (Exchange(GET.head, 200, 5, b"hello"), [b"hel"], False),
    "nothing": (Exchange(GET.head, 200, 5, b"hello"), [b""], False),
    "more than is kept": (
        Exchange(GET.head, 200, len(LARGE), LARGE[:8000]),
        [LARGE[:9000], LARGE[9000:]],
        True,
    ),
    "more, and other bytes": (Exchange(GET.head, 200, len(LARGE), LARGE[1:8000]), [b"", LARGE], False),
}


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize(("exchange", "pieces", "is_right"), ENDINGS.values(), ids=ENDINGS)
def test_the_end_of_the_connection_can_end_a_body(
    script: Any, exchange: Exchange, pieces: list[bytes], is_right: bool, version: bytes
) -> None:
    answer = [b"HTTP/%b 200 OK\r\n\r\n" % version + pieces[0], *pieces[1:], CLOSE]
    with serving(always(*answer)) as server:
        tally = drive(script([exchange]), server, count=3, connections=1)
        kept = drive(script([exchange]), server, count=1, connections=1, keep_answers=True).answers[0]
    assert (tally.answered, tally.failed) == ((3, 0) if is_right else (0, 3))
    assert tally.reconnections == 3
    assert kept == b"".join(answer[:-1])[:KEPT_BYTES]


def test_a_connection_that_breaks_off_ends_no_body(script: Any) -> None:
    with serving(always(b"HTTP/1.1 200 OK\r\n\r\nhello", RESET)) as server:
        tally = drive(script([GET]), server, count=2, connections=1)
    assert (tally.answered, tally.failed) == (0, 2)


def test_an_old_server_closes_after_each_answer(script: Any) -> None:
    """Unannounced: none but the first request of a connection is taken (RFC 9112, 9.3)."""
    with serving(always(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", CLOSE)) as server:
        tally = drive(script([GET]), server, count=6, connections=2)
    assert (tally.answered, tally.failed, tally.reconnections) == (6, 0, 6)


@pytest.mark.parametrize(
    ("version", "header", "closes"),
    [
        (b"1.1", b"Connection: keep-alive", False),
        (b"1.1", b"Connection: close", True),
        (b"1.1", b"Connection:Close", True),
        (b"1.1", b"connection:\tCLOSE \t", True),
        (b"1.1", b"Connection: close, foo", True),
        (b"1.1", b"Connection: foo ,\tclose", True),
        (b"1.1", b"Connection: ,, foo,close,", True),
        (b"1.1", b"Connection: foo\r\nConnection: close", True),
        (b"1.1", b"Connection: closed, disclose, close-not, close it", False),
        (b"1.1", b"Proxy-Connection: close", False),
        (b"1.1", b"Connection:\r\nX: close", False),
        (b"1.0", b"X: y", True),
        (b"1.0", b"Connection: Keep-Alive", False),
        (b"1.0", b"Connection: foo, keep-alive", False),
        (b"1.0", b"Connection: keep-alive, close", True),
    ],
)
def test_who_closes_is_told_by_version_and_options(
    script: Any, version: bytes, header: bytes, closes: bool
) -> None:
    answer = b"HTTP/%b 200 OK\r\n%b\r\nContent-Length:\t5\r\n\r\nhello" % (version, header)
    with serving(always(answer)) as server:
        tally = drive(script([GET]), server, count=4, connections=1)
    assert (tally.answered, tally.failed) == (4, 0)
    assert tally.reconnections == (4 if closes else 0)


def test_no_http_is_a_wrong_answer(script: Any) -> None:
    with serving(always(b"SSH-2.0-whatever\r\n\r\n")) as server:
        tally = drive(script([GET]), server, count=2, connections=1)
    assert (tally.answered, tally.failed, tally.unanswered) == (0, 2, 0)
    assert tally.examples[0] == (0, b"SSH-2.0-whatever\r\n\r\n")


def test_payloads_are_sent_with_their_serials(script: Any) -> None:
    template = bytes(range(256)) * 1000
    payload = Payload(template, (0, 1000, len(template) - 8))
    head = b"PUT /key HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (len(template) + 4)
    exchange = Exchange(head, 200, 5, tail=b"tail")
    with serving(always(OK)) as server:
        tally = drive(script([exchange], payload), server, count=9, connections=3, first_serial=70)
        bodies = set(server.bodies)
    assert (tally.answered, tally.failed) == (9, 0)
    assert bodies == {payload.of(70 + number) + b"tail" for number in range(9)}
    assert struct.unpack_from("<Q", payload.of(71), 1000) == (71,)


def test_bodies_that_are_lent_serve_many_runs_over_the_same_connections(script: Any) -> None:
    payload = Payload(bytes(range(256)) * 10, (0, 2552))
    exchange = Exchange(b"PUT /key HTTP/1.1\r\nContent-Length: 2560\r\n\r\n", 200, 5)
    bodies = [bytearray(payload.template) for _ in range(2)]
    with serving(always(OK)) as server:
        sockets = [socket.create_connection(server.address) for _ in range(2)]
        for serial in (100, 200):
            # Each run has a script of its own, as each upload has its own id.
            tally = script([exchange], payload).drive(
                [one.fileno() for one in sockets],
                Rhythm(30.0, 5, 20.0, poll=False),
                first_serial=serial,
                bodies=bodies,
            )
            assert (tally.answered, tally.failed, tally.reconnections) == (5, 0, 0)
        for one in sockets:
            one.close()
        sent = sorted(server.bodies)
    assert sent == sorted(payload.of(first + number) for first in (100, 200) for number in range(5))
    bodies[0].clear()  # nothing holds them when the run is over


@pytest.mark.parametrize("bodies", [None, []])
def test_without_a_connection_there_is_nothing_to_drive(script: Any, bodies: list[bytearray] | None) -> None:
    with pytest.raises(ValueError, match="no connection"):
        script([GET]).drive([], Rhythm(0.1, 1, 0.1, False), bodies=bodies)


@pytest.mark.parametrize(
    "bodies",
    [[], [bytearray(3)], [bytearray(3), bytearray(2)], [bytearray(3), b"abc"], [bytearray(3)] * 3],
    ids=["none", "too few", "too short", "not writable", "too many"],
)
def test_bodies_that_do_not_fit_are_refused(script: Any, bodies: list[Any]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ValueError, match=r"as many bodies|as the payload is"):
        script([GET], Payload(b"abc")).drive(
            [ours.fileno()] * 2, Rhythm(1.0, 1, 1.0, poll=False), bodies=bodies
        )


def test_an_early_answer_to_an_upload_is_wrong(script: Any) -> None:
    """The server refuses by the head and closes; the loop must neither hang nor call it success."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        for _ in range(2):
            try:
                connection, _ = listener.accept()
            except OSError:  # closed: the loop did not come back
                return
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=refuse, daemon=True).start()
    payload = Payload(bytes(30 << 20))
    exchange = Exchange(b"PUT /key HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (30 << 20), 200)
    with socket.create_connection(listener.getsockname()) as connection:
        tally = script([exchange], payload).drive([connection.fileno()], Rhythm(10.0, 1, 5.0, False))
    listener.close()
    assert (tally.answered, tally.failed) == (0, 1)


def test_answers_are_kept_by_position(script: Any) -> None:
    def answer(number: int, head: bytes, body: bytes) -> list[bytes]:
        key = head.split(b" ")[1]
        return [b"HTTP/1.1 200 OK\r\nETag: %b\r\nContent-Length: 0\r\n\r\n" % key]

    exchanges = [Exchange(b"GET %d HTTP/1.1\r\n\r\n" % number) for number in range(6)]
    with serving(answer) as server:
        tally = drive(script(exchanges), server, count=6, connections=3, keep_answers=True)
    assert [b"ETag: %d\r\n" % number in kept for number, kept in enumerate(tally.answers)] == [True] * 6


def test_positions_go_on_where_the_last_run_ended(script: Any) -> None:
    exchanges = [Exchange(b"GET /%d HTTP/1.1\r\n\r\n" % number) for number in range(4)]
    seen: list[bytes] = []

    def answer(number: int, head: bytes, body: bytes) -> list[bytes]:
        seen.append(head.split(b" ")[1])
        return [OK]

    with serving(answer) as server:
        one = script(exchanges)
        drive(one, server, count=3, connections=1)
        drive(one, server, count=3, connections=1, first_position=3)
    assert seen == [b"/0", b"/1", b"/2", b"/3", b"/0", b"/1"]


def test_a_silent_server_is_not_waited_for(script: Any) -> None:
    with serving(always()) as server:
        tally = drive(script([GET]), server, seconds=0.05, drain_seconds=0.1)
    assert (tally.begun, tally.answered, tally.unanswered) == (2, 0, 2)
    assert tally.seconds < 10


def test_requests_end_with_the_time(script: Any) -> None:
    with serving(always(OK)) as server:
        tally = drive(script([GET]), server, count=1 << 40, seconds=0.1)
    assert tally.answered == tally.begun > 0
    assert tally.unanswered == 0
    assert tally.seconds < 10


def test_a_server_that_is_gone_is_an_error(script: Any) -> None:
    with serving(lambda number, head, body: None) as server, socket.create_connection(server.address) as one:
        server.close()
        with pytest.raises(OSError):
            script([GET]).drive([one.fileno()], Rhythm(10.0, 10, 5.0, False))
        server._listener = socket.create_server(("127.0.0.1", 0))


def test_a_signal_interrupts(script: Any) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with serving(always(OK)) as server, pytest.raises(KeyboardInterrupt):
            drive(script([GET]), server, count=1 << 40, seconds=60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_the_descriptors_stay_open(script: Any) -> None:
    with serving(always(OK)) as server, socket.create_connection(server.address) as one:
        script([GET]).drive([one.fileno()], Rhythm(10.0, 3, 5.0, False))
        assert os.fstat(one.fileno())


@pytest.mark.parametrize(
    ("exchanges", "payload"),
    [
        ([], None),
        ([Exchange(b"", body=bytes(KEPT_BYTES))], None),
        ([Exchange(b"", holds=bytes(KEPT_BYTES))], None),
        ([GET], Payload(b"1234567", (0,))),
        ([GET], Payload(b"12345678", (1,))),
        ([GET], Payload(b"12345678", (-1,))),
    ],
)
def test_scripts_that_cannot_be_are_refused(
    script: Any, exchanges: list[Exchange], payload: Payload | None
) -> None:
    with pytest.raises(ValueError):
        script(exchanges, payload)


@pytest.mark.parametrize("nanoseconds", [0, 1, 63, 64, 65, 1000, 12345, 10**6, 10**9, 2**40 - 1])
def test_buckets_hold_what_falls_into_them(nanoseconds: int) -> None:
    bucket = bucket_of(nanoseconds)
    assert floor_of(bucket) <= nanoseconds < floor_of(bucket + 1)
    assert floor_of(bucket + 1) - floor_of(bucket) <= max(1, nanoseconds / 31)

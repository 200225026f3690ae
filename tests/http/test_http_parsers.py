"""Both parsers take and refuse the same bytes, however they are cut."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sidegate.http.errors import Reason, Rejected
from sidegate.http.framing import Framing
from sidegate.http.limits import Limits
from sidegate.http.loops import select_parser
from sidegate.http.message import Header
from sidegate.http.parser import ParserFactory, RequestParser

HOST = b"Host: h\r\n"


@dataclass
class Recorder:
    requests: list[tuple[str, bytes, str, list[Header], Framing]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    finished: int = 0

    def head_received(
        self, method: str, target: bytes, version: str, headers: list[Header], framing: Framing
    ) -> None:
        self.requests.append((method, target, version, headers, framing))
        self.bodies.append(b"")

    def body_received(self, data: bytes) -> None:
        assert data
        self.bodies[-1] += data

    def body_finished(self) -> None:
        self.finished += 1


@pytest.fixture(params=["httptools", "h11"])
def factory(request: pytest.FixtureRequest) -> ParserFactory:
    if request.param == "httptools":
        pytest.importorskip("httptools", reason="httptools is not installed")
    return select_parser(request.param)


def feed(parser: RequestParser, data: bytes, step: int) -> None:
    for start in range(0, len(data), step):
        piece = memoryview(data[start : start + step])
        while piece:
            consumed = parser.feed(piece)
            assert consumed
            piece = piece[consumed:]


STEPS = pytest.mark.parametrize("step", [1, 2, 7, 1 << 20])


@STEPS
@pytest.mark.parametrize(
    ("data", "expected", "body"),
    [
        (b"GET /a?b=%20c HTTP/1.1\r\n" + HOST + b"\r\n", ("GET", b"/a?b=%20c", "1.1", 0), b""),
        (b"\r\nGET /a HTTP/1.1\r\n" + HOST + b"\r\n", ("GET", b"/a", "1.1", 0), b""),
        (b"HEAD //x/../y HTTP/1.0\r\n\r\n", ("HEAD", b"//x/../y", "1.0", 0), b""),
        (b"PUT /k HTTP/1.1\r\nContent-Length: 3\r\n" + HOST + b"\r\nabc", ("PUT", b"/k", "1.1", 3), b"abc"),
        (b"PUT /k HTTP/1.1\r\nContent-Length: 0\r\n" + HOST + b"\r\n", ("PUT", b"/k", "1.1", 0), b""),
        (
            b"PUT /k HTTP/1.1\r\ntransfer-encoding: Chunked\r\n"
            + HOST
            + b"\r\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nTrailer: v\r\n\r\n",
            ("PUT", b"/k", "1.1", None),
            b"abc0123456789",
        ),
    ],
)
def test_takes_requests_whole_in_pieces_and_with_more_behind(
    factory: ParserFactory, data: bytes, expected: tuple[str, bytes, str, int | None], body: bytes, step: int
) -> None:
    recorder = Recorder()
    more = b"" if b"HTTP/1.0" in data else data
    feed(factory(recorder, Limits()), data + more, step)
    count = 1 + bool(more)
    assert [(m, t, v, f.length) for m, t, v, _, f in recorder.requests] == [expected] * count
    assert recorder.bodies == [body] * count
    assert recorder.finished == (count if expected[3] != 0 else 0)


@STEPS
def test_headers_are_lowered_stripped_and_kept_in_order(factory: ParserFactory, step: int) -> None:
    recorder = Recorder()
    data = b"GET / HTTP/1.1\r\n" + HOST + b"X-A:  1 \t\r\nUSER-AGENT: u\r\nEmpty:\r\nx-a: \xc3\xa9\r\n\r\n"
    feed(factory(recorder, Limits()), data, step)
    (_, _, _, headers, _) = recorder.requests[0]
    assert headers == [
        (b"host", b"h"),
        (b"x-a", b"1"),
        (b"user-agent", b"u"),
        (b"empty", b""),
        (b"x-a", b"\xc3\xa9"),
    ]


@STEPS
@pytest.mark.parametrize(
    ("lines", "version", "keep_alive", "expects"),
    [
        (b"", b"1.1", True, False),
        (b"Connection: close\r\n", b"1.1", False, False),
        (b"Connection: foo, Close\r\n", b"1.1", False, False),
        (b"Connection: keep-alive\r\n", b"1.1", True, False),
        (b"", b"1.0", False, False),
        (b"Connection: Keep-Alive\r\n", b"1.0", True, False),
        (b"Expect: 100-Continue\r\nContent-Length: 1\r\n", b"1.1", True, True),
        (b"Expect: 100-continue\r\nContent-Length: 1\r\n", b"1.0", False, False),
    ],
)
def test_framing(
    factory: ParserFactory, lines: bytes, version: bytes, keep_alive: bool, expects: bool, step: int
) -> None:
    recorder = Recorder()
    feed(factory(recorder, Limits()), b"PUT / HTTP/" + version + b"\r\n" + HOST + lines + b"\r\n", step)
    framing = recorder.requests[0][4]
    assert (framing.keep_alive, framing.expects_continue) == (keep_alive, expects)


@STEPS
def test_an_offer_to_upgrade_is_ignored(factory: ParserFactory, step: int) -> None:
    recorder = Recorder()
    offer = b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    feed(factory(recorder, Limits()), offer + b"GET /b HTTP/1.1\r\n" + HOST + b"\r\n", step)
    assert [target for _, target, *_ in recorder.requests] == [b"/a", b"/b"]


CHUNKED = b"PUT / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST

REFUSED = {
    "a space before the colon": (GET + b"A : b\r\n\r\n", Reason.MALFORMED_HEAD),
    "an empty name": (GET + b": b\r\n\r\n", Reason.MALFORMED_HEAD),
    "a bad name": (GET + b"A(b: c\r\n\r\n", Reason.MALFORMED_HEAD),
    "a NUL": (GET + b"A: b\0c\r\n\r\n", Reason.MALFORMED_HEAD),
    "a CR alone": (GET + b"A: b\rC: d\r\n\r\n", Reason.MALFORMED_HEAD),
    "lines without CR": (b"GET / HTTP/1.1\nHost: h\n\n", Reason.MALFORMED_HEAD),
    "a folded line": (GET + b"A: b\r\n c\r\n\r\n", Reason.MALFORMED_HEAD),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", Reason.MALFORMED_HEAD),
    "no host but a length": (b"PUT / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", Reason.MALFORMED_HEAD),
    "two hosts": (GET + HOST + b"\r\n", Reason.MALFORMED_HEAD),
    "a line without colon": (GET + b"nonsense\r\n\r\n", Reason.MALFORMED_HEAD),
    "a target with a raw byte": (b"GET /\xc3\xa9 HTTP/1.1\r\n" + HOST + b"\r\n", Reason.MALFORMED_HEAD),
    "another version": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", Reason.VERSION),
    "another method": (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", Reason.METHOD),
    "a proxy's method": (b"CONNECT h:1 HTTP/1.1\r\n" + HOST + b"\r\n", Reason.METHOD),
    "another expectation": (GET + b"Expect: miracles\r\n\r\n", Reason.EXPECTATION),
    "two lengths": (GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", Reason.FRAMING),
    "one length twice": (GET + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", Reason.FRAMING),
    "a list of lengths": (GET + b"Content-Length: 1, 1\r\n\r\nx", Reason.FRAMING),
    "a signed length": (GET + b"Content-Length: +1\r\n\r\nx", Reason.FRAMING),
    "a negative length": (GET + b"Content-Length: -1\r\n\r\nx", Reason.FRAMING),
    "a hexadecimal length": (GET + b"Content-Length: 0x1\r\n\r\nx", Reason.FRAMING),
    "an endless length": (GET + b"Content-Length: 99999999999999999999\r\n\r\nx", Reason.FRAMING),
    "length and chunks": (
        GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Reason.FRAMING,
    ),
    "chunks and length": (
        GET + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        Reason.FRAMING,
    ),
    "another encoding": (GET + b"Transfer-Encoding: gzip\r\n\r\n", Reason.FRAMING),
    "two encodings": (GET + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Reason.FRAMING),
    "nearly chunked": (GET + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", Reason.FRAMING),
    "chunked in HTTP/1.0": (b"PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Reason.FRAMING),
    "a chunk without size": (CHUNKED + b"\r\nabc\r\n", Reason.FRAMING),
    "a chunk size in words": (CHUNKED + b"three\r\nabc\r\n0\r\n\r\n", Reason.FRAMING),
    "a negative chunk": (CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n", Reason.FRAMING),
    "a chunk that is too long": (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", Reason.FRAMING),
    "a chunk line without CR": (CHUNKED + b"3\nabc\r\n0\r\n\r\n", Reason.FRAMING),
    "a chunk size without end": (CHUNKED + b"0" * 140_000, Reason.FRAMING),
    "an upgrade with chunks": (
        GET + b"Connection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        Reason.FRAMING,
    ),
}


@pytest.mark.parametrize("step", [1, 1 << 16])
@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses_what_is_ambiguous(factory: ParserFactory, data: bytes, reason: Reason, step: int) -> None:
    with pytest.raises(Rejected) as caught:
        feed(factory(Recorder(), Limits()), data, step)
    assert caught.value.reason is reason


@pytest.mark.parametrize("step", [1, 100, 1 << 20])
@pytest.mark.parametrize(
    "head",
    [
        GET + b"A: " + b"x" * 1024 + b"\r\n\r\n",
        b"GET /" + b"x" * 1024 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        GET + b"A: " + b"x" * 1200,
        GET + b"a: b\r\n" * 11 + b"\r\n",
    ],
    ids=["value", "target", "unfinished", "count"],
)
def test_refuses_heads_past_the_limits(factory: ParserFactory, head: bytes, step: int) -> None:
    with pytest.raises(Rejected) as caught:
        feed(factory(Recorder(), Limits(head_bytes=1024, header_count=10)), head, step)
    assert caught.value.reason is Reason.HEAD_TOO_LARGE


@STEPS
def test_the_limit_is_on_heads_not_on_what_follows_them(factory: ParserFactory, step: int) -> None:
    recorder = Recorder()
    data = (b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n\r\n" + b"x" * 5000) * 2
    data += CHUNKED + b"3\r\nabc\r\n" * 500 + b"0\r\n\r\n"
    feed(factory(recorder, Limits(head_bytes=1024)), data, step)
    assert [len(body) for body in recorder.bodies] == [5000, 5000, 1500]


def test_trailers_do_not_reach_the_next_request(factory: ParserFactory) -> None:
    recorder = Recorder()
    data = CHUNKED + b"0\r\nHost: evil\r\nX: y\r\n\r\n" + GET + b"\r\n"
    feed(factory(recorder, Limits()), data, 1)
    assert recorder.requests[1][3] == [(b"host", b"h")]


def test_head_begun_is_exact_to_the_byte(factory: ParserFactory) -> None:
    """What comes next may be taken elsewhere only where it is the first byte of a head."""
    get = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
    put = b"PUT /b HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    recorder = Recorder()
    parser = factory(recorder, Limits())
    assert not parser.head_begun
    for head, body in ((get, b""), (put, b"2\r\nab\r\n0\r\n\r\n"), (get, b""), (get, b"")):
        count = len(recorder.requests)
        for index in range(len(head)):
            feed(parser, head[index : index + 1], 1)
            assert parser.head_begun == (index < len(head) - 1)
        feed(parser, body, 1)
        assert len(recorder.requests) == count + 1
    feed(parser, get + get + b"G", 1 << 10)
    assert parser.head_begun

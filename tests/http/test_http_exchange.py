"""Requests and their answers over real sockets."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable

import pytest
from http_harness import Launch, Outcomes

from sidegate.http.errors import Reason
from sidegate.http.message import Request, Response

GET = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n"


def echo(request: Request) -> Response:
    body = request.body.take_whole()
    assert body is not None
    return Response(200, [(b"x-method", request.method.encode())], request.target + b" " + body)


async def echo_later(request: Request) -> Response:
    body = b""
    while block := await request.body.read():
        body += block
    return Response(200, body=request.target + b" " + body)


@pytest.fixture(params=[echo, echo_later], ids=["at-once", "later"])
def handler(request: pytest.FixtureRequest) -> Callable[[Request], Response]:
    return request.param


@pytest.mark.parametrize("bytewise", [False, True])
def test_answers_in_order_on_one_connection(
    launch: Launch, handler: Callable[..., Response], bytewise: bool
) -> None:
    peer = launch(handler).connect()
    send = peer.send_bytewise if bytewise else peer.send
    for number in range(3):
        has_body = number and not (bytewise and handler is echo)
        put = b"PUT /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab" % number
        send(put if has_body else GET % b"%d" % number)
        answer = peer.read()
        assert (answer.status, answer.body) == (200, b"/%d %b" % (number, b"ab" if has_body else b""))


def test_pipelined_requests_are_answered_in_order(launch: Launch, handler: Callable[..., Response]) -> None:
    count = 500
    peer = launch(handler).connect()
    put = b"PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    peer.send(b"".join(GET % b"%d" % number + put for number in range(count)) + GET[:9])
    for number in range(count):
        assert peer.read().body == b"/%d " % number
        assert peer.read().body == b"/p ab"


def test_head_of_an_answer(launch: Launch) -> None:
    answer = launch(echo).connect().ask(GET % b"a")
    assert list(answer.headers) == ["server", "date", "x-method", "content-length"]
    assert answer.headers["server"] == "sidegate"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["date"])


@pytest.mark.parametrize(
    ("method", "response", "length"),
    [
        (b"HEAD", Response(200, body=b"abc"), "3"),
        (b"HEAD", Response(200, length=1 << 40), str(1 << 40)),
        (b"HEAD", Response(200, segments=iter([b"abc"]), length=3), "3"),
        (b"HEAD", Response(404), "0"),
        (b"GET", Response(204), None),
        (b"GET", Response(204, body=b"dropped"), None),
        (b"GET", Response(304), None),
        (b"GET", Response(304, length=77), "77"),
        (b"GET", Response(200), "0"),
    ],
)
def test_answers_without_a_body(
    launch: Launch, method: bytes, response: Response, length: str | None
) -> None:
    outcomes = Outcomes()
    response.on_sent = outcomes
    answers = iter([response])
    peer = launch(lambda request: next(answers, None) or echo(request)).connect()
    peer.send(method + b" /a HTTP/1.1\r\nHost: h\r\n\r\n")
    answer = peer.read(head_only=method == b"HEAD")
    assert (answer.body, answer.headers.get("content-length")) == (b"", length)
    assert outcomes.wait() == [True]
    assert peer.ask(GET % b"next").body == b"/next "


@pytest.mark.parametrize(
    ("head", "connection"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "close"),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "close"),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive"),
    ],
)
def test_connection_header_is_honoured(launch: Launch, head: bytes, connection: str) -> None:
    peer = launch(echo).connect()
    # What follows a last request is not looked at.
    peer.send(head + (b"" if connection == "keep-alive" else b"garbage\r\n\r\n"))
    assert peer.read().headers["connection"] == connection
    if connection == "close":
        assert peer.read_to_end() == b""
    else:
        assert peer.ask(GET % b"more").status == 200


def test_a_request_is_what_was_sent(launch: Launch) -> None:
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response(200)

    peer = launch(handler).connect()
    peer.ask(b"GET /a//b%2F?x HTTP/1.1\r\nHost: h\r\nX-Y: 1\r\nx-y: 2\r\n\r\n")
    (request,) = seen
    host, port = peer.socket.getsockname()
    assert (request.method, request.target, request.version) == ("GET", b"/a//b%2F?x", "1.1")
    assert request.peer == f"{host}:{port}"
    assert (request.header(b"x-y"), request.header(b"none"), request.body.length) == (b"1", None, 0)


BAD = b"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n"


@pytest.mark.parametrize("bytewise", [False, True])
def test_a_bad_request_is_refused_by_the_hook_and_ends_the_connection(launch: Launch, bytewise: bool) -> None:
    def reject(status: int, reason: Reason) -> Response:
        return Response(status, [], f"<{reason}>".encode())

    peer = launch(echo, reject=reject).connect()
    peer.send(GET % b"before")
    (peer.send_bytewise if bytewise else peer.send)(BAD)
    assert peer.read().body == b"/before "
    answer = peer.read()
    assert (answer.status, answer.body) == (400, b"<malformed-head>")
    assert answer.headers["connection"] == "close"
    assert peer.read_to_end() == b""


def test_a_refusal_is_readable_although_more_bytes_come(launch: Launch) -> None:
    peer = launch(echo).connect()
    peer.send(BAD + b"x" * 3_000_000)
    assert peer.read().status == 400
    assert peer.read_to_end() == b""


@pytest.mark.parametrize("later", [False, True])
def test_a_failing_handler_is_answered_500_and_logged(
    launch: Launch, caplog: pytest.LogCaptureFixture, later: bool
) -> None:
    def fail(request: Request) -> Response:
        if request.target == b"/bad":
            raise ValueError("a bug")
        return Response(200)

    async def fail_later(request: Request) -> Response:
        return fail(request)

    peer = launch(fail_later if later else fail).connect()
    with caplog.at_level(logging.ERROR, "sidegate.http"):
        assert peer.ask(GET % b"bad").status == 500
    assert "a bug" in caplog.text
    assert peer.ask(GET % b"good").status == 200


@pytest.mark.parametrize(
    "response",
    [
        Response(200, [(b"x", b"a\r\nset-cookie: b")]),
        Response(200, [(b"x\n", b"a")]),
        Response(200, [(b"x", b"a\0")]),
        Response(200, body=b"abc", length=4),
        Response(200, segments=(segment for segment in [1 / 0 if name else b"" for name in ""]), length=4),
    ],
)
def test_a_response_that_cannot_be_sent_becomes_500(
    launch: Launch, response: Response, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = Outcomes()
    response.on_sent = outcomes
    answers = iter([response])
    peer = launch(lambda request: next(answers, None) or echo(request)).connect()
    answer = peer.ask(GET % b"bad")
    assert (answer.status, answer.body) == (500, b"handler-failed\n")
    assert outcomes.wait() == [False]
    assert peer.ask(GET % b"next").status == 200


def test_a_reject_hook_that_fails_is_replaced(launch: Launch) -> None:
    def reject(status: int, reason: Reason) -> Response:
        raise ValueError("a bug in the hook")

    def fail(request: Request) -> Response:
        raise ValueError("a bug")

    assert launch(fail, reject=reject).connect().ask(GET % b"").body == b"handler-failed\n"


def test_a_reject_hook_with_a_bad_response_ends_the_connection(launch: Launch) -> None:
    outcomes = Outcomes()

    def reject(status: int, reason: Reason) -> Response:
        return Response(status, [(b"a\n", b"b")], on_sent=outcomes)

    peer = launch(echo, reject=reject).connect()
    peer.send(BAD)
    with pytest.raises((EOFError, ConnectionResetError)):
        peer.read()
    assert outcomes.wait() == [False]


def test_an_inner_cancellation_is_a_failure_not_an_end(launch: Launch) -> None:
    async def handler(request: Request) -> Response:
        if request.target == b"/bad":
            raise asyncio.CancelledError
        return Response(200)

    peer = launch(handler).connect()
    assert peer.ask(GET % b"bad").status == 500
    assert peer.ask(GET % b"good").status == 200

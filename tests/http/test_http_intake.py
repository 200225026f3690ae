"""The same requests are seen by both parsers, whatever goes past them and however the bytes are cut."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from http_harness import Launch

from sidegate.http.blocks import BlockPool
from sidegate.http.body import IncomingBody
from sidegate.http.budget import Budget
from sidegate.http.intake import Intake
from sidegate.http.limits import Limits
from sidegate.http.loops import select_parser
from sidegate.http.message import Request, Response

HOST = b"Host: h\r\n"
OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
AWAITED = b"Expect: 100-continue\r\n"
CLOSE = b"Connection: close, Upgrade\r\nUpgrade: h2c\r\n"
SMUGGLED = b"DELETE /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"


def get(path: bytes, lines: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, HOST, lines)


def put(path: bytes, body: bytes, lines: bytes = b"") -> bytes:
    return b"PUT %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (path, HOST, lines, len(body), body)


def chunked(path: bytes, body: bytes, lines: bytes = b"") -> bytes:
    head = b"PUT %b HTTP/1.1\r\n%b%bTransfer-Encoding: chunked\r\n\r\n" % (path, HOST, lines)
    return b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(body), body)


class Peer:
    """What a peer sends, taken in by an intake; nothing is answered."""

    def __init__(self, backend: str, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.budget = Budget(self.limits.in_flight_bytes)
        pool = BlockPool(self.limits.block_bytes, self.limits.in_flight_bytes)
        means = SimpleNamespace(
            limits=self.limits,
            parsers=select_parser(backend),
            pool=pool,
            budget=self.budget,
            receive_view=memoryview(bytearray(64 << 10)),
        )
        self.intake = Intake(self, means, "peer")  # type: ignore[arg-type]

    def body_granted(self) -> None:
        self.intake.granted()

    def body_gives_way(self) -> None:
        self.intake.give_way()

    def body_taken(self) -> None:
        """Nothing was held back."""

    def send(self, data: bytes) -> None:
        while data:
            window = self.intake.window or self.intake.open_window()
            count = min(len(data), len(window))
            window[:count] = data[:count]
            self.intake.received(count)
            data = data[count:]

    @property
    def requests(self) -> list[tuple[str, bytes, bytes | None]]:
        """Method, target, and all of the body if all of it is here, up to the last that is answered."""
        found = []
        for one in self.intake.arrived:
            body = one.body.take_whole() if isinstance(one.body, IncomingBody) else b""
            found.append((one.method, one.target, body))
            if not one.keep_alive:
                break
        return found

    def seen(self) -> tuple[object, ...]:
        rejection = self.intake.rejection
        reason = None if rejection is None else rejection.reason
        return self.requests, reason, self.intake.fresh


def see(backend: str, *parts: bytes) -> tuple[object, ...]:
    peer = Peer(backend)
    for part in parts:
        peer.send(part)
    return peer.seen()


@pytest.fixture(params=["httptools", "h11"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "httptools":
        pytest.importorskip("httptools", reason="httptools is not installed")
    return name


MIXTURES = {
    "a body": (
        put(b"/1", b"hello", OFFER) + get(b"/2") + get(b"/3"),
        [("PUT", b"/1", b"hello"), ("GET", b"/2", b""), ("GET", b"/3", b"")],
    ),
    "a body and one that reads like a request": (
        put(b"/1", b"hello", OFFER) + put(b"/2", SMUGGLED) + get(b"/3"),
        [("PUT", b"/1", b"hello"), ("PUT", b"/2", SMUGGLED), ("GET", b"/3", b"")],
    ),
    "each with an offer": (
        get(b"/1", OFFER) + put(b"/2", SMUGGLED, OFFER) + put(b"/3", b"x", OFFER) + get(b"/4", OFFER),
        [("GET", b"/1", b""), ("PUT", b"/2", SMUGGLED), ("PUT", b"/3", b"x"), ("GET", b"/4", b"")],
    ),
    "chunks behind": (
        put(b"/1", b"hello", OFFER) + chunked(b"/2", SMUGGLED) + put(b"/3", b"", OFFER) + get(b"/4"),
        [("PUT", b"/1", b"hello"), ("PUT", b"/2", SMUGGLED), ("PUT", b"/3", b""), ("GET", b"/4", b"")],
    ),
    "chunks before": (
        chunked(b"/1", SMUGGLED) + put(b"/2", SMUGGLED, OFFER) + get(b"/3"),
        [("PUT", b"/1", SMUGGLED), ("PUT", b"/2", SMUGGLED), ("GET", b"/3", b"")],
    ),
    "a peer that waits": (
        put(b"/1", b"hello", OFFER + AWAITED) + put(b"/2", b"", OFFER + AWAITED) + put(b"/3", SMUGGLED),
        [("PUT", b"/1", b"hello"), ("PUT", b"/2", b""), ("PUT", b"/3", SMUGGLED)],
    ),
    "the last request": (
        get(b"/1") + put(b"/2", b"hello", CLOSE) + SMUGGLED,
        [("GET", b"/1", b""), ("PUT", b"/2", b"hello")],
    ),
    "an unfinished body behind": (
        put(b"/1", b"hello", OFFER) + put(b"/2", SMUGGLED * 2)[: -len(SMUGGLED)],
        [("PUT", b"/1", b"hello"), ("PUT", b"/2", None)],
    ),
    "half a head behind": (
        put(b"/1", b"hello", OFFER) + get(b"/2")[:-1],
        [("PUT", b"/1", b"hello")],
    ),
}


@pytest.mark.parametrize(("data", "requests"), MIXTURES.values(), ids=MIXTURES.keys())
def test_an_offer_to_upgrade_hides_no_request(
    backend: str, data: bytes, requests: list[tuple[str, bytes, bytes | None]]
) -> None:
    whole = see(backend, data)
    assert whole[:2] == (requests, None)
    assert see(backend, *(data[index : index + 1] for index in range(len(data)))) == whole
    for edge in range(1, len(data)):
        assert see(backend, data[:edge], data[edge:]) == whole, edge


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize(
    ("data", "before"),
    [
        (chunked(b"/1", SMUGGLED, OFFER) + get(b"/2"), []),
        (put(b"/1", b"hello", OFFER) + chunked(b"/2", SMUGGLED, OFFER), [("PUT", b"/1", b"hello")]),
        (put(b"/1", b"hello", OFFER) + b"GET /2\r\n\r\n", [("PUT", b"/1", b"hello")]),
        (
            put(b"/1", b"hello", OFFER) + b"CONNECT /2 HTTP/1.1\r\n" + HOST + OFFER + b"\r\n",
            [("PUT", b"/1", b"hello")],
        ),
    ],
    ids=["chunks", "chunks behind a body", "nonsense behind a body", "CONNECT behind a body"],
)
def test_what_is_refused_is_refused_behind_an_offer_too(
    backend: str, data: bytes, before: list[tuple[str, bytes, bytes | None]], step: int
) -> None:
    requests, reason, fresh = see(
        backend, *(data[start : start + step] for start in range(0, len(data), step))
    )
    assert (requests, reason is not None, fresh) == (before, True, False)


def test_what_follows_an_upload_with_an_offer_is_answered(launch: Launch) -> None:
    async def echo(request: Request) -> Response:
        body = b""
        while block := await request.body.read():
            body += bytes(block)
        return Response(200, body=request.method.encode() + request.target + body)

    peer = launch(echo).connect()
    peer.send(put(b"/1", b"hello", OFFER) + put(b"/2", SMUGGLED)[: -len(SMUGGLED)])
    assert peer.read().body == b"PUT/1hello"
    peer.send(SMUGGLED + get(b"/3"))
    assert peer.read().body == b"PUT/2" + SMUGGLED
    assert peer.read().body == b"GET/3"

"""Plain PUTs: the short way and the long way give the same answers and the same objects.

Two gateways over one namespace: one takes the shortcut where it can, the other
never does.  Only Date and the number in the request id may differ.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from gateway_harness import INPUT_FILES, PAIRS, Client, aws_chunked, commit_files, noise, start
from test_gateway_payloads import BAD, GOOD, Sent

from sidegate.gateway import gateway as gateway_module
from sidegate.gateway.put_shortcut import PutShortcut
from sidegate.gateway.session import JobSession
from sidegate.gateway.traffic import BucketTraffic
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store

pytestmark = pytest.mark.parametrize("pair", PAIRS, indirect=True, ids="-".join)

BODY = noise(4096, "body")
_VARYING = re.compile(rb"(?mi)^(Date: |Last-Modified: |x-amz-request-id: |.*<RequestId>).*$")


@dataclass
class Ways:
    """The short and the long way to the same output."""

    short: Client
    long: Client
    staging: Staging
    traffic: tuple[BucketTraffic, BucketTraffic]
    taken: list[bool]
    """For each plain PUT at the short way, whether the shortcut stored it."""
    gateways: tuple[Any, Any]


@pytest.fixture(params=[False, True], ids=["etag", "md5"])
def ways(
    store: Store, pair: tuple[str, str], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ways]:
    store.repos.create("labs")
    commit = commit_files(store, "labs", INPUT_FILES)
    staging = store.stagings.begin_attempt("labs", "master")
    sessions = [JobSession(store, {"inp": commit}, staging, pipeline="p", own_reads=True) for _ in range(2)]
    taken: list[bool] = []

    class Watched(PutShortcut):
        def begin(self, *arguments: Any) -> bool:
            taken.append(super().begin(*arguments))
            return taken[-1]

        def receiver(self, *arguments: Any) -> Any:
            found = super().receiver(*arguments)
            taken.append(found is not None)
            return found

    options: dict[str, Any] = {"base_domains": ("s3.test",), "md5_tags": request.param}
    with monkeypatch.context() as patch:
        patch.setattr(gateway_module, "PutShortcut", Watched)
        short = start(store, sessions[0], pair, **options)
        patch.setattr(gateway_module, "ReadShortcut", lambda *arguments: None)
        long = start(store, sessions[1], pair, **options)
    counts = tuple(session.traffic.buckets["out"] for session in sessions)
    clients = Client(short.address), Client(long.address)
    yield Ways(*clients, staging, counts, taken, (short, long))  # type: ignore[arg-type]
    for client in clients:
        client.close()
    for gateway in (short, long):
        gateway.close()


def raw(client: Client, data: bytes) -> bytes:
    """Return an answer as it is on the wire, without what may differ."""
    connection = client.connect()
    connection.sendall(data)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(1 << 16)
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", answer)
    total = answer.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
    while len(answer) < total:
        answer += connection.recv(1 << 16)
    if b"\r\nConnection: close\r\n" in answer:
        client.close()
    return _VARYING.sub(rb"\1", answer)


def put(target: str, body: bytes = BODY, headers: dict[str, str] | None = None) -> bytes:
    return Client.render_head("PUT", target, headers or {}, body) + body


def both(ways: Ways, data: bytes) -> bytes:
    """Return the answer that both ways give."""
    answers = [raw(client, data) for client in (ways.short, ways.long)]
    assert answers[0] == answers[1]
    return answers[0]


def b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


SHA256, MD5 = hashlib.sha256(BODY), hashlib.md5(BODY)
SDK = {
    "User-Agent": "Boto3/1.43 md/Botocore#1.43",
    "X-Amz-Date": "20261101T120000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
    "amz-sdk-request": "attempt=1",
}

# How the digests that a header carries are made of another body.
_OF_BODY = {SHA256.hexdigest(), b64(MD5.digest()), b64(SHA256.digest())}
_DIGESTS: dict[str, Callable[[bytes], str]] = {
    "x-amz-content-sha256": lambda body: hashlib.sha256(body).hexdigest(),
    "content-md5": lambda body: b64(hashlib.md5(body).digest()),
    "x-amz-checksum-sha256": lambda body: b64(hashlib.sha256(body).digest()),
}

TAKEN: dict[str, tuple[str, dict[str, str]]] = {
    "bare": ("/out/k", {}),
    "unsigned": ("/out/k?x-id=PutObject", SDK | {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}),
    "signed payload": ("/out/k", SDK | {"x-amz-content-sha256": SHA256.hexdigest()}),
    "md5": ("/out/k", {"Content-MD5": b64(MD5.digest())}),
    "sdk checksum": (
        "/out/k",
        {"x-amz-checksum-sha256": b64(SHA256.digest()), "x-amz-sdk-checksum-algorithm": "SHA256"},
    ),
    "type": ("/out/a/b%20c/%C3%A9", {"Content-Type": "text/plain; charset=utf-8"}),
    "presigned": ("/out/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb&X-Amz-Signature=0", {}),
    "alias": ("/p/k", {}),
    "empty type": ("/out/k", {"Content-Type": ""}),
    "virtual host": ("/k", {"host": "out.s3.test"}),
}

LEFT: dict[str, tuple[str, dict[str, str]]] = {
    "an input": ("/inp/k", {}),
    "no such bucket": ("/nope/k", {}),
    "a bucket": ("/out", {}),
    "dot segment": ("/out/../k", {}),
    "long key": ("/out/" + "k" * 1025, {}),
    "wrong payload hash": ("/out/k", {"x-amz-content-sha256": "0" * 64}),
    "wrong md5": ("/out/k", {"Content-MD5": b64(bytes(16))}),
    "no md5": ("/out/k", {"Content-MD5": "no"}),
    "empty md5": ("/out/k", {"Content-MD5": ""}),
    "empty checksum": ("/out/k", {"x-amz-checksum-crc32": ""}),
    "wrong checksum": ("/out/k", {"x-amz-checksum-sha256": b64(bytes(32))}),
    "a checksum that is none": ("/out/k", {"x-amz-checksum-crc32": "no"}),
    "condition": ("/out/k", {"If-Match": '"none"'}),
    "user metadata": ("/out/k", {"x-amz-meta-colour": "red"}),
    "stored header": ("/out/k", {"Cache-Control": "no-store"}),
    "customer key": ("/out/k", {"x-amz-server-side-encryption-customer-algorithm": "AES256"}),
    "part number": ("/out/k?partNumber=1", {}),
    "acl": ("/out/k?acl", {}),
    "long type": ("/out/k", {"Content-Type": "text/" + "x" * 1000}),
    "last one": ("/out/k", {"Connection": "close"}),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_clients_upload_takes_the_short_way(ways: Ways, name: str) -> None:
    target, headers = TAKEN[name]
    lines = Client.render_head("PUT", target, headers, BODY)
    if "host" in headers:
        lines = lines.replace(b"host: 127.0.0.1\r\n", b"", 1)
    answer = both(ways, lines + BODY)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert ways.taken == [True]
    [(key, short)] = ways.staging.files()
    assert ways.short.get("/out/" + key.replace(" ", "%20").replace("é", "%C3%A9")).body == BODY
    assert b'etag: "%b"' % short.tag.encode() in answer
    # The long way came last, and made the same of it.
    raw(ways.short, lines + BODY)
    [(_, again)] = ways.staging.files()
    assert (again.tag, again.extents, again.attributes) == (short.tag, short.extents, short.attributes)
    for counts in ways.traffic:
        assert counts.written_keys == {key}
        assert counts.received_bytes % len(BODY) == 0 < counts.received_bytes


@pytest.mark.parametrize("name", LEFT)
def test_all_else_is_left_to_the_long_way(ways: Ways, name: str) -> None:
    target, headers = LEFT[name]
    both(ways, put(target, headers=headers))
    assert not any(ways.taken)


@pytest.mark.parametrize("size", [64 << 10, 1_500_001])
@pytest.mark.parametrize("name", TAKEN)
def test_bodies_that_are_still_to_come_take_it_too(ways: Ways, name: str, size: int) -> None:
    target, headers = TAKEN[name]
    body = noise(size, "large")
    headers = {
        key: _DIGESTS[key.lower()](body) if value in _OF_BODY else value for key, value in headers.items()
    }
    lines = Client.render_head("PUT", target, headers, body)
    if "host" in headers:
        lines = lines.replace(b"host: 127.0.0.1\r\n", b"", 1)
    answer = both(ways, lines + body)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert ways.taken == [True]
    [(key, short)] = ways.staging.files()
    assert ways.short.get("/out/" + key.replace(" ", "%20").replace("é", "%C3%A9")).body == body
    raw(ways.short, lines + body)
    [(_, again)] = ways.staging.files()
    assert (again.tag, again.extents, again.attributes) == (short.tag, short.extents, short.attributes)
    for counts in ways.traffic:
        assert counts.written_keys == {key}
        assert counts.received_bytes % size == 0 < counts.received_bytes


@pytest.mark.parametrize("name", LEFT)
def test_all_else_is_left_whatever_its_size(ways: Ways, name: str) -> None:
    target, headers = LEFT[name]
    answer = both(ways, put(target, noise(200_000, "large"), headers))
    # What only the whole body shows is found on the short way too.
    assert any(ways.taken) is name.startswith("wrong ")
    stored = name in ("user metadata", "stored header", "long type", "last one")
    assert answer.startswith(b"HTTP/1.1 200 ") is stored
    assert len(list(ways.staging.files())) == stored


@pytest.mark.parametrize("size", [4096, 200_000])
def test_bodies_that_come_late_take_the_short_way(ways: Ways, size: int) -> None:
    body = noise(size, "late")
    data = put("/out/late", body)
    for edge in (len(data) - size, len(data) - size + 1, len(data) - 1):
        connection = ways.short.connect()
        connection.sendall(data[:edge])
        assert ways.short.another().put("/out/empty", b"").status == 200
        connection.sendall(data[edge:])
        assert ways.short.read("PUT").status == 200
        assert ways.short.get("/out/late").body == body
    assert ways.taken == [True] * 6


def test_a_client_that_goes_away_in_a_body_leaves_nothing(ways: Ways) -> None:
    data = put("/out/gone", noise(200_000, "gone"))
    for edge in (len(data) - 200_000, len(data) - 100_000, len(data) - 1):
        for close in (Client.close, lambda client: client.connect().shutdown(socket.SHUT_WR)):
            ways.short.connect().sendall(data[:edge])
            close(ways.short)
            assert close is Client.close or ways.short.read("PUT").status == 400
    assert ways.short.ask("GET", "/out/gone").status == 404
    assert ways.taken == [True] * 6


def test_a_body_that_is_longer_than_it_says_is_followed_by_a_request_that_is_none(ways: Ways) -> None:
    body = noise(200_000, "long")
    for client in (ways.short, ways.long):
        client.connect().sendall(put("/out/k", body) + b"GET \0 HTTP/1.1\r\n\r\n")
        assert client.read("PUT").status == 200
        assert client.read("PUT").status == 400
        client.close()
    assert ways.short.get("/out/k").body == body
    assert ways.taken == [True]


def test_large_bodies_among_other_requests_are_answered_in_order(ways: Ways) -> None:
    one, two = noise(200_000, "one"), noise(1_500_000, "two")
    get = Client.render_head("GET", "/out/a")
    ways.short.connect().sendall(put("/out/a", one) + get + put("/out/b", two) + put("/out/a", b"x") + get)
    answers = [ways.short.read(method) for method in ("PUT", "GET", "PUT", "PUT", "GET")]
    assert [answer.status for answer in answers] == [200] * 5
    assert (answers[1].body, answers[4].body) == (one, b"x")
    assert ways.short.get("/out/b").body == two


# All but those without a length, which are not plain.
_FRAMED = [(sent.name, sent) for sent in GOOD if not sent.chunked]
_FRAMED += [(name, sent) for name, sent, _ in BAD if not sent.chunked]


@pytest.mark.parametrize(("name", "sent"), _FRAMED, ids=[name.replace(" ", "_") for name, _ in _FRAMED])
@pytest.mark.parametrize("late", [False, True])
def test_every_framing_is_taken_or_left(ways: Ways, name: str, sent: Sent, late: bool) -> None:
    """Whole with their head where they are small enough, else as they come."""
    data = put("/out/k", sent.body, sent.headers)
    begin = len(data) - len(sent.body)
    if late:
        for client in (ways.short, ways.long):
            client.connect().sendall(data[:begin])
            assert client.another().ask("GET", "/-/health").status == 200
        data = data[begin:]
    answer = both(ways, data)
    if answer.startswith(b"HTTP/1.1 200 "):
        assert ways.taken == ([True] if name != "unknown checksum" else [])
        [(_, stored)] = ways.staging.files()
        for counts in ways.traffic:
            assert counts.received_bytes == stored.size_bytes


UNSIGNED_TRAILER = {
    "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "x-amz-decoded-content-length": str(len(BODY)),
}


@pytest.mark.parametrize(
    "encoding", ["aws-chunked", "AWS-Chunked", "gzip", "gzip,aws-chunked", "aws-chunked,", ""]
)
def test_an_encoding_that_is_stored_is_left(ways: Ways, encoding: str) -> None:
    sent: list[tuple[dict[str, str], bytes]] = [({}, BODY), (UNSIGNED_TRAILER, aws_chunked(BODY))]
    for headers, body in sent:
        answer = both(ways, put("/out/k", body, headers | {"content-encoding": encoding}))
        assert answer.startswith(b"HTTP/1.1 200 ")
        [(_, stored)] = ways.staging.files()
        assert stored.size_bytes == len(BODY)
        assert stored.attribute("content-encoding") == ("gzip" if encoding.startswith("gzip") else None)
    assert ways.taken == [encoding.lower() == "aws-chunked"] * 2


@pytest.mark.parametrize("framing", ["whole", "wrong trailer", "no trailer", "cut off", "none", "and more"])
def test_small_framed_bodies_are_taken_if_they_are_right(ways: Ways, framing: str) -> None:
    digest = SHA256.digest() if framing != "wrong trailer" else bytes(32)
    line = b"x-amz-checksum-sha256:%b\r\n" % b64(digest).encode()
    body = aws_chunked(BODY, trailers=[] if framing == "no trailer" else [line])
    body = {"cut off": body[:-9], "none": BODY, "and more": body + b"more"}.get(framing, body)
    answer = both(ways, put("/out/k", body, UNSIGNED_TRAILER | {"x-amz-trailer": "x-amz-checksum-sha256"}))
    assert answer.startswith(b"HTTP/1.1 200 " if framing == "whole" else b"HTTP/1.1 400 ")
    assert ways.taken == [framing == "whole"]
    assert len(list(ways.staging.files())) == (framing == "whole")


def test_requests_that_come_together_are_answered_in_order(ways: Ways) -> None:
    connection = ways.short.connect()
    connection.sendall(
        put("/out/a", b"one")
        + put("/out/b", b"two")
        + Client.render_head("GET", "/out/a")
        + put("/out/a", b"x")
    )
    answers = [ways.short.read(method) for method in ("PUT", "PUT", "GET", "PUT")]
    assert [answer.status for answer in answers] == [200] * 4
    assert answers[2].body == b"one"
    assert ways.short.get("/out/a").body == b"x"


def test_a_write_that_fails_is_answered_as_on_the_long_way(ways: Ways, store: Store) -> None:
    store.stagings.drop(ways.staging.id)
    answer = both(ways, put("/out/a%20b"))
    assert ways.taken == [True]
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"<Resource>/out/a%20b</Resource>" in answer


def test_an_unforeseen_failure_is_answered(ways: Ways, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(store.chunks, "put_many", broken)
        assert both(ways, put("/out/k")).startswith(b"HTTP/1.1 500 ")
    assert both(ways, put("/out/k")).startswith(b"HTTP/1.1 200 ")


def test_an_answer_that_cannot_be_made_is_not_waited_for(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("sidegate.gateway.put_shortcut.PutShortcut._outcome", broken)
    assert ways.short.exchange(put("/out/k")).status == 500
    assert ways.taken == [True]


@contextmanager
def catalog_held(store: Store) -> Iterator[None]:
    """Let no write be committed meanwhile."""
    entered, go_on = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        entered.set()
        assert go_on.wait(30)

    blocker = threading.Thread(target=store.database.write, args=(wait,))
    blocker.start()
    try:
        assert entered.wait(30)
        yield
    finally:
        go_on.set()
        blocker.join()


def begin_put(ways: Ways) -> None:
    """Send a PUT, and return when the short way has taken it."""
    ways.short.connect().sendall(put("/out/k"))
    # Another request is answered after the first has been taken.
    while not ways.taken:
        ways.short.another().get("/-/health")


def test_a_client_that_goes_away_is_stored_for_all_the_same(ways: Ways, store: Store) -> None:
    with catalog_held(store):
        begin_put(ways)
        ways.short.close()
        closing = threading.Thread(target=ways.gateways[0].close)
        closing.start()
    closing.join()
    assert [key for key, _ in ways.staging.files()] == ["k"]


def test_a_gateway_that_drains_answers_what_it_is_storing(ways: Ways, store: Store) -> None:
    with catalog_held(store):
        begin_put(ways)
        closing = threading.Thread(target=ways.gateways[0].close)
        closing.start()
        idle = ways.long.another()
        assert idle.get("/-/health").status == 200
        while True:  # until the gateway refuses connections, so that it is draining
            try:
                ways.short.another().connect().close()
            except OSError:
                break
    answer = ways.short.read("PUT")
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    closing.join()

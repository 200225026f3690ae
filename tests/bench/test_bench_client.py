"""The client that loads and cleans up, before servers that answer in strange ways."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from sidegate.bench import client as module
from sidegate.bench.client import Client, Refused, Unanswered
from sidegate.bench.endpoints import Endpoint
from sidegate.bench.signing import Signer
from sidegate.errors import Unavailable

Answer = Callable[[socket.socket], None]
Ask = Callable[[Answer], Client]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Return a client of a server that answers each request in one way."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    clients = []

    def serve(answer: Answer) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    while connection.recv(65536):
                        answer(connection)

    def start(answer: Answer) -> Client:
        threading.Thread(target=serve, args=(answer,), daemon=True).start()
        signer = Signer(f"127.0.0.1:{port}", "none", None, time.time)
        clients.append(Client(Endpoint("odd", "127.0.0.1", port), signer))
        return clients[-1]

    yield start
    for one in clients:
        one.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def saying(body: bytes) -> Answer:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    return lambda connection: connection.sendall(head + body)


def drip(connection: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.01)


def test_an_answer_that_trickles_in_is_not_waited_for_any_longer(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    with pytest.raises(Unavailable, match=r"an answer took more than 0\.2 s"):
        ask(drip).ask("GET", "/b/k")


def test_silence_ends(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.05)
    with pytest.raises(Unavailable, match=r"nothing came for 0\.05 s"):
        ask(lambda connection: None).ask("GET", "/b/k")


def test_a_silent_server_is_asked_once(ask: Ask) -> None:
    asked: list[float] = []

    def answer_once(connection: socket.socket) -> None:
        asked.append(time.monotonic())
        if len(asked) == 1:
            saying(b"")(connection)

    client = ask(answer_once)
    client.ask("GET", "/b/k")
    with pytest.raises(Unanswered, match=r"nothing came for 0\.05 s"):
        client.ask("GET", "/b/k", silence_seconds=0.05)
    assert len(asked) == 2


def test_the_rest_of_an_interrupted_answer_is_not_taken_for_the_next(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ask(saying(b"first"))
    with monkeypatch.context() as patched:
        patched.setattr(module, "_whole_body", interrupt)
        with pytest.raises(KeyboardInterrupt):
            client.ask("GET", "/b/k")
    assert client.ask("GET", "/b/k").body == b"first"


def interrupt(_: object) -> bytes:
    raise KeyboardInterrupt


def test_an_endless_answer_is_not_kept(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)

    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(4 << 20))

    with pytest.raises(Unavailable, match="1 MiB or more"):
        ask(pour).ask("GET", "/b/k")


def test_an_answer_that_is_cut_short_is_none(ask: Ask) -> None:
    def cut(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        connection.shutdown(socket.SHUT_RDWR)

    with pytest.raises(Unavailable, match="IncompleteRead"):
        ask(cut).ask("GET", "/b/k")


def test_what_is_no_http_is_called_so(ask: Ask) -> None:
    with pytest.raises(Unavailable, match="what it says is no HTTP"):
        ask(lambda connection: connection.sendall(b"\x15\x03\xff\x00\n" * 9)).ask("GET", "/b/k")


@pytest.mark.parametrize(
    "body",
    [
        b"<Error><Code>A",
        b'<!DOCTYPE a [<!ENTITY b "c">]><Error><Code>&b;</Code></Error>',
        b'<?xml version="1.0" encoding="none"?><Error/>',
        b'<?xml version="1.0" encoding="shift_jis"?><Error/>',
        b"\xff\xfe\x00",
    ],
)
def test_a_body_that_cannot_be_read_has_no_elements(ask: Ask, body: bytes) -> None:
    assert ask(saying(body)).ask("GET", "/b").error() == "200"


def test_a_listing_that_does_not_go_on_is_told(ask: Ask) -> None:
    page = b"<R><Contents><Key>a</Key></Contents><NextContinuationToken>t</NextContinuationToken></R>"
    with pytest.raises(Refused, match="from the same key again and again"):
        list(ask(saying(page)).keys("b"))


def test_uploads_without_an_id_are_passed_over(ask: Ask) -> None:
    listing = (
        b"<R><Upload/><Upload><UploadId>1</UploadId><Key>a</Key></Upload><Upload><Key>b</Key></Upload></R>"
    )
    assert ask(saying(listing)).open_uploads("b") == [("a", "1")]

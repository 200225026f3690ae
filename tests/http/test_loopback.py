"""What loopback sends is not paced; what other addresses send is the system's choice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidegate.http.loopback import connect_unpaced, prefer_unpaced
from sidegate.http.message import Request, Response
from sidegate.http.server import Server
from sidegate.http.supervisor import listen

ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")

needs_choice = pytest.mark.skipif(
    not ALLOWED.exists() or "reno" not in ALLOWED.read_text().split(),
    reason="this system has no choice of congestion controls",
)


def congestion_of(one: socket.socket) -> str:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


@pytest.fixture
def system_choice() -> Iterator[str]:
    with socket.socket() as plain:
        yield congestion_of(plain)


@needs_choice
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_what_a_loopback_listener_accepts_is_unpaced(family: int, host: str) -> None:
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError as error:
        pytest.skip(f"{host} is not to be had here: {error}")
    with listener:
        prefer_unpaced(listener)
        with socket.create_connection(listener.getsockname()[:2]):
            accepted, _ = listener.accept()
            with accepted:
                assert congestion_of(accepted) == "reno"


@needs_choice
def test_a_connection_on_loopback_sends_unpaced() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        connect_unpaced(listener.getsockname(), 10.0) as connection,
    ):
        assert connection.gettimeout() == 10.0
        assert congestion_of(connection) == "reno"


@needs_choice
def test_other_addresses_keep_the_choice_of_the_system(system_choice: str) -> None:
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))
        prefer_unpaced(everywhere)
        assert congestion_of(everywhere) == system_choice


def test_a_socket_without_an_address_is_left_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "socket"))
        prefer_unpaced(local)


@needs_choice
def test_a_server_and_its_workers_listen_so() -> None:
    async def answer(request: Request) -> Response:
        raise AssertionError(request)

    async def congestion() -> str:
        server = await Server.start(answer, "127.0.0.1", 0)
        assert server._listener is not None
        try:
            return congestion_of(server._listener.sockets[0])
        finally:
            await server.drain(0)

    assert asyncio.run(congestion()) == "reno"
    (listener,) = listen("127.0.0.1", 0)
    with listener:
        assert congestion_of(listener) == "reno"

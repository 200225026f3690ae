"""Twins that send to sockets, and a socket to send to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from contract_harness import load_twin


@pytest.fixture(params=["native", "pure"])
def file_pipe(request: pytest.FixtureRequest) -> Any:
    """Each twin of the module in turn."""
    return load_twin(request.param, "file_pipe")


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection: one to send to, which does not block, and one to receive from."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.setblocking(False)
    far.settimeout(30)
    with near, far:
        yield near, far

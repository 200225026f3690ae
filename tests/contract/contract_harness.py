"""What contract tests share: one twin or the other, and all that a socket was sent."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from sidegate.native import select


def load_twin(twin: str, module: str) -> Any:
    """Return a module of the `native` or the `pure` twins; skips where it is not compiled."""
    try:
        return select({"native": "require", "pure": "off"}[twin])[1][module]
    except ModuleNotFoundError as absent:
        pytest.skip(f"not compiled: {absent}")


def received(far: socket.socket, count: int) -> bytes:
    """Receive so many bytes, less at the end of the connection."""
    data = bytearray()
    while len(data) < count and (piece := far.recv(count - len(data))):
        data += piece
    return bytes(data)

"""The plain answer to what cannot be served, for want of a better one."""

from __future__ import annotations

from collections.abc import Callable

from sidegate.http.errors import Reason
from sidegate.http.message import Response

Reject = Callable[[int, Reason], Response]


def plain_rejection(status: int, reason: Reason) -> Response:
    """Say the reason in one line of text."""
    return Response(status, [(b"content-type", b"text/plain; charset=utf-8")], f"{reason.value}\n".encode())

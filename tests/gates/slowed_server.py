"""The measured process with slowdowns made up: `do 1 slow down` and `do 1 sync more`."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import IO, Any

from gates import server
from sidegate.gateway.gateway import Gateway
from sidegate.gateway.put_shortcut import PutShortcut

BURNT_ROUNDS = 50

answer, begin = Gateway.handle, PutShortcut.begin
synced: list[IO[bytes]] = []


def burn(*event: object) -> None:
    """Waste instructions at each call that Python makes."""
    for _ in range(BURNT_ROUNDS):
        pass


def slow_down() -> None:
    """Make every call on the loop's thread slower, from now on."""
    sys.setprofile(burn)


def sync_more() -> None:
    """Have each request wait for the disk once more, from now on."""
    synced.append(tempfile.TemporaryFile())  # noqa: SIM115 - kept open to the end


def wait_for_disk() -> None:
    """Sync where that was asked for."""
    for file in synced:
        os.fdatasync(file.fileno())


def handle(self: Gateway, request: Any) -> Any:
    """Answer as always, after that."""
    wait_for_disk()
    return answer(self, request)


def begin_put(self: PutShortcut, *arguments: Any) -> bool:
    """Store as always, after that."""
    wait_for_disk()
    return begin(self, *arguments)


if __name__ == "__main__":
    Gateway.handle = handle  # type: ignore[method-assign]
    PutShortcut.begin = begin_put  # type: ignore[method-assign, assignment]
    server.main(sys.argv[1:], {"slow down": slow_down, "sync more": sync_more})

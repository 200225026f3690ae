"""One worker of a server that has several: connections to it, its process, its core.

Knows of a worker what the health check tells, and what the kernel shows.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from sidegate.errors import Unavailable
from sidegate.http.loopback import connect_unpaced

CONNECT_SECONDS: Final = 10.0
TRIES_PER_CONNECTION: Final = 64
"""New connections go to the worker that has fewest, so each of a few is met soon."""

_WORKER_NUMBER: Final = 4
"""Where the number is among the words of a worker's command."""


def connect_to_worker(address: tuple[str, int], worker: str, count: int) -> list[socket.socket]:
    """Return connections that one worker serves; raises OSError, Unavailable.

    Those that others took stay open until all are found, so that the next one goes elsewhere.
    """
    found: list[socket.socket] = []
    others: list[socket.socket] = []
    try:
        while len(found) < count:
            if len(found) + len(others) >= count * TRIES_PER_CONNECTION:
                raise Unavailable(f"worker {worker} of the server at {address} takes no connections")
            connection, served_by = _ask_who_serves(address)
            (found if served_by == worker else others).append(connection)
    except BaseException:
        close_all(found)
        raise
    finally:
        close_all(others)
    return found


def _ask_who_serves(address: tuple[str, int]) -> tuple[socket.socket, str | None]:
    connection = HTTPConnection(*address, timeout=CONNECT_SECONDS)
    try:
        connection.sock = connect_unpaced(address, CONNECT_SECONDS)
        connection.request("GET", "/-/health")
        answer = connection.getresponse()
        answer.read()
    except HTTPException as error:
        connection.close()
        raise Unavailable(f"the server at {address} has no health check: {error}") from error
    except BaseException:
        connection.close()
        raise
    # http.client would close what the answer says is to be closed.
    if not isinstance(connection.sock, socket.socket):
        raise Unavailable(f"the server at {address} keeps no connection open")
    return connection.sock, answer.getheader("x-sidegate-worker")


def close_all(sockets: list[socket.socket]) -> None:
    """Close connections."""
    for one in sockets:
        one.close()


def find_workers(pid: int) -> dict[str, int]:
    """Return the process of each worker that a server has started, by number."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    words = {int(child): Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0") for child in children}
    return {line[_WORKER_NUMBER].decode(): child for child, line in words.items()}


def move_to_cores(pid: int, cores: set[int]) -> None:
    """Let all threads of a process, and those that they start, run on these cores alone."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread), cores)

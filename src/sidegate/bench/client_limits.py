"""What the client itself may have open: where that is at its end, no server is to blame."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sidegate.bench.cells import Cell
from sidegate.descriptors import descriptor_limits, raise_descriptor_limit
from sidegate.errors import Invalid, SidegateError, Unavailable
from sidegate.native import describe

_PER_SERVER: Final = 4
"""A client of what is not measured, another that checks, and the pipe of a server that the run starts."""

_OTHERS: Final = 24
"""What is polled with, a connection that replaces another, files, and modules that are loaded late."""

_OPEN_USUALLY: Final = 16
"""Taken to be open where nobody can tell."""


class ClientExhausted(Unavailable):
    """The client's process or machine has no more to connect with: an end of the run, not a wrong answer."""


def allow_connections(cells: Sequence[Cell], connections: int | None, server_count: int) -> None:
    """Allow this process what the cells keep open; raises Invalid where it may not have that.

    `connections` None: as many as each cell says.
    """
    limit = raise_descriptor_limit()
    # The plain loop has a descriptor of its own for each that it is given.
    each = 1 if describe().implementation == "native" else 2
    others = _open_now() + _OTHERS + _PER_SERVER * server_count
    largest = max(cells, key=lambda cell: cell.connections)
    wanted = connections or largest.connections
    needed = others + each * wanted
    if needed <= limit:
        return
    fitting = (limit - others) // each
    what = (
        f"--concurrency {connections}"
        if connections
        else f"the cell {largest.name}, with {wanted} connections,"
    )
    less = f", or use --concurrency {fitting} or less" if fitting > 0 else ""
    raise Invalid(
        f"{what} needs {needed} open files, and this process may have {limit} (RLIMIT_NOFILE)",
        remedy=f"allow more, as with `ulimit -n {needed}`{less}",
        needed=needed,
        limit=limit,
    )


def raise_exhausted(error: OSError, url: str) -> None:
    """Raise ClientExhausted where an error of connecting to a server is the client's, else return."""
    say = _EXHAUSTIONS.get(error.errno or 0)
    if say is not None:
        message, remedy = say(url)
        raise ClientExhausted(message, remedy=remedy, errno=error.errno) from error


def fault_of(error: SidegateError) -> str:
    """Return what an error says of a server; raises it again where it is the client's."""
    if isinstance(error, ClientExhausted):
        raise error
    return error.message


def _open_now() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return _OPEN_USUALLY


def _too_many_of_process(url: str) -> tuple[str, str]:
    limit, _ = descriptor_limits()
    return (
        f"this process has all {limit} files open that it may have, and none is left to connect to {url}",
        "allow more with `ulimit -n`, or use a smaller --concurrency",
    )


def _too_many_of_machine(url: str) -> tuple[str, str]:
    return (
        f"this machine has no files left to connect to {url} with",
        "raise fs.file-max, or use a smaller --concurrency",
    )


def _no_ports(url: str) -> tuple[str, str]:
    return (
        f"this machine has no address and port left to connect to {url} from",
        "widen net.ipv4.ip_local_port_range, or use a smaller --concurrency; "
        "what was closed keeps its port for a minute, so a server that keeps no connections takes many",
    )


_EXHAUSTIONS: Final[Mapping[int, Callable[[str], tuple[str, str]]]] = {
    errno.EMFILE: _too_many_of_process,
    errno.ENFILE: _too_many_of_machine,
    errno.EADDRNOTAVAIL: _no_ports,
}
"""connect(2), socket(2)."""

"""Whether a process is the server at an endpoint, as far as the kernel tells.

What the kernel shows of the network is that of this network namespace: of a server
in a container with its own, nothing is known here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from sidegate.bench.endpoints import Endpoint
from sidegate.bench.processes import ProcessTree

_PROC = Path("/proc")
_LISTENING: Final = "0A"
"""TCP_LISTEN, as proc(5) has it in /proc/net/tcp."""

_ADDRESS, _STATE, _INODE = 1, 3, 9
"""Columns of /proc/net/tcp."""


def strangers(endpoints: Sequence[Endpoint], pids: Mapping[str, int]) -> Iterator[str]:
    """Say which processes do not listen where their endpoint is; raises NotFound, Unsupported.

    Such a one may serve all the same, behind a proxy.
    """
    for endpoint in endpoints:
        pid = pids.get(endpoint.label)
        if pid is not None and listens(ProcessTree(pid).members(), endpoint.port) is False:
            yield (
                f"--pid {endpoint.label}={pid}: neither process {pid} nor any that it started listens at "
                f"port {endpoint.port}, where {endpoint.url} is; unless a proxy does for it, its CPU time "
                f"says nothing of the server: `ss -ltnp sport = :{endpoint.port}` shows who listens"
            )


def listens(pids: Iterable[int], port: int) -> bool | None:
    """Whether one of some processes has a socket that listens at a port; None where nobody can tell."""
    try:
        listeners = {f"socket:[{inode}]" for inode in _listeners(port)}
        here = os.readlink(_PROC / "self/ns/net")
    except (OSError, ValueError, IndexError):
        return None
    known = "socket:[0]" not in listeners  # whose socket that is, the kernel does not say
    for pid in pids:
        try:
            if not listeners.isdisjoint(_open_files(pid)):
                return True
            known = known and os.readlink(_PROC / str(pid) / "ns/net") == here
        except FileNotFoundError:  # it has ended meanwhile
            continue
        except OSError:  # not ours to look into
            known = False
    return False if known else None


def _listeners(port: int) -> list[str]:
    """Return the inodes of the sockets that listen at a port; raises OSError."""
    lines = (_PROC / "net/tcp").read_text().splitlines()[1:]
    if (_PROC / "net/tcp6").exists():  # not without IPv6
        lines += (_PROC / "net/tcp6").read_text().splitlines()[1:]
    found = [line.split() for line in lines]
    return [
        columns[_INODE]
        for columns in found
        if columns[_STATE] == _LISTENING and int(columns[_ADDRESS].rpartition(":")[2], 16) == port
    ]


def _open_files(pid: int) -> set[str]:
    """Return what the descriptors of a process lead to; raises OSError where that is not to be seen."""
    folder = _PROC / str(pid) / "fd"
    found = set()
    for name in os.listdir(folder):
        try:
            found.add(os.readlink(folder / name))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found

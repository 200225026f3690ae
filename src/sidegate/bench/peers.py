"""Other S3 servers that are installed here, and how each is started.

`bench/peers.sh` installs those that package registries have.  What is said of
them was read in their sources (2026-11).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sidegate.bench.servers import ServerProcess, free_port
from sidegate.bench.signing import Keys

KEYS: Final = Keys("sidegatebench", "sidegate-bench-secret")
"""Of servers that a run starts and stops itself, on loopback."""

ESSENTIAL: Final = "versitygw"
"""Without it there is no claim to be ahead: it is the fastest peer that can always be installed."""

_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Peer:
    """How a server is started over a folder on a port.

    `anonymous` is how without authentication, where it offers that.  Options
    are such that it is as fast as it can be: connections are kept.
    """

    name: str
    program: str
    command: Callable[[str, int, Path], Sequence[str]]
    anonymous: Callable[[str, int, Path], Sequence[str]] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    version: tuple[str, ...] = ("--version",)
    durability: str = "does not sync what it acknowledges"
    is_durable: bool = False

    def path(self) -> str | None:
        """Return where its program is, None when it is not installed."""
        return shutil.which(self.program)

    def find_version(self) -> str:
        """Return what the program says of its version."""
        path = self.path() or self.program
        try:
            done = subprocess.run(
                [path, *self.version], capture_output=True, text=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        lines = (done.stdout or done.stderr).strip().splitlines()
        return " ".join(lines[0].split()) if lines else ""

    def folder(self, label: str, folder: Path) -> Path:
        """Return what it stores in, below the folder of a run."""
        return folder / label.replace(" ", "-").replace(",", "")

    def start(self, label: str, folder: Path, core: int, *, signed: bool = True) -> ServerProcess:
        """Start it over an empty folder; raises Unavailable."""
        data = self.folder(label, folder)
        data.mkdir()
        port = free_port()
        make = self.command if signed else self.anonymous or self.command
        command = make(self.path() or self.program, port, data)
        return ServerProcess(
            label,
            command,
            core,
            port=port,
            environment=self.environment | {"HOME": str(folder)},
            log=folder / f"{data.name}.log",
        )


def _minio(program: str, port: int, data: Path) -> list[str]:
    return [program, "server", "--quiet", "--address", f"{_LOOPBACK}:{port}", str(data)]


def _versitygw(program: str, port: int, data: Path) -> list[str]:
    return [program, "--keep-alive", "--quiet", "--port", f"{_LOOPBACK}:{port}", "posix", str(data)]


def _rclone(program: str, port: int, data: Path) -> list[str]:
    return [*_rclone_anonymous(program, port, data), "--auth-key", f"{KEYS.access_key},{KEYS.secret_key}"]


def _rclone_anonymous(program: str, port: int, data: Path) -> list[str]:
    return [program, "serve", "s3", "--addr", f"{_LOOPBACK}:{port}", str(data)]


def _s3s(program: str, port: int, data: Path) -> list[str]:
    keys = ["--access-key", KEYS.access_key, "--secret-key", KEYS.secret_key]
    return [*_s3s_anonymous(program, port, data)[:-1], *keys, str(data)]


def _s3s_anonymous(program: str, port: int, data: Path) -> list[str]:
    return [program, "--host", _LOOPBACK, "--port", str(port), str(data)]


PEERS: Final[tuple[Peer, ...]] = (
    Peer(
        "minio",
        "minio",
        _minio,
        environment={"MINIO_ROOT_USER": KEYS.access_key, "MINIO_ROOT_PASSWORD": KEYS.secret_key},
        durability="syncs the data of every write",
        is_durable=True,
    ),
    Peer(
        "versitygw",
        "versitygw",
        _versitygw,
        environment={"ROOT_ACCESS_KEY": KEYS.access_key, "ROOT_SECRET_KEY": KEYS.secret_key},
    ),
    Peer("s3s-fs", "s3s-fs", _s3s, _s3s_anonymous),
    Peer("rclone", "rclone", _rclone, _rclone_anonymous, version=("version",)),
)


def installed() -> list[Peer]:
    """Return the peers whose programs are on PATH."""
    return [peer for peer in PEERS if peer.path() is not None]

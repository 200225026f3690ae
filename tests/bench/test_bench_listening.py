"""Whether a process is the server at an endpoint: asked of the kernel, and refused only where that knows."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from memory_s3 import MemoryS3

from sidegate.bench import listening
from sidegate.bench.endpoints import parse_endpoint
from sidegate.bench.listening import listens, strangers
from sidegate.bench.processes import ProcessTree
from sidegate.cli.main import sidegate
from sidegate.errors import NotFound

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="no /proc of Linux")

STRANGER = [sys.executable, "-c", "import sys; sys.stdin.read()"]
LISTENER = [
    sys.executable,
    "-c",
    "import socket, sys; one = socket.create_server(('127.0.0.1', 0)); "
    "print(one.getsockname()[1], flush=True); sys.stdin.read()",
]
PARENT = [sys.executable, "-c", f"import subprocess; subprocess.run({LISTENER!r})"]


@pytest.fixture
def stranger() -> Iterator[int]:
    with subprocess.Popen(STRANGER, stdin=subprocess.PIPE) as process:
        yield process.pid


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_who_listens_is_found(family: socket.AddressFamily, host: str, stranger: int) -> None:
    if family == socket.AF_INET6 and not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    with socket.create_server((host, 0), family=family) as listener:
        port = listener.getsockname()[1]
        assert listens([os.getpid()], port) is True
        assert listens([stranger, os.getpid()], port) is True
        assert listens([stranger], port) is False


def test_a_connection_to_a_port_is_no_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        connection = socket.create_connection(("127.0.0.1", port))
    with connection:
        assert listens([os.getpid()], port) is False


@pytest.mark.parametrize("command", [LISTENER, PARENT], ids=["itself", "child"])
def test_the_listener_may_be_one_that_it_started(command: list[str]) -> None:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert list(strangers([parse_endpoint(f"a=http://127.0.0.1:{port}")], {"a": process.pid})) == []


def test_of_another_process_is_said_that_it_is_no_server_there(stranger: int) -> None:
    server = MemoryS3()
    words = [f"a={server.url}", "--sign", "none", "--scale", "smoke", "--cells", "head"]
    try:
        done = CliRunner().invoke(sidegate, ["bench", "s3", *words, "--pid", f"a={stranger}"])
    finally:
        server.close()
    port = server.server_address[1]
    assert done.exit_code == 0
    assert f"--pid a={stranger}: neither process {stranger} nor any that it started" in done.stderr
    assert f"listens at port {port}, where {server.url} is; unless a proxy does" in done.stderr


def test_what_cannot_be_seen_is_let_pass(
    stranger: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(pid: int) -> set[str]:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(listening, "_open_files", forbidden)
        assert listens([stranger], 1) is None
    with monkeypatch.context() as patch:  # of a container with a network of its own
        patch.setattr(os, "readlink", lambda path: f"{path}")
        assert listens([stranger], 1) is None
    with monkeypatch.context() as patch:  # whose the socket is that listens there, is not told
        patch.setattr(listening, "_listeners", lambda port: ["0"])
        assert listens([stranger], 1) is None
    monkeypatch.setattr(listening, "_PROC", tmp_path)
    assert listens([stranger], 1) is None
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text("sl local_address\n 0: other\n")
    assert listens([stranger], 1) is None


def test_a_process_that_has_ended_listens_nowhere() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert listens([done.pid], 1) is False
    with pytest.raises(NotFound):
        list(strangers([parse_endpoint("a=http://127.0.0.1:1")], {"a": done.pid}))
    assert list(strangers([parse_endpoint("a=http://127.0.0.1:1")], {"b": done.pid})) == []


def test_a_thread_of_the_kernel_is_no_server() -> None:
    if os.geteuid() != 0 or not Path("/proc/2/fd").exists() or ProcessTree(2).resident_bytes():
        pytest.skip("process 2 is no thread of the kernel here, or not to be looked into")
    (line,) = strangers([parse_endpoint("a=http://127.0.0.1:1")], {"a": 2})
    assert line.startswith("--pid a=2: ")

"""`sidegate bench self`: that every server starts, answers right and is compared; not how fast it is."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from sidegate.bench.cells import choose
from sidegate.bench.corpus import scale_named
from sidegate.bench.endpoints import parse_endpoint
from sidegate.bench.peers import PEERS, installed
from sidegate.bench.processes import ProcessTree
from sidegate.bench.room import NoRoom, Tenant, explained_full_disk
from sidegate.bench.rounds import Settings
from sidegate.bench.servers import Cores, ServerProcess
from sidegate.bench.signing import Signer
from sidegate.bench.target import Target
from sidegate.cli.main import sidegate
from sidegate.errors import NotFound, Unavailable

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="servers are pinned to cores, which works on Linux only"
)

SHORT = ("--scale", "smoke", "--duration", "20ms", "--rounds", "1", "--concurrency", "2")


def bench_self(*words: str) -> Result:
    return CliRunner().invoke(sidegate, ["bench", "self", *SHORT, *words])


@pytest.mark.slow
def test_every_cell_of_ours_is_right(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    done = bench_self("--no-peers", "--folder", str(tmp_path), "--json", str(tmp_path / "run.json"), "--all")
    assert done.exit_code == 0, done.output
    document = json.loads((tmp_path / "run.json").read_text())
    assert [r for r in document["results"] if r["failures"]] == []
    labels = {
        "sidegate",
        "sidegate, durable",
        "sidegate serve",
        "sidegate serve, a commit",
        "bare",
        "bare, writes",
        "bare, overwrites",
        "zstd",
    }
    assert {result["endpoint"] for result in document["results"]} == labels
    judged = {(goal["cell"], goal["verdict"] == "not compared") for goal in document["goals"]}
    assert {cell for cell, missing in judged if missing} <= {
        "head", "get-4k", "range-64k", "range-1m", "get-8m", "get-64m", "put-1m", "put-64m", "multipart-64m"
    }  # fmt: skip
    assert "versitygw took no part, so nothing is claimed about peers" in done.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "run.json"]
    assert os.sched_getaffinity(0) == before


def test_a_run_that_is_told_to_end_stops_its_servers(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "sidegate", "bench", "self", "--no-peers", "--scale", "smoke",
        "--cells", "head", "--duration", "60s", "--folder", str(tmp_path),
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    try:
        said = list(itertools.takewhile(lambda line: line != b"HEAD 4 KiB\n", process.stderr))
        started = ProcessTree(process.pid).members()[1:]
        process.terminate()
        _, rest = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, (said, rest)
    assert started
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not installed(), reason="no other S3 server is on PATH; bench/peers.sh installs some")
@pytest.mark.slow
def test_peers_that_are_there_take_part(tmp_path: Path) -> None:
    done = bench_self("--cells", "get-4k,put-4k", "--json", str(tmp_path / "run.json"))
    assert done.exit_code == 0, done.output
    endpoints = json.loads((tmp_path / "run.json").read_text())["endpoints"]
    peers = {endpoint["label"]: endpoint for endpoint in endpoints if endpoint["role"] == "peer"}
    assert {peer.name for peer in installed()} <= peers.keys()
    for peer in PEERS:
        if peer.name in peers:
            assert peers[peer.name]["signatures"] == "verified"


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_disk_with_too_little_room_is_refused_before_anything_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(2 << 30, 0, 1 << 20))
    done = bench_self("--cells", "put-64m", "--no-peers", "--folder", str(tmp_path))
    assert done.exit_code != 0
    said = rf"the run may take \d+ MiB of disk in {re.escape(str(tmp_path))}, and there is 1 MiB free"
    assert re.search(said, done.stderr)
    assert "--folder or TMPDIR" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_becomes_full_all_the_same_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bare.bin"
    said = r"may take 1\.0 GiB of disk .* the disk became full while .*bare\.bin was written"
    with pytest.raises(NoRoom, match=said), explained_full_disk(tmp_path, 1 << 30):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))
    with (
        pytest.raises(NoRoom, match=r"the disk became full \(name a folder"),
        explained_full_disk(tmp_path, 1 << 30),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(PermissionError), explained_full_disk(tmp_path, 1):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_run_needs_what_its_cells_store() -> None:
    settings = Settings(scale_named("full"), 0.5, 3)

    def needed(name: str, *, keeps: bool) -> int:
        return Tenant(choose([name]), keeps).needed_bytes(settings)

    assert needed("get-8m", keeps=True) == pytest.approx(8 << 20, rel=0.01)
    assert needed("put-64m", keeps=False) == 512 << 20, "each key is written again"
    assert needed("put-64m", keeps=True) == (512 << 20) * 3.5, "warming, three rounds, and what is read back"
    assert needed("put-4k", keeps=False) < 512 << 20
    assert needed("put-*", keeps=False) == 3 * (512 << 20), (
        "it goes before the next that takes no turns with it"
    )
    assert needed("copy-64m", keeps=True) == pytest.approx(64 << 20, rel=0.01), "a copy takes no room"
    assert needed("copy-64m", keeps=False) < 2 << 30


def script(path: Path, text: str) -> None:
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_a_peer_that_does_not_start_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "versitygw", "import sys; sys.exit('no licence')")
    monkeypatch.setenv("PATH", str(tmp_path))
    done = bench_self("--cells", "get-4k")
    assert done.exit_code == 0, done.output
    assert "versitygw takes no part: versitygw did not start: no licence" in done.stderr
    assert "nothing is claimed about peers" in done.stdout


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_peers_listen_on_loopback_only(peer: object) -> None:
    makes: list[Callable[..., list[str]]] = [peer.command]  # type: ignore[attr-defined]
    if peer.anonymous is not None:  # type: ignore[attr-defined]
        makes.append(peer.anonymous)  # type: ignore[attr-defined]
    for make in makes:
        assert "127.0.0.1" in shlex.join(make("program", 4711, Path("data")))


def test_a_server_that_says_nothing_did_not_start(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="x did not start: it said nothing"):
        ServerProcess("x", [sys.executable, "-c", "pass"], Cores.choose().server, log=tmp_path / "log")


def test_a_process_tree_counts_its_children() -> None:
    tree = ProcessTree(os.getppid())
    assert os.getpid() in tree.members()
    assert tree.resident_bytes() > 0
    before = tree.cpu_seconds()
    sum(range(1_000_000))
    assert tree.cpu_seconds() > before


BUSY_SECONDS = 0.1
BUSY_THEN_IDLE = f"""
import time
until = time.process_time() + {BUSY_SECONDS}
print("here", flush=True)
while time.process_time() < until:
    pass
time.sleep(60)
"""


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_until_stopped(pid: int) -> None:
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


@pytest.mark.alone
def test_a_server_that_is_not_measured_rests() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY_THEN_IDLE], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()
            tree = ProcessTree(server.pid)
            endpoint = parse_endpoint("http://127.0.0.1:1")
            target = Target(endpoint, Signer(endpoint.authority, "none", None, time.time), process=tree)
            with replace(target, pausable=True).awake():
                assert state_of(server.pid) != "T"
            wait_until_stopped(server.pid)
            assert tree.cpu_seconds() >= BUSY_SECONDS, "it was stopped with work under way"
            with replace(target, pausable=True).awake():
                assert state_of(server.pid) != "T"
            tree.resume()
            with target.awake():
                pass
            assert state_of(server.pid) != "T", "it is not ours to stop"
        finally:
            server.kill()


def test_a_server_that_never_rests_is_not_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as server:
        try:
            assert not ProcessTree(server.pid).settle(0.2)
        finally:
            server.kill()


def test_a_process_that_is_not_there() -> None:
    with pytest.raises(NotFound, match="no process"):
        ProcessTree(2**22 + 1)


def test_without_cores_of_their_own_it_is_refused_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    result = CliRunner().invoke(sidegate, ["bench", "self", "--scale", "smoke", "--rounds", "1"])
    assert result.exit_code == 2
    assert "this system cannot do" in result.output
    assert "sidegate bench s3" in result.output

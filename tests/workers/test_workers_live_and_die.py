"""Workers that are killed, drained or orphaned, and how connections are shared among them."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from http.client import HTTPException
from pathlib import Path

import pytest
from workers_harness import Client, Serving, processes, serving, until

from sidegate.pfs.checking import check
from sidegate.pfs.store import Store

pytestmark = pytest.mark.slow

ACCEPTED_UNEVENNESS = 1.2
"""The busiest worker has at most a fifth more connections than the idlest."""


def gone(pid: int) -> bool:
    return all(pid != one for one, _, _ in processes())


def test_connections_are_shared_evenly_also_after_some_have_ended(three: Serving) -> None:
    clients = [three.client() for _ in range(24)]
    counts = Counter(client.worker for client in clients)
    assert set(counts) == {"1", "2", "3"}
    assert max(counts.values()) <= min(counts.values()) * ACCEPTED_UNEVENNESS
    for client in clients:
        if client.worker != "2":
            client.close()
    kept = [client for client in clients if client.worker == "2"]

    def is_even() -> bool:
        """Whether the next connections go to those that had to close theirs."""
        extra = [three.client() for _ in range(2 * len(kept))]
        shares = Counter(client.worker for client in [*kept, *extra])
        for client in extra:
            client.close()
        return max(shares.values()) <= min(shares.values()) * ACCEPTED_UNEVENNESS

    until(is_even, "an even share of the connections")
    for client in kept:
        client.close()


def test_requests_on_connections_of_their_own_go_round(three: Serving) -> None:
    """What closes after each request keeps no single worker busy."""

    def go_round() -> bool:
        counts: Counter[str] = Counter()
        for _ in range(30):
            client = three.client()
            client.close()
            counts[client.worker] += 1
        return len(counts) == 3

    until(go_round, "connections at every worker")


class Load(threading.Thread):
    """Puts one object after another at one worker until told to end, or until it fails."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self.acknowledged: list[str] = []
        self.failed = False
        self.end = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.end.is_set():
            name = f"{self.client.worker}/{len(self.acknowledged)}"
            try:
                self.client.put(f"/labs/{name}", name.encode() * 500)
            except (OSError, HTTPException):
                self.failed = True
                return
            self.acknowledged.append(name)


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_killed_worker_is_replaced_and_loses_nothing_acknowledged(directory: Path, durability: str) -> None:
    words = ["--workers", "3", "--finish-after", "never", "--durability", durability]
    with serving(directory, *words) as server:
        server.client().put("/labs")
        loads = [Load(client) for client in server.clients(3)]
        before = server.worker_pids()
        until(lambda: all(len(load.acknowledged) > 5 for load in loads), "some writes at each worker")
        os.kill(before["2"], signal.SIGKILL)
        until(lambda: server.worker_pids().get("2", before["2"]) != before["2"], "another worker 2")
        others = {load: len(load.acknowledged) for load in loads if load.client.worker != "2"}
        until(
            lambda: all(len(load.acknowledged) > count + 5 for load, count in others.items()),
            "more writes at the others",
        )
        after = server.worker_pids()
        assert {number: after[number] for number in "13"} == {number: before[number] for number in "13"}
        for load in loads:
            load.end.set()
            load.join()
        assert [load.failed for load in loads] == [False, True, False]
        (replacement,) = [client for client in server.clients(3) if client.worker == "2"]
        for load in loads:
            for name in load.acknowledged:
                assert replacement.get(f"/labs/{name}") == name.encode() * 500
        assert "worker 2 " in server.log
        assert "was killed by SIGKILL" in server.log
        assert server.stop() == 0
    with Store.open(directory) as store:
        assert check(store).findings == []


def test_a_worker_that_is_asked_to_end_finishes_what_it_has(directory: Path) -> None:
    with serving(directory, "--workers", "2", "--finish-after", "never") as server:
        server.client().put("/labs")
        first, second = server.clients(2)
        pids = server.worker_pids()
        first.begin_put("/labs/x", 8, b"half")
        os.kill(pids[first.worker], signal.SIGTERM)
        assert second.ask("GET", "/-/health")[0] == 200
        assert first.end_put(b"rest") == 200
        until(lambda: server.worker_pids().keys() == {"1", "2"} and gone(pids[first.worker]), "another")
        assert second.get("/labs/x") == b"halfrest"
        assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_requests_in_hand_are_finished_at_the_end(directory: Path, number: int) -> None:
    with serving(directory, "--workers", "2", "--finish-after", "never") as server:
        server.client().put("/labs")
        clients = server.clients(2)
        pids = server.worker_pids().values()
        for client in clients:
            client.begin_put(f"/labs/{client.worker}", 8, b"half")
        server.process.send_signal(number)
        until(lambda: not connects(server), "no more connections")
        assert [client.end_put(b"rest") for client in clients] == [200, 200]
        assert server.process.wait(60) == 0
        assert all(gone(pid) for pid in pids)
        assert "Traceback" not in server.log
        assert server.log.count("stopped") == 1
    with Store.open(directory) as store:
        assert [path for path, _ in store.branch_view("labs", "master").files()] == ["1", "2"]


def test_who_asks_again_does_not_wait_for_what_is_in_hand(directory: Path) -> None:
    with serving(directory, "--workers", "2", "--finish-after", "never") as server:
        server.client().put("/labs")
        client = server.client()
        client.begin_put("/labs/x", 8, b"half")

        def is_heard() -> bool:
            if "did not end in time and is killed" in server.log:
                return True
            server.process.send_signal(signal.SIGTERM)
            return False

        until(is_heard, "the end of the worker that receives")
        assert server.process.wait(60) == 0
    with Store.open(directory) as store:
        assert store.branch_view("labs", "master").get("x") is None


def connects(server: Serving) -> bool:
    try:
        server.client().close()
    except (OSError, HTTPException):
        return False
    return True


def test_workers_end_when_their_supervisor_is_killed(directory: Path) -> None:
    with serving(directory, "--workers", "2", "--finish-after", "never") as server:
        server.client().put("/labs")
        client = server.client()
        client.begin_put("/labs/x", 8, b"half")
        pids = list(server.worker_pids().values())
        assert len(pids) == 2
        server.process.kill()
        server.process.wait()
        assert client.end_put(b"rest") == 200  # what was in hand is finished
        until(lambda: all(gone(pid) for pid in pids), "the end of the workers")
    with Store.open(directory) as store:
        assert store.branch_view("labs", "master").get("x") is not None


def test_a_worker_that_dies_again_and_again_is_given_time(directory: Path) -> None:
    with serving(directory, "--workers", "2", "--finish-after", "never") as server:
        for _ in range(3):
            pid = server.worker_pids()["1"]
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: server.worker_pids().get("1", pid) != pid, "another worker 1")
        delays = re.findall(r"another one starts(?: in ([\d.]+) s)?", server.log)
        assert delays == ["", "0.1", "0.2"]
        assert {client.worker for client in server.clients(2)} == {"1", "2"}


def test_a_quiet_branch_is_finished_once_and_not_while_a_worker_receives(directory: Path) -> None:
    with (
        serving(directory, "--workers", "2", "--finish-after", "1500ms") as server,
        Store.open(directory) as store,
    ):
        server.client().put("/labs")
        first, second = server.clients(2)
        first.begin_put("/labs/slow", 8, b"half")
        second.put("/labs/quick", b"x")
        second.put("/other")
        second.put("/other/x", b"x")
        # The other branch is as old and nobody writes to it: when it is finished, this one was let be.
        until(lambda: store.branches.get("other", "master").head is not None, "a commit of the other")
        assert store.branches.get("labs", "master").head is None
        assert first.end_put(b"rest") == 200
        until(lambda: store.branches.get("labs", "master").head is not None, "a commit")
        assert len(list(store.commits.log("labs", "master"))) == 1
        assert store.commits.head("labs").file_count == 2


def test_keys_reach_every_worker_and_stand_on_no_command_line(directory: Path) -> None:
    keys = {"SIDEGATE_ACCESS_KEY": "lab", "SIDEGATE_SECRET_KEY": "most-secret-key"}
    with serving(directory, "--workers", "2", **keys) as server:
        for client in server.clients(2):
            assert client.ask("GET", "/")[0] == 403
        pids = [server.process.pid, *server.worker_pids().values()]
        shown = [arguments for pid, _, arguments in processes() if pid in pids]
        assert len(shown) == 3
        assert not any("most-secret-key" in arguments for arguments in shown)


def test_one_worker_is_one_process(directory: Path) -> None:
    with serving(directory, "--workers", "1") as server:
        assert server.client().worker == ""
        assert server.worker_pids() == {}
        assert server.stop() == 0


def test_plain_python_serves_with_several_workers_too(directory: Path) -> None:
    with serving(directory, "--workers", "2", SIDEGATE_HTTP="asyncio", SIDEGATE_NATIVE="off") as server:
        first, second = server.clients(2)
        first.put("/labs")
        first.put("/labs/x", b"x" * 100_000)
        assert second.get("/labs/x") == b"x" * 100_000
        assert server.stop() == 0

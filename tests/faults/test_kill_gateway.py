"""A gateway is killed in the middle of uploads; what it acknowledged is there, the rest is not."""

from __future__ import annotations

import http.client
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from blake3 import blake3

from sidegate.pfs.checking import check
from sidegate.pfs.store import Store

SERVER = """
import pathlib, sys
from sidegate import app
from sidegate.pfs.store import Store
store = Store.open(pathlib.Path(sys.argv[1]), durability=sys.argv[2])
app.serve(store, app.ServeSettings(finish_after_seconds=None), lambda url: print(url, flush=True))
"""
PATIENCE_SECONDS = 60.0
MIB = 1 << 20


def content(name: str, size: int) -> bytes:
    return blake3(name.encode()).digest(length=size)


class Gateway:
    """A gateway in a process of its own."""

    def __init__(self, directory: Path, durability: str) -> None:
        command = [sys.executable, "-c", SERVER, str(directory), durability]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        url = urlsplit(self.process.stdout.readline().strip())
        assert url.hostname, "the gateway did not start"
        self.address = (url.hostname, url.port or 0)

    def ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE_SECONDS)
        connection.request(method, target, body)
        response = connection.getresponse()
        answer = response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        connection.close()
        return answer

    def begin(self, target: str, body: bytes, sent: int) -> socket.socket:
        """Send the head of a PUT and the first `sent` bytes of its body."""
        connection = socket.create_connection(self.address, PATIENCE_SECONDS)
        head = f"PUT {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:sent])
        return connection

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.returncode == -9
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def serving(directory: Path, durability: str) -> Iterator[Gateway]:
    gateway = Gateway(directory, durability)
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.kill()


def packed_bytes(directory: Path) -> int:
    total = 0
    for path in (directory / "packs").rglob("*"):
        with suppress(FileNotFoundError):  # sealed and renamed meanwhile
            total += path.stat().st_size
    return total


def wait_for_growth(directory: Path, above_bytes: int) -> None:
    """Return once the packs hold more: the gateway is in the middle of an upload."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while packed_bytes(directory) <= above_bytes:
        assert time.monotonic() < deadline, "the gateway stored nothing of a half upload"
        time.sleep(0.005)


def keys(gateway: Gateway, query: str = "list-type=2") -> list[str]:
    return re.findall(r"<Key>([^<]*)</Key>", gateway.ask("GET", f"/labs?{query}")[2].decode())


def parts(gateway: Gateway, upload: str) -> list[tuple[int, str]]:
    body = gateway.ask("GET", f"/labs/parts?uploadId={upload}")[2].decode()
    found = re.findall(r"<PartNumber>(\d+)</PartNumber>.*?<ETag>(?:&quot;)?([^<&]*)", body)
    return [(int(number), tag) for number, tag in found]


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_acknowledged_uploads_survive_and_half_ones_leave_nothing(tmp_path: Path, durability: str) -> None:
    directory = tmp_path / ".sidegate"
    Store.create(directory)
    acknowledged: dict[str, bytes] = {}
    upload = ""
    for turn, share in enumerate((0.0, 0.5, 0.99)):
        with serving(directory, durability) as gateway:
            gateway.ask("PUT", "/labs", b"")
            if not upload:
                created = gateway.ask("POST", "/labs/parts?uploads", b"")[2].decode()
                (upload,) = re.findall(r"<UploadId>([^<]*)</UploadId>", created)
            for size in (0, 10, 70_000, 6 * MIB):
                name = f"{turn}/{size}"
                acknowledged[name] = content(name, size)
                assert gateway.ask("PUT", f"/labs/{name}", acknowledged[name])[0] == 200
            part = content(f"part {turn}", 5 * MIB)
            target = f"/labs/parts?uploadId={upload}&partNumber="
            assert gateway.ask("PUT", f"{target}{turn + 1}", part)[0] == 200
            stored = packed_bytes(directory)
            large = content(f"half {turn}", 24 * MIB)
            sent = int(len(large) * share)
            half_done = [
                gateway.begin(f"/labs/half{turn}", large, sent),
                gateway.begin(f"/labs/{turn}/10", large, sent),
                gateway.begin(f"{target}{turn + 10}", large, sent),
            ]
            if sent:
                wait_for_growth(directory, stored + MIB)
            gateway.kill()
            for connection in half_done:
                connection.close()
        with Store.open(directory) as store:
            assert check(store).findings == []
    verify(directory, durability, acknowledged, upload)


def verify(directory: Path, durability: str, acknowledged: dict[str, bytes], upload: str) -> None:
    """Everything is there, and the upload goes on under its old id."""
    with serving(directory, durability) as gateway:
        assert keys(gateway) == sorted(acknowledged)
        for name, expected in acknowledged.items():
            status, headers, body = gateway.ask("GET", f"/labs/{name}")
            assert (status, body == expected) == (200, True), name
            assert headers["content-length"] == str(len(expected))
        assert keys(gateway, "uploads") == ["parts"]
        found = parts(gateway, upload)
        assert [number for number, _ in found] == [1, 2, 3]
        last = gateway.ask("PUT", f"/labs/parts?uploadId={upload}&partNumber=4", b"the end")
        items = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            for number, tag in [*found, (4, last[1]["etag"])]
        )
        document = f"<CompleteMultipartUpload>{items}</CompleteMultipartUpload>".encode()
        status, _, body = gateway.ask("POST", f"/labs/parts?uploadId={upload}", document)
        assert status == 200, body
        gateway.kill()
    whole = b"".join(content(f"part {turn}", 5 * MIB) for turn in range(3)) + b"the end"
    with Store.open(directory) as store:
        (commit,) = store.finish_open("labs", "master")
        record = store.tree(commit).get("parts")
        assert record is not None
        assert b"".join(store.read(record)) == whole
        assert commit.file_count == len(acknowledged) + 1
        assert check(store).findings == []


def test_a_put_whose_answer_was_never_read_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """Killed at the moment of the acknowledgement, again and again."""
    directory = tmp_path / ".sidegate"
    Store.create(directory)
    body = content("whole", 3 * MIB)
    for turn in range(3):
        with serving(directory, "process") as gateway:
            gateway.ask("PUT", "/labs", b"")
            connections = [gateway.begin(f"/labs/{turn}/{n}", body, len(body)) for n in range(3)]
            connections[turn].recv(1)  # one is acknowledged, the others are anywhere
            gateway.kill()
            for connection in connections:
                connection.close()
    with serving(directory, "process") as gateway:
        listed = keys(gateway)
        for turn in range(3):
            assert f"{turn}/{turn}" in listed
        for name in listed:
            assert gateway.ask("GET", f"/labs/{name}")[2] == body
        gateway.kill()
    with Store.open(directory) as store:
        assert check(store).findings == []


class Putter(threading.Thread):
    """Puts small files over one connection until the gateway is gone; keeps what was acknowledged."""

    def __init__(self, address: tuple[str, int], name: str) -> None:
        super().__init__()
        self._address = address
        self._prefix = name
        self.acknowledged: list[str] = []
        self.asked = 0

    def run(self) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=PATIENCE_SECONDS)
        with suppress(OSError, http.client.HTTPException):
            while True:
                name = f"{self._prefix}/{self.asked}"
                self.asked += 1
                connection.request("PUT", f"/labs/{name}", content(name, 100 + self.asked * 37 % 9000))
                response = connection.getresponse()
                response.read()
                assert response.status == 200
                self.acknowledged.append(name)
        connection.close()


@pytest.mark.parametrize("durability", ["process", "disk"])
def test_a_kill_in_the_middle_of_groups_loses_no_acknowledged_file(tmp_path: Path, durability: str) -> None:
    """Sixteen clients at once, so that each transaction carries several; killed at any moment."""
    directory = tmp_path / ".sidegate"
    Store.create(directory)
    acknowledged: list[str] = []
    asked = 0
    for turn in range(3):
        with serving(directory, durability) as gateway:
            gateway.ask("PUT", "/labs", b"")
            putters = [Putter(gateway.address, f"{turn}/{number}") for number in range(16)]
            for putter in putters:
                putter.start()
            while sum(len(putter.acknowledged) for putter in putters) < 60 + turn * 41:
                time.sleep(0.001)
            gateway.kill()
            for putter in putters:
                putter.join()
        acknowledged += [name for putter in putters for name in putter.acknowledged]
        asked += sum(putter.asked for putter in putters)
        with Store.open(directory) as store:
            assert check(store).findings == []
            files = dict(store.branch_view("labs", "master").files())
            assert set(acknowledged) <= set(files), "an acknowledged file is lost"
            assert len(acknowledged) <= len(files) <= asked
            for name, record in files.items():
                size = 100 + (int(name.rpartition("/")[2]) + 1) * 37 % 9000
                assert b"".join(store.read(record)) == content(name, size), name

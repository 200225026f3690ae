"""What one worker acknowledged, every other shows at once: so does every other process."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from workers_harness import Client, Serving

from sidegate.pfs.branch_edit import BranchEdit
from sidegate.pfs.store import Store

ROUNDS = 25
CLIENTS = 4


def keys(client: Client, bucket: str, prefix: str = "") -> list[str]:
    body = client.get(f"/{bucket}?list-type=2&prefix={prefix}").decode()
    return re.findall(r"<Key>([^<]*)</Key>", body)


def status(client: Client, method: str, target: str) -> int:
    return client.ask(method, target)[0]


def hammer(server: Serving, bucket: str, name: str) -> int:
    """Write at one worker and look at all the others, for keys of our own; returns how often."""
    generator = random.Random(name)
    clients = server.clients(3)
    looked = 0
    for number in range(ROUNDS):
        generator.shuffle(clients)
        writer, *readers = clients
        key = f"{name}/{number % 3}"  # so that most writes replace one
        content = f"{name} {number} ".encode() * generator.randrange(1, 400)
        writer.put(f"/{bucket}/{key}", content)
        for reader in readers:
            assert reader.get(f"/{bucket}/{key}") == content
            code, headers, _ = reader.ask("HEAD", f"/{bucket}/{key}")
            assert (code, headers["content-length"]) == (200, str(len(content)))
            assert key in keys(reader, bucket, name)
            looked += 1
        if number % 4 == 3:
            assert status(readers[0], "DELETE", f"/{bucket}/{key}") == 204
            for reader in (writer, readers[1]):
                assert status(reader, "GET", f"/{bucket}/{key}") == 404
                assert status(reader, "HEAD", f"/{bucket}/{key}") == 404
                assert key not in keys(reader, bucket, name)
                looked += 1
    for client in clients:
        client.close()
    return looked


@pytest.mark.slow
def test_every_write_is_seen_by_every_worker_at_once(three: Serving) -> None:
    three.client().put("/hammered")
    with ThreadPoolExecutor(CLIENTS) as threads:
        done = list(threads.map(lambda n: hammer(three, "hammered", f"client{n}"), range(CLIENTS)))
    assert done == [2 * ROUNDS + 2 * (ROUNDS // 4)] * CLIENTS


def test_a_bucket_made_at_one_worker_is_written_at_another(three: Serving) -> None:
    first, second, third = three.clients(3)
    for number in range(10):
        bucket = f"made{number}"
        assert status(second, "HEAD", f"/{bucket}") == 404
        first.put(f"/{bucket}")
        second.put(f"/{bucket}/x", b"x")
        assert third.get(f"/{bucket}/x") == b"x"
        assert status(second, "DELETE", f"/{bucket}/x") == 204
        assert status(third, "DELETE", f"/{bucket}") == 204
        assert status(first, "GET", f"/{bucket}/x") == 404
        assert status(second, "HEAD", f"/{bucket}") == 404


def test_parts_meet_wherever_they_arrive(three: Serving) -> None:
    clients = three.clients(3)
    clients[0].put("/parts")
    created = clients[0].ask("POST", "/parts/whole?uploads", b"")[2].decode()
    (upload,) = re.findall(r"<UploadId>([^<]*)</UploadId>", created)
    parts = [bytes([65 + number]) * (5 << 20) for number in range(3)]
    items = ""
    for number, (client, part) in enumerate(zip(clients, parts, strict=True), 1):
        code, headers, _ = client.ask("PUT", f"/parts/whole?partNumber={number}&uploadId={upload}", part)
        assert code == 200
        items += f"<Part><PartNumber>{number}</PartNumber><ETag>{headers['etag']}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{items}</CompleteMultipartUpload>".encode()
    code, _, body = clients[1].ask("POST", f"/parts/whole?uploadId={upload}", document)
    assert code == 200, body
    for client in clients:
        assert client.get("/parts/whole") == b"".join(parts)


Change = Callable[[Store], None]


def finish(store: Store) -> None:
    store.finish_open("moved", "master")


def put_beside(store: Store) -> None:
    with BranchEdit(store, "moved", "master") as edit:
        cutter = store.cutter()
        cutter.write(b"from beside")
        edit.put_many([("kept", store.record(cutter.finish()))])
        edit.finish()


def remove_beside(store: Store) -> None:
    with BranchEdit(store, "moved", "master") as edit:
        edit.remove(["kept"])
        edit.finish()


def test_other_processes_are_seen_at_once_too(three: Serving) -> None:
    """Commits finished, files put and removed by commands while the workers serve."""
    clients = three.clients(3)
    clients[0].put("/moved")
    with Store.open(three.directory) as store:
        for number in range(4):
            content = b"%d" % number
            clients[number % 3].put("/moved/kept", content)
            steps: list[tuple[Change, bytes | None]] = [
                (finish, content),
                (put_beside, b"from beside"),
                (remove_beside, None),
                (put_beside, b"from beside"),
            ]
            for change, expected in steps:
                for client in clients:  # so that each has in memory what is about to change
                    client.ask("GET", "/moved/kept")
                change(store)
                for client in clients:
                    code, _, body = client.ask("GET", "/moved/kept")
                    assert (code, body if code == 200 else None) == (200 if expected else 404, expected)
                    assert keys(client, "moved") == (["kept"] if expected else [])


def test_a_repo_that_is_deleted_and_made_again_is_empty(three: Serving) -> None:
    clients = three.clients(3)
    with Store.open(three.directory) as store:
        for number in range(3):
            clients[number].put("/again")
            clients[number].put("/again/x", b"%d" % number)
            assert [client.get("/again/x") for client in clients] == [b"%d" % number] * 3
            store.repos.delete("again")
            assert {status(client, "GET", "/again/x") for client in clients} == {404}

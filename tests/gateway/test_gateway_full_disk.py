"""Over S3, what was written can be removed when the disk has not a single block left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_harness import MIB, Client, commit_files, delete_document, md5_header, noise, start

from faults.small_disk import fill, small_disk
from sidegate.gateway.general import GeneralNamespace
from sidegate.pfs.collection import collect
from sidegate.pfs.reserve import LEFT_BY_REMOVALS_BYTES, REMOVAL_BYTES, RESERVE_BYTES, Reserve
from sidegate.pfs.store import Store

LONG_KEYS = [f"{number:04}-" + "k" * 900 for number in range(3000)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as place:
        yield place


@pytest.fixture(params=["process", "disk"])
def store(disk: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    directory = disk / ".sidegate"
    Store.create(directory)
    with Store.open(directory, durability=request.param) as opened:
        opened.repos.create("labs")
        yield opened
        (disk / "filler").unlink(missing_ok=True)


@pytest.fixture
def client(store: Store) -> Iterator[Client]:
    gateway = start(store, GeneralNamespace(store), ("auto", "auto"))
    client = Client(gateway.address)
    yield client
    client.close()
    gateway.close()


def kept_bytes(store: Store) -> int:
    return (store.directory / "reserve").stat().st_size


def assert_full(client: Client) -> None:
    answer = client.ask("PUT", "/labs/refused", noise(64 << 10, "refused"))
    assert (answer.status, answer.code) == (507, "StorageFull")


def delete_many(client: Client, keys: list[str]) -> int:
    document = delete_document(keys)
    return client.ask("POST", "/labs?delete", document, {"content-md5": md5_header(document)}).status


def test_objects_of_an_open_commit_one_by_one(client: Client, store: Store, disk: Path) -> None:
    for number in range(300):
        client.put(f"/labs/{number:03}", noise(1000, str(number)))
    fill(disk)
    assert_full(client)
    for number in range(300):
        assert client.delete(f"/labs/{number:03}").status == 204
        fill(disk)
    assert client.keys("labs") == []
    # No row was made, and the log begins anew in the room that it has.
    assert kept_bytes(store) >= RESERVE_BYTES - MIB
    assert_full(client)


def test_a_thousand_of_a_finished_commit_at_once(client: Client, store: Store, disk: Path) -> None:
    commit_files(store, "labs", dict.fromkeys(LONG_KEYS[:1000], b"x"))
    fill(disk)
    assert_full(client)
    assert delete_many(client, LONG_KEYS[:1000]) == 200
    assert client.keys("labs") == []
    assert kept_bytes(store) >= LEFT_BY_REMOVALS_BYTES


def test_an_upload_in_parts_is_aborted(client: Client, disk: Path) -> None:
    upload = client.create_upload("/labs/large")
    for number in (1, 2):
        client.put_part("/labs/large", upload, number, noise(MIB, str(number)))
    fill(disk)
    assert_full(client)
    assert client.delete(f"/labs/large?uploadId={upload}").status == 204
    assert client.delete(f"/labs/large?uploadId={upload}").code == "NoSuchUpload"


def test_removals_leave_what_collecting_needs_and_get_theirs_again(
    client: Client, store: Store, disk: Path
) -> None:
    """Removals without end, on a disk whose every free block somebody else takes."""
    client.put("/labs/large", noise(4 * MIB))
    commit_files(store, "labs", dict.fromkeys(LONG_KEYS, b"x"))
    fill(disk)
    statuses = []
    while not statuses or statuses[-1] == 200:
        first = 100 * len(statuses)
        statuses.append(delete_many(client, LONG_KEYS[first : first + 100]))
        fill(disk)
    assert len(statuses) > 10
    assert statuses[-1] == 507
    assert 0 <= kept_bytes(store) - LEFT_BY_REMOVALS_BYTES < REMOVAL_BYTES
    assert len(client.keys("labs", "&max-keys=1")) == 1
    for _ in range(2):
        collect(store, window_us=0)
    (disk / "filler").unlink()
    client.delete("/labs/large")
    for number in range(20):
        client.put(f"/labs/new-{number}", b"new")
    assert kept_bytes(store) == RESERVE_BYTES


def test_a_store_opened_without_its_reserve_makes_one_when_there_is_room(
    store: Store, client: Client
) -> None:
    assert kept_bytes(store) == RESERVE_BYTES
    (store.directory / "reserve").unlink()
    with Store.open(store.directory) as other:
        for number in range(15):
            other.repos.create(f"repo{number}")
        assert not (store.directory / "reserve").exists()
        other.repos.create("one-more")
        assert kept_bytes(store) == RESERVE_BYTES


def test_a_reserve_takes_what_there_is(disk: Path) -> None:
    reserve = Reserve(disk / "reserve")
    reserve.keep()
    fill(disk)
    assert reserve.lend(RESERVE_BYTES)
    (disk / "other").write_bytes(bytes(3 << 20))
    reserve.keep()
    assert reserve.kept_bytes == RESERVE_BYTES - (3 << 20)

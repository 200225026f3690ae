"""What a session's requests are counted as."""

from __future__ import annotations

import time

import pytest
from gateway_harness import (
    INPUT_FILES,
    MIB,
    Client,
    Job,
    aws_chunked,
    commit_files,
    delete_document,
    noise,
    start,
)

from sidegate.gateway import traffic
from sidegate.gateway.session import JobSession
from sidegate.gateway.traffic import BucketTraffic
from sidegate.pfs.store import Store


def counts(job: Job, bucket: str) -> BucketTraffic:
    return job.session.traffic.buckets[bucket]


def test_reads_count_objects_once_and_bytes_each_time(job: Job) -> None:
    for _ in range(2):
        job.client.get("/inp/a.txt")
    job.client.get("/inp/dir/b.bin", {"range": "bytes=0-99"})
    job.client.head("/inp/tail.bin")
    job.client.get("/inp?list-type=2")
    inp = counts(job, "inp")
    assert inp.requests == {"read": 3, "look": 1, "list": 1}
    assert inp.read_keys == {"a.txt", "dir/b.bin"}
    assert inp.sent_bytes == 2 * len(INPUT_FILES["a.txt"]) + 100
    assert (inp.received_bytes, inp.written_keys, inp.refusals) == (0, set(), {})
    assert counts(job, "other_input").requests == {}


@pytest.mark.parametrize("key", ["tail.bin", "dir/sub/c.csv"])
def test_bodies_sent_in_pieces_count_whole(job: Job, key: str) -> None:
    """From the pack as it lies, and decompressed in a thread."""
    for _ in range(2):
        assert job.client.get(f"/inp/{key}").body == INPUT_FILES[key]
    assert counts(job, "inp").sent_bytes == 2 * len(INPUT_FILES[key])


def test_all_names_of_a_bucket_are_one(job: Job) -> None:
    for bucket in ("out", "pipe_line", "pipe-line"):
        job.client.put(f"/{bucket}/k", b"12345")
    job.client.get("/other-input/o.txt")
    out = counts(job, "out")
    assert (out.requests, out.written_keys, out.received_bytes) == ({"write": 3}, {"k"}, 15)
    assert counts(job, "other_input").read_keys == {"o.txt"}
    assert set(job.session.traffic.buckets) == {"inp", "other_input", "out"}


def test_received_bytes_are_those_of_the_payload(job: Job) -> None:
    payload = noise(3 * MIB)
    headers = {
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "x-amz-decoded-content-length": str(len(payload)),
    }
    job.client.put("/out/framed", aws_chunked(payload, signed=True), headers)
    job.client.upload("/out/parts", {1: payload})
    out = counts(job, "out")
    assert out.received_bytes == 2 * len(payload)
    assert out.written_keys == {"framed", "parts"}
    assert out.requests == {"write": 4}


def test_copies_and_deletes_move_no_bytes(job: Job) -> None:
    job.client.put("/out/copy", headers={"x-amz-copy-source": "/inp/a.txt"})
    job.client.delete("/out/copy")
    job.client.ask("POST", "/out?delete", delete_document(["copy"]))
    out = counts(job, "out")
    assert (out.requests, out.received_bytes, out.written_keys) == ({"copy": 1, "delete": 2}, 0, set())


def test_refusals_are_counted_by_code_and_what_was_expected_is_none(job: Job) -> None:
    job.client.get("/inp/none")
    job.client.head("/inp/none")
    etag = job.client.get("/inp/a.txt").etag
    assert job.client.get("/inp/a.txt", {"if-none-match": etag}).status == 304
    for _ in range(2):
        job.client.ask("PUT", "/inp/y", b"1")
    job.client.get("/inp?list-type=2&max-keys=x")
    inp = counts(job, "inp")
    assert inp.refusals == {"AccessDenied": 2, "InvalidArgument": 1}
    assert inp.requests == {"read": 3, "look": 1, "write": 2, "list": 1}


def test_a_denial_is_told_once_per_kind_and_bucket(job: Job) -> None:
    for key in ("x", "y"):
        job.client.put(f"/out/{key}", b"1")
        job.client.get(f"/out/{key}")
        job.client.ask("PUT", f"/inp/{key}", b"1")
        job.client.delete(f"/other-input/{key}")
    for name in ("mine", "mine2"):
        job.client.ask("PUT", f"/{name}", b"")
    told = {kind: sentence.partition(": ")[0] for kind, sentence in job.session.traffic.denials()}
    assert told == {
        ("out", "read"): "the job read s3://out/x",
        ("inp", "write"): "the job wrote to s3://inp/x",
        ("other_input", "delete"): "the job deleted s3://other-input/x",
        ("", "CreateBucket"): "the job asked for CreateBucket of s3://mine",
    }


def test_requests_of_no_bucket_and_of_unknown_ones_count_nowhere(job: Job) -> None:
    job.client.get("/")
    job.client.get("/nothing/here")
    job.client.get("/-/health")
    job.client.ask("BREW", "/inp/a.txt")
    assert all(bucket.requests == {} for bucket in job.session.traffic.buckets.values())


def test_memory_is_bounded_and_says_so(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "OBJECTS_TOLD_APART", 2)
    for key in ("a.txt", "empty"):
        job.client.get(f"/inp/{key}")
    assert counts(job, "inp").is_exact
    for _ in range(2):
        job.client.get("/inp/dir/b.bin")
    inp = counts(job, "inp")
    assert (len(inp.read_keys), inp.is_exact, inp.requests["read"]) == (2, False, 4)


def test_a_reader_that_leaves_is_not_counted_as_having_read_all(store: Store, pair: tuple[str, str]) -> None:
    """S3A opens a file to its end and leaves when it has what it wants."""
    content = noise(64 * MIB)
    store.repos.create("big")
    session = JobSession(store, {"big": commit_files(store, "big", {"k": content})}, None, pipeline="p")
    gateway = start(store, session, pair)
    try:
        client = Client(gateway.address)
        connection = client.connect()
        connection.sendall(client.render_head("GET", "/big/k"))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        client.close()
        bucket = session.traffic.buckets["big"]
        deadline = time.monotonic() + 5
        while not bucket.sent_bytes and time.monotonic() < deadline:
            time.sleep(0.01)
        assert 0 < bucket.sent_bytes < len(content)
    finally:
        gateway.close()

"""The short way and the long way give the same answers, byte for byte.

Two gateways over one namespace: one takes the shortcut where it can, the other
never does.  Only Date and the number in the request id may differ.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from gateway_harness import INPUT_FILES, PAIRS, Client, Job, commit_files, noise, start
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidegate.gateway import gateway as gateway_module
from sidegate.gateway.session import JobSession
from sidegate.gateway.shortcut import ReadShortcut
from sidegate.gateway.traffic import BucketTraffic
from sidegate.http.shortcut import StreamedAnswer
from sidegate.pfs.store import Store

pytestmark = pytest.mark.parametrize("pair", PAIRS, indirect=True, ids="-".join)

LARGE = noise(300_000, "large")
FILES = INPUT_FILES | {"large.bin": LARGE, "a b+c/é~": b"odd", "//slashes//": b"more"}


@dataclass
class Ways:
    """The short and the long way to the same buckets."""

    short: Client
    long: Client
    traffic: tuple[BucketTraffic, BucketTraffic]
    taken: list[bool]
    """For each plain read at the short way, whether the shortcut answered."""


@pytest.fixture
def ways(
    store: Store, pair: tuple[str, str], small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ways]:
    store.repos.create("labs")
    commit = commit_files(store, "labs", FILES)
    staging = store.stagings.begin_attempt("labs", "master")
    sessions = [JobSession(store, {"inp": commit}, staging, pipeline="p") for _ in range(2)]
    taken: list[bool] = []

    class Watched(ReadShortcut):
        def answer(self, *arguments: object) -> bytes | StreamedAnswer | None:
            answer = super().answer(*arguments)  # type: ignore[arg-type]
            taken.append(answer is not None)
            return answer

    with monkeypatch.context() as patch:
        patch.setattr(gateway_module, "ReadShortcut", Watched)
        short = start(store, sessions[0], pair, base_domains=("s3.test",))
        patch.setattr(gateway_module, "ReadShortcut", lambda *arguments: None)
        long = start(store, sessions[1], pair, base_domains=("s3.test",))
    counts = tuple(session.traffic.buckets["inp"] for session in sessions)
    clients = Client(short.address), Client(long.address)
    for client in clients:
        for key in FILES:
            client.get("/inp/" + key.replace(" ", "%20").replace("é", "%C3%A9"))  # now it is in memory
    yield Ways(*clients, counts, taken)  # type: ignore[arg-type]
    for client in clients:
        client.close()
    for gateway in (short, long):
        gateway.close()


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_VARYING = re.compile(rb"(?m)^(Date: |x-amz-request-id: |.*<RequestId>).*$")


def exchange(client: Client, data: bytes, *, is_head: bool) -> bytes:
    """Return the raw answer without what may differ."""
    connection = client.connect()
    connection.sendall(data)
    answer = _receive(connection, is_head=is_head)
    if b"\r\nConnection: close\r\n" in answer:
        client.close()
    return _VARYING.sub(rb"\1", answer)


def _receive(connection: socket.socket, *, is_head: bool) -> bytes:
    data, interim = b"", b""
    while b"\r\n\r\n" not in data:
        data += _more(connection, data)
        if data.startswith(CONTINUE):
            interim, data = CONTINUE, data.removeprefix(CONTINUE)
    if b"\r\nConnection: close\r\n" in data:
        # A request that is no request is answered as a GET.
        while piece := connection.recv(1 << 18):
            data += piece
        return interim + data
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", data)
    head_bytes = data.index(b"\r\n\r\n") + 4
    has_body = not is_head and length is not None and not data.startswith(b"HTTP/1.1 304")
    total = head_bytes + (int(length.group(1)) if has_body and length else 0)
    while len(data) < total:
        data += _more(connection, data)
    assert len(data) == total
    return interim + data


def _more(connection: socket.socket, data: bytes) -> bytes:
    piece = connection.recv(1 << 18)
    assert piece, f"closed after {data[:300]!r}"
    return piece


# -- what real clients send -------------------------------------------------------

ETAG = "{etag}"
CLIENTS: dict[str, dict[str, str]] = {
    "boto3": {
        "Accept-Encoding": "identity",
        "User-Agent": "Boto3/1.43 md/Botocore#1.43 ua/2.1 os/linux",
        "x-amz-checksum-mode": "ENABLED",
        "X-Amz-Date": "20261101T120000Z",
        "X-Amz-Content-SHA256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "Authorization": "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
        "amz-sdk-request": "attempt=1",
    },
    "cli download": {"Range": "bytes=8-99", "If-Match": ETAG, "x-amz-checksum-mode": "enabled"},
    "hadoop, first sdk": {
        "Content-Type": "application/octet-stream",
        "Content-Length": "0",
        "Connection": "Keep-Alive",
        "If-Match": "{tag}",
        "Range": "bytes=5-29",
    },
    "hadoop, second sdk": {"If-Match": ETAG, "Range": "bytes=5-29", "x-amz-te": "append-md5"},
    "parquet footer": {"range": "bytes=-64"},
    "curl": {"Accept": "*/*", "User-Agent": "curl/8"},
}


@pytest.mark.parametrize("key", ["large.bin", "a.txt", "dir/b.bin"])
@pytest.mark.parametrize("name", CLIENTS)
def test_real_clients_take_the_short_way(ways: Ways, name: str, key: str) -> None:
    etag = ways.long.head(f"/inp/{key}").etag
    headers = {field: value.format(etag=etag, tag=etag.strip('"')) for field, value in CLIENTS[name].items()}
    ways.taken.clear()
    for method in ("GET", "HEAD"):
        data = Client.render_head(method, f"/inp/{key}?x-id=GetObject", headers)
        answers = [exchange(client, data, is_head=method == "HEAD") for client in (ways.short, ways.long)]
        assert answers[0] == answers[1]
    # A HEAD of a range is left to the handler.  Of a.txt, some of these ranges are not there.
    assert ways.taken[0] or (key == "a.txt" and answers[0].startswith(b"HTTP/1.1 416"))
    assert ways.taken[1] != any(field.lower() == "range" for field in headers)


def test_presigned_and_virtual_host(ways: Ways) -> None:
    for target, host in [
        ("/inp/a.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb&X-Amz-Signature=0", b"h"),
        ("/inp/a.txt?AWSAccessKeyId=test&Signature=a%2Bb%3D&Expires=1", b"h"),
        ("/a.txt", b"inp.s3.test:80"),
        ("/dir/b.bin", b"INP.S3.TEST"),
        ("/%2Fslashes//", b"h"),
        ("/a%20b+c/%c3%a9~", b"inp.s3.test"),
    ]:
        data = b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target.encode(), host)
        answers = [exchange(client, data, is_head=False) for client in (ways.short, ways.long)]
        assert answers[0] == answers[1]
    data = b"GET /a.txt?Signature=0 HTTP/1.1\r\nHost: inp.s3.test\r\n\r\n"
    ways.taken.clear()
    exchange(ways.short, data, is_head=False)
    assert ways.taken == [True]


# -- anything ---------------------------------------------------------------------

KEYS = ["a.txt", "empty", "dir/b.bin", "dir/sub/c.csv", "large.bin", "dir/", "missing", ""]
KEYS += [
    "a%20b+c/%C3%A9~",
    "%61.txt",
    "/slashes//",
    "dir%2Fb.bin",
    "a.txt/",
    "a%2",
    "%ff",
    "../a.txt",
    "a%00",
]
NUMBERS = ["", "0", "1", "12", "13", "99", "65535", "65536", "299999", "300000", "1" * 18, "1" * 19]

targets = st.builds(
    lambda bucket, key, query: f"/{bucket}/{key}{query}",
    st.sampled_from(["inp"] * 8 + ["out", "nope", "in%70", "inp%2f", "", "-"]),
    st.sampled_from(KEYS),
    st.sampled_from(
        [""] * 6
        + ["?x-id=GetObject", "?X-Amz-Signature=0&X-Amz-Expires=1", "?versionId=null", "?versionId=2"]
        + ["?partNumber=1", "?response-content-type=a%2Fb", "?acl", "?", "?x-id=%00", "?list-type=2"]
    ),
)
ranges = st.one_of(
    st.builds("bytes={}-{}".format, st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)),
    st.sampled_from(["bytes=0-1,3-4", "bytes = 0-1", "items=0-1", "bytes=1", "BYTES=0-1", "bytes=--1"]),
)
tags = st.sampled_from(
    ['"{tag}"', "{tag}", "*", '"x"', '"x", "{tag}"', 'W/"{tag}"', "", '""{tag}"', '{tag}"']
)
fields = st.one_of(
    st.tuples(st.sampled_from(["Range", "range", "RANGE"]), ranges),
    st.tuples(st.sampled_from(["If-Match", "if-match", "If-None-Match", "If-Range"]), tags),
    st.tuples(
        st.sampled_from(["If-Modified-Since", "If-Unmodified-Since", "If-Range"]),
        st.sampled_from(["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", "never"]),
    ),
    st.tuples(st.just("x-amz-checksum-mode"), st.sampled_from(["ENABLED", "enabled", "DISABLED", ""])),
    st.tuples(st.just("Connection"), st.sampled_from(["keep-alive", "Keep-Alive", "close", "TE"])),
    st.tuples(st.just("Content-Length"), st.sampled_from(["0", "00"])),
    st.tuples(st.sampled_from(["User-Agent", "X-Other"]), st.sampled_from(["", "v", " \tv ", "\xe9"])),
    st.tuples(st.just("Expect"), st.just("100-continue")),
)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "GET", "HEAD"]),
    target=targets,
    host=st.sampled_from(["127.0.0.1", "127.0.0.1", "inp.s3.test", "s3.test", "nope.s3.test:1"]),
    headers=st.lists(fields, max_size=4),
)
def test_both_ways_answer_alike(
    ways: Ways, method: str, target: str, host: str, headers: list[tuple[str, str]]
) -> None:
    tag = ways.long.head("/inp/large.bin").etag.strip('"')
    lines = [f"{name}: {value.format(tag=tag)}" for name, value in headers]
    data = "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode("latin-1")
    answers = [exchange(client, data, is_head=method == "HEAD") for client in (ways.short, ways.long)]
    assert answers[0] == answers[1]


def test_both_ways_count_alike(ways: Ways) -> None:
    """Requests, objects and bytes, also of a body that is cut short."""
    for client, counts in zip((ways.short, ways.long), ways.traffic, strict=True):
        before = counts.sent_bytes
        for number in range(3):
            client.get("/inp/large.bin", {"range": f"bytes={number * 7}-200000"})
            client.get("/inp/a.txt", {"range": "bytes=2-5"})
            client.head("/inp/a.txt")
            client.get("/inp/a.txt")
            client.get("/inp/dir/sub/c.csv")
        reads = [200_001 - number * 7 for number in range(3)]
        per_round = 4 + len(FILES["a.txt"]) + len(FILES["dir/sub/c.csv"])
        assert counts.sent_bytes - before == sum(reads) + 3 * per_round
    short, long = ways.traffic
    assert (short.requests, short.read_keys) == (long.requests, long.read_keys)
    assert short.requests["look"] == 3


def test_a_pipeline_of_reads_is_answered_in_order(ways: Ways) -> None:
    plain = Client.render_head("GET", "/inp/a.txt")
    large = Client.render_head("GET", "/inp/large.bin", {"range": "bytes=1-250000"})
    other = Client.render_head("GET", "/inp/a.txt?partNumber=1")
    requests = [plain, large, plain, other, plain, large, other, plain]
    for client in (ways.short, ways.long):
        one_by_one = [exchange(client, request, is_head=False) for request in requests]
        connection, together = client.connect(), b""
        connection.sendall(b"".join(requests))
        while len(_VARYING.sub(rb"\1", together)) < len(b"".join(one_by_one)):
            together += _more(connection, together)
        assert _VARYING.sub(rb"\1", together) == b"".join(one_by_one)


def test_a_split_head_takes_the_long_way_and_the_next_the_short_one(ways: Ways) -> None:
    connection = ways.short.connect()
    data = Client.render_head("GET", "/inp/a.txt")
    ways.taken.clear()
    connection.sendall(data + data[:3])
    assert ways.short.read().body == FILES["a.txt"]
    connection.sendall(data[3:])
    assert ways.short.read().body == FILES["a.txt"]
    assert ways.short.get("/inp/a.txt").body == FILES["a.txt"]
    assert ways.taken == [True, True]


def test_keys_to_verify_and_a_closed_session_leave_no_shortcut(
    launch_job: Callable[..., Job], pair: tuple[str, str]
) -> None:
    def refuse(*arguments: object) -> None:
        raise gateway_module.S3Error("AccessDenied", "No.")

    job = launch_job(authorize=refuse)
    assert job.client.get("/inp/a.txt").code == "AccessDenied"
    open_job = launch_job()
    assert [open_job.client.get("/inp/a.txt").status for _ in range(2)] == [200, 200]
    open_job.session.close()
    assert open_job.client.get("/inp/a.txt").code == "AccessDenied"


def test_what_the_job_wrote_cannot_be_read_the_short_way(job: Job) -> None:
    job.client.put("/out/k", b"secret")
    for _ in range(2):
        assert job.client.get("/out/k").code == "AccessDenied"
        assert job.client.head("/out/k").status == 200

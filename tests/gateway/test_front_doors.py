"""The ways into a sidecar: host names, signatures, interim answers, pipelines of requests."""

from __future__ import annotations

import asyncio
import re
import socket
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from gateway_harness import PAIRS, Answer, Client, Job, commit_files, complete_document, noise
from test_gateway_payloads import checksums

from sidegate.app import SidecarSettings, session_opener, sidecar_domains
from sidegate.gateway.context import Context
from sidegate.gateway.gateway import Gateway
from sidegate.gateway.threads import WorkThreads
from sidegate.http.message import Request, Response
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store

both_pairs = pytest.mark.parametrize("pair", PAIRS, indirect=True, ids="-".join)


def ask_host(client: Client, host: str, method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n"
    return client.exchange(head.encode() + body, method).body


# -- host names ----------------------------------------------------------


@pytest.fixture
def sidecar(store: Store) -> Iterator[Client]:
    """A client of the gateway that the application opens for a job of the pipeline `my_pipe`."""
    store.repos.create("labs")
    inputs = {"labs": commit_files(store, "labs", {"a.txt": b"hello", "dir/b": b"deep"})}
    staging: Staging = store.stagings.begin_attempt("labs", "master")
    with session_opener(store, SidecarSettings())(inputs, staging, "own-reads", "my_pipe") as session:
        address = urlsplit(session.endpoint)
        client = Client((address.hostname or "", address.port or 0))
        yield client
        client.close()


@pytest.mark.parametrize("domain", ["s3.localhost", "my-pipe.localhost"])
@pytest.mark.parametrize("port", ["", ":9000"])
def test_a_sidecar_has_virtual_hosts(sidecar: Client, domain: str, port: str) -> None:
    assert ask_host(sidecar, f"labs.{domain}{port}", "GET", "/a.txt") == b"hello"
    assert ask_host(sidecar, f"LABS.{domain.upper()}{port}", "GET", "/dir/b") == b"deep"
    ask_host(sidecar, f"out.{domain}{port}", "PUT", "/labs/x", b"mine")
    assert ask_host(sidecar, f"out.{domain}{port}", "GET", "/labs/x") == b"mine"
    assert b"<Key>labs/x</Key>" in ask_host(sidecar, f"out.{domain}{port}", "GET", "/?list-type=2")
    assert b"NoSuchBucket" in ask_host(sidecar, f"none.{domain}{port}", "GET", "/a.txt")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9000", "localhost", "s3.localhost", "my-pipe.localhost:9000", "s3-5f2c.pipes.svc:600"]
)
def test_every_other_host_is_path_style(sidecar: Client, host: str) -> None:
    assert ask_host(sidecar, host, "GET", "/labs/a.txt") == b"hello"
    assert b"<Name>labs</Name>" in ask_host(sidecar, host, "GET", "/")


def test_out_is_a_host_by_the_pipelines_name(sidecar: Client) -> None:
    ask_host(sidecar, "my-pipe.s3.localhost", "PUT", "/k", b"1")
    assert sidecar.get("/out/k").body == b"1"


def test_domains_of_a_sidecar() -> None:
    assert sidecar_domains("Mean_2025") == ("s3.localhost", "mean-2025.localhost")
    assert sidecar_domains("s3") == ("s3.localhost",)


@pytest.mark.client
def test_boto3_finds_a_bucket_by_its_host_name(sidecar: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = sidecar.connect().getpeername()
    resolve = socket.getaddrinfo

    def to_loopback(name: str, *rest: object, **named: object) -> object:
        return resolve(host if str(name).endswith(".localhost") else name, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", to_loopback)  # not every resolver knows RFC 6761
    client = boto3.client(
        "s3",
        endpoint_url=f"http://s3.localhost:{port}",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "virtual"}, proxies={}),
    )
    assert client.get_object(Bucket="labs", Key="a.txt")["Body"].read() == b"hello"
    client.put_object(Bucket="out", Key="k", Body=b"1")
    assert [one["Key"] for one in client.list_objects_v2(Bucket="out")["Contents"]] == ["k"]


# -- signatures ----------------------------------------------------------


@pytest.mark.parametrize("version", ["s3", "s3v4"])
@pytest.mark.parametrize("key", ["a.txt", "odd key+1/é"])
def test_what_boto3_signs_is_served_unchecked(own_reads_job: Job, version: str, key: str) -> None:
    """Trap 40: version 2 is what boto3 presigns with on an endpoint of one's own."""
    host, port = own_reads_job.client.connect().getpeername()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="key-of-nobody",
        aws_secret_access_key="wrong",
        region_name="eu-central-7",
        config=Config(signature_version=version),
    )
    place = {"Bucket": "out", "Key": key}
    client.put_object(**place, Body=b"rows")  # signed in headers
    assert client.get_object(**place)["Body"].read() == b"rows"
    url = client.generate_presigned_url("get_object", Params=place | {"ResponseContentType": "text/plain"})
    expired = re.sub(r"X-Amz-Date=\d{8}", "X-Amz-Date=20010101", re.sub(r"Expires=\d{9,}", "Expires=1", url))
    assert expired != url
    with urllib.request.urlopen(expired) as answer:
        assert (answer.read(), answer.headers["content-type"]) == (b"rows", "text/plain")
    put = client.generate_presigned_url("put_object", Params=place)
    assert ("X-Amz-Signature=" in put) == (version == "s3v4")
    with urllib.request.urlopen(urllib.request.Request(put, b"new", method="PUT")) as answer:
        assert answer.status == 200
    assert client.get_object(**place)["Body"].read() == b"new"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "AWS nobody:wrong="},
        {"authorization": "AWS4-HMAC-SHA256 Credential=x/20200101/mars/s3/aws4_request, Signature=0"},
        {"authorization": "AWS4-ECDSA-P256-SHA256 Credential=x, SignedHeaders=host, Signature=00"},
        {"authorization": "Bearer nonsense"},
        {"authorization": ""},
        {"x-amz-date": "19700101T000000Z", "x-amz-security-token": "gone"},
    ],
)
def test_no_signature_is_wrong_in_a_sidecar(job: Job, headers: dict[str, str]) -> None:
    assert job.client.get("/inp/a.txt", headers).status == 200
    assert job.client.ask("PUT", "/out/k", b"1", headers).status == 200


# -- refused uploads -----------------------------------------------------


class UnwantedBody:
    """A body of a gibibyte that nobody may read."""

    length: int | None = 1 << 30

    async def read(self) -> bytes:
        raise AssertionError("the body was read")

    def take_whole(self) -> bytes | None:
        raise AssertionError("the body was taken")

    def recycle(self, block: bytes | memoryview) -> None:
        raise AssertionError("there is nothing to give back")


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("PUT", "/inp/k", 403),
        ("PUT", "/inp/dir/", 403),
        ("PUT", "/inp/k?partNumber=1&uploadId=0123", 403),
        ("POST", "/inp/k?uploadId=0123", 403),
        ("POST", "/inp?delete", 403),
        ("PUT", "/none/k", 404),
        ("PUT", "/out/k?partNumber=1&uploadId=0123", 404),
        ("PUT", "/out/a/../k", 400),
        ("POST", "/out/k", 405),
        ("PUT", "/out/k?restore", 501),
    ],
)
def test_a_refused_upload_costs_no_byte_of_its_body(job: Job, method: str, target: str, status: int) -> None:
    """The decision needs the head alone, so a client that waits for its 100 sends nothing."""
    with WorkThreads(1, "test") as threads:
        gateway = Gateway(Context(job.store, job.session, threads, threads))
        headers = [(b"host", b"x"), (b"expect", b"100-continue"), (b"content-length", b"1073741824")]
        request = Request(method, target.encode(), "1.1", headers, UnwantedBody(), "test")

        async def answer() -> Response:
            response = gateway.handle(request)
            return response if isinstance(response, Response) else await response

        assert asyncio.run(answer()).status == status


@both_pairs
def test_a_refused_upload_gets_its_answer_instead_of_the_100(job: Job) -> None:
    head = Client.render_head("PUT", "/inp/k", {"expect": "100-continue", "content-length": "1073741824"})
    connection = job.client.connect()
    connection.sendall(head)
    seen = b""
    while block := connection.recv(65536):
        seen += block
    assert seen.startswith(b"HTTP/1.1 403 ")
    assert b"100 Continue" not in seen
    assert b"<Code>AccessDenied</Code>" in seen


# -- pipelined requests --------------------------------------------------


@both_pairs
def test_pipelined_requests_are_answered_in_their_order(own_reads_job: Job) -> None:
    """Fast ones from memory behind slow ones from threads, with bodies in between."""
    client = own_reads_job.client
    large = noise(300_000, "pipelined")
    sent = [
        ("GET", "/inp/a.txt", None, 200),
        ("PUT", "/out/k", large, 200),
        ("GET", "/out/k", None, 200),
        ("HEAD", "/inp/tail.bin", None, 200),
        ("GET", "/inp/none", None, 404),
        ("PUT", "/inp/k", b"refused", 403),
        ("DELETE", "/out/k", None, 204),
        ("HEAD", "/out/k", None, 404),
        ("GET", "/inp/a.txt", None, 200),
    ]
    client.get("/inp/a.txt")
    data = b"".join(
        client.render_head(method, target, body=body) + (body or b"") for method, target, body, _ in sent
    )
    connection = client.connect()
    connection.sendall(data)
    stream = connection.makefile("rb")
    bodies = []
    for method, target, _, status in sent:
        line = stream.readline()
        assert line.startswith(f"HTTP/1.1 {status} ".encode()), (target, line)
        length = 0
        while (header := stream.readline()) != b"\r\n":
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        bodies.append(b"" if method == "HEAD" else stream.read(length))
    stream.close()
    assert bodies[0] == bodies[-1] == b"hello, world\n"
    assert bodies[2] == large


# -- checksums -----------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["crc32", "crc32c", "crc64nvme", "sha1", "sha256"])
def test_each_checksum_is_given_back_when_asked(own_reads_job: Job, algorithm: str) -> None:
    client = own_reads_job.client
    name, value = f"x-amz-checksum-{algorithm}", checksums(b"rows")[algorithm]
    assert client.put("/out/k", b"rows", {name: value}).headers[name] == value
    asked = {"x-amz-checksum-mode": "ENABLED"}
    for answer in (client.head("/out/k", asked), client.get("/out/k", asked)):
        assert (answer.headers[name], answer.headers["x-amz-checksum-type"]) == (value, "FULL_OBJECT")
    assert name not in client.get("/out/k").headers
    attributes = client.get("/out/k?attributes", {"x-amz-object-attributes": "Checksum,ObjectSize"})
    assert attributes.text(f"Checksum/Checksum{algorithm.upper()}") == value
    assert attributes.text("ObjectSize") == "4"
    client.put("/out/copy", b"", {"x-amz-copy-source": "out/k"})
    assert client.head("/out/copy", asked).headers[name] == value


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_each_checksum_of_an_upload_in_parts_is_listed_and_kept(own_reads_job: Job, algorithm: str) -> None:
    client = own_reads_job.client
    target = "/out/parts"
    upload = client.create_upload(target, {"x-amz-checksum-algorithm": algorithm})
    part = client.ask("PUT", f"{target}?partNumber=1&uploadId={upload}", b"rows")
    value = checksums(b"rows")[algorithm.lower()]
    listed = client.get(f"{target}?uploadId={upload}")
    assert listed.text(f"Part/Checksum{algorithm}") == value
    done = client.ask("POST", f"{target}?uploadId={upload}", complete_document([(1, part.etag)]))
    whole = done.text(f"Checksum{algorithm}")
    composite = algorithm != "CRC64NVME"  # what S3 makes of parts unless told otherwise
    assert whole.endswith("-1") if composite else whole == value
    shown = client.head(target, {"x-amz-checksum-mode": "ENABLED"}).headers
    assert shown.get(f"x-amz-checksum-{algorithm.lower()}") == (None if composite else value)


# -- conditions ----------------------------------------------------------


def write_by(client: Client, way: str, target: str, conditions: dict[str, str]) -> Answer:
    """Write `target` by one of the three ways that take conditions."""
    if way == "put":
        return client.ask("PUT", target, b"put", conditions)
    if way == "copy":
        return client.ask("PUT", target, b"", conditions | {"x-amz-copy-source": "inp/a.txt"})
    upload = client.create_upload(target)
    return client.complete(target, upload, [(1, client.put_part(target, upload, 1, b"part"))], conditions)


@pytest.mark.parametrize("way", ["put", "copy", "complete"])
def test_every_way_to_write_takes_conditions(job: Job, way: str) -> None:
    def status(conditions: dict[str, str]) -> int:
        return write_by(job.client, way, "/out/k", conditions).status

    assert status({"if-match": '"0"'}) == 404  # there is nothing to match
    assert status({"if-none-match": "*"}) == 200
    etag = job.client.head("/out/k").etag
    assert status({"if-none-match": "*"}) == 412
    assert status({"if-match": '"0"'}) == 412
    assert job.client.head("/out/k").etag == etag
    assert status({"if-match": etag}) == 200
    assert job.client.keys("out") == ["k"]

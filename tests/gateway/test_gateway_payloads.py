"""Uploads in every framing, and every way in which a body can be wrong.

The table of the clients study, section 4; nothing is half written.
"""

from __future__ import annotations

import base64
import hashlib
import random
import socket
import zlib
from dataclasses import dataclass, field

import pytest
from awscrt.checksums import crc32c, crc64nvme
from gateway_harness import PAIRS, Client, Job, aws_chunked, http_chunked, md5_header, noise

pytestmark = pytest.mark.parametrize("pair", PAIRS, indirect=True, ids="-".join)

PAYLOAD = noise(150_000, "payload")
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SHA = "x-amz-content-sha256"
LENGTH = "x-amz-decoded-content-length"


def encoded(value: int | bytes, size: int = 0) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else value.to_bytes(size, "big")).decode()


def checksums(content: bytes) -> dict[str, str]:
    return {
        "crc32": encoded(zlib.crc32(content), 4),
        "crc32c": encoded(crc32c(content), 4),
        "crc64nvme": encoded(crc64nvme(content), 8),
        "sha1": encoded(hashlib.sha1(content).digest()),
        "sha256": encoded(hashlib.sha256(content).digest()),
    }


SUMS = checksums(PAYLOAD)
WRONG = checksums(b"something else")
TRAILER = {"x-amz-trailer": "x-amz-checksum-crc32"}
TRAILER_LINE = f"x-amz-checksum-crc32:{SUMS['crc32']}\r\n".encode()
DECODED = {LENGTH: str(len(PAYLOAD))}


@dataclass(frozen=True)
class Sent:
    """A body as it goes over the wire; `raw`: with its own transfer-encoding."""

    name: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = PAYLOAD
    chunked: bool = False
    echo: str | None = None
    """The checksum algorithm whose value the answer must repeat."""


def signed(content: bytes = PAYLOAD, size: int = 64 << 10) -> bytes:
    return aws_chunked(content, sizes=[size] * (len(content) // size + 1), signed=True)


GOOD = [
    Sent("plain"),
    Sent("sha256 in hex", {SHA: hashlib.sha256(PAYLOAD).hexdigest()}),
    Sent("unsigned payload", {SHA: "UNSIGNED-PAYLOAD"}),
    Sent("content-md5", {"content-md5": md5_header(PAYLOAD)}),
    Sent("transfer-encoding", chunked=True),
    Sent("transfer-encoding, sha256", {SHA: hashlib.sha256(PAYLOAD).hexdigest()}, chunked=True),
    *(Sent(name, {f"x-amz-checksum-{name}": value}, echo=name) for name, value in SUMS.items()),
    Sent("unknown checksum", {"x-amz-checksum-md7": "AAAA", "x-amz-sdk-checksum-algorithm": "MD7"}),
    Sent("signed chunks, no content-encoding", {SHA: SIGNED} | DECODED, signed()),
    Sent("signed chunks of 5 bytes", {SHA: SIGNED, LENGTH: "60"}, signed(PAYLOAD[:60], 5)),
    Sent("signed chunk of everything", {SHA: SIGNED} | DECODED, signed(size=len(PAYLOAD))),
    Sent("signed, md5 of the payload", {SHA: SIGNED, "content-md5": md5_header(PAYLOAD)} | DECODED, signed()),
    Sent(
        "signed, checksum header",
        {SHA: SIGNED, "x-amz-checksum-crc32": SUMS["crc32"]} | DECODED,
        signed(),
        echo="crc32",
    ),
    Sent(
        "unsigned trailer with length",
        {SHA: UNSIGNED_TRAILER, "content-encoding": "aws-chunked"} | TRAILER | DECODED,
        aws_chunked(PAYLOAD, sizes=(len(PAYLOAD),), trailers=[TRAILER_LINE]),
        echo="crc32",
    ),
    Sent(
        "unsigned trailer inside transfer-encoding",
        {SHA: UNSIGNED_TRAILER, "content-encoding": "aws-chunked"} | TRAILER | DECODED,
        aws_chunked(PAYLOAD, sizes=(1, 3, 9), trailers=[TRAILER_LINE]),
        chunked=True,
        echo="crc32",
    ),
    Sent(
        "unsigned trailer, no trailer", {SHA: UNSIGNED_TRAILER} | DECODED, aws_chunked(PAYLOAD), chunked=True
    ),
    Sent(
        "signed trailer, minio's LF",
        {SHA: SIGNED_TRAILER} | TRAILER | DECODED,
        aws_chunked(
            PAYLOAD,
            signed=True,
            trailers=[
                TRAILER_LINE.replace(b"\r\n", b"\n") + b"\r\n",
                b"x-amz-trailer-signature:" + b"0" * 64 + b"\r\n",
            ],
        ),
        echo="crc32",
    ),
    *(
        Sent(
            f"trailer {name}",
            {SHA: UNSIGNED_TRAILER, "x-amz-trailer": f"x-amz-checksum-{name}"} | DECODED,
            aws_chunked(PAYLOAD, trailers=[f"x-amz-checksum-{name}:{value}\r\n".encode()]),
            echo=name,
        )
        for name, value in SUMS.items()
    ),
]


def send(client: Client, target: str, sent: Sent) -> tuple[int, str | None, dict[str, str]]:
    if sent.chunked:
        headers = sent.headers | {"transfer-encoding": "chunked"}
        answer = client.ask("PUT", target, headers=headers, raw_body=http_chunked(sent.body))
    else:
        answer = client.ask("PUT", target, sent.body, sent.headers)
    return answer.status, answer.code, answer.headers


def test_every_framing_stores_the_same_object(own_reads_job: Job) -> None:
    """Traps 1 and 2: chunk headers in objects, and 411 for a body without length."""
    client = own_reads_job.client
    etag = client.put("/out/reference", PAYLOAD).etag
    for sent in GOOD:
        status, code, headers = send(client, "/out/k", sent)
        assert (status, code) == (200, None), sent.name
        expected = PAYLOAD[:60] if "5 bytes" in sent.name else PAYLOAD
        got = client.get("/out/k")
        assert got.body == expected, sent.name
        assert "content-encoding" not in got.headers, sent.name
        if len(expected) == len(PAYLOAD):
            assert headers["etag"] == got.etag == etag, sent.name
        echoed = {name for name in headers if name.startswith("x-amz-checksum-")}
        if sent.echo:
            assert headers[f"x-amz-checksum-{sent.echo}"] == SUMS[sent.echo], sent.name
            assert echoed == {f"x-amz-checksum-{sent.echo}", "x-amz-checksum-type"}, sent.name
        else:
            assert echoed == set(), sent.name


def test_every_framing_makes_a_part(own_reads_job: Job) -> None:
    client = own_reads_job.client
    upload = client.create_upload("/out/k")
    for number, sent in enumerate(GOOD, 1):
        status, code, headers = send(client, f"/out/k?partNumber={number}&uploadId={upload}", sent)
        assert (status, code) == (200, None), sent.name
        if sent.echo:
            assert headers[f"x-amz-checksum-{sent.echo}"] == SUMS[sent.echo], sent.name
    sizes = client.get(f"/out/k?uploadId={upload}").texts("Part/Size")
    assert set(sizes) == {"60", str(len(PAYLOAD))}


def test_a_zero_byte_marker_with_86_bytes_of_framing_is_empty(job: Job) -> None:
    """Trap 3: S3A frames even nothing."""
    body = aws_chunked(b"", signed=True)
    assert len(body) == 86
    job.client.put("/out/dir/", body, {SHA: SIGNED, LENGTH: "0", "content-type": "application/x-directory"})
    head = job.client.head("/out/dir/")
    assert (head.headers["content-length"], head.headers["content-type"]) == ("0", "application/x-directory")


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("aws-chunked", None), ("aws-chunked,", None), ("gzip,aws-chunked", "gzip"), ("aws-chunked, br", "br")],
)
def test_aws_chunked_is_never_stored_as_an_encoding(job: Job, sent: str, stored: str | None) -> None:
    body = signed(b"data")
    job.client.put("/out/k", body, {SHA: SIGNED, LENGTH: "4", "content-encoding": sent})
    assert job.client.head("/out/k").headers.get("content-encoding") == stored


BAD = [
    ("sha256 in hex", Sent("", {SHA: hashlib.sha256(b"x").hexdigest()}), "XAmzContentSHA256Mismatch"),
    ("content-md5", Sent("", {"content-md5": md5_header(b"x")}), "BadDigest"),
    ("malformed content-md5", Sent("", {"content-md5": "rubbish"}), "InvalidDigest"),
    ("short content-md5", Sent("", {"content-md5": "AAAA"}), "InvalidDigest"),
    *((name, Sent("", {f"x-amz-checksum-{name}": value}), "BadDigest") for name, value in WRONG.items()),
    ("malformed crc32", Sent("", {"x-amz-checksum-crc32": "!"}), "InvalidRequest"),
    (
        "one of two",
        Sent("", {"x-amz-checksum-crc32": SUMS["crc32"], "content-md5": md5_header(b"x")}),
        "BadDigest",
    ),
    *(
        (
            f"trailer {name}",
            Sent(
                "",
                {SHA: UNSIGNED_TRAILER, "x-amz-trailer": f"x-amz-checksum-{name}"} | DECODED,
                aws_chunked(PAYLOAD, trailers=[f"x-amz-checksum-{name}:{value}\r\n".encode()]),
                chunked=True,
            ),
            "BadDigest",
        )
        for name, value in WRONG.items()
    ),
    (
        "declared trailer absent",
        Sent("", {SHA: UNSIGNED_TRAILER} | TRAILER | DECODED, aws_chunked(PAYLOAD)),
        "MalformedTrailerError",
    ),
    (
        "trailer of another name",
        Sent(
            "",
            {SHA: UNSIGNED_TRAILER, "x-amz-trailer": "x-amz-checksum-sha1"} | DECODED,
            aws_chunked(PAYLOAD, trailers=[TRAILER_LINE]),
        ),
        "MalformedTrailerError",
    ),
    ("decoded length too small", Sent("", {SHA: SIGNED, LENGTH: "149999"}, signed()), "IncompleteBody"),
    ("decoded length too large", Sent("", {SHA: SIGNED, LENGTH: "150001"}, signed()), "IncompleteBody"),
    ("decoded length is no number", Sent("", {SHA: SIGNED, LENGTH: "ten"}, signed()), "InvalidArgument"),
    ("decoded length is missing", Sent("", {SHA: SIGNED}, signed()), "MissingContentLength"),
    ("framing cut off", Sent("", {SHA: SIGNED} | DECODED, signed()[:-10]), "IncompleteBody"),
    ("framing cut in a chunk", Sent("", {SHA: SIGNED} | DECODED, signed()[:70_000]), "IncompleteBody"),
    ("no framing at all", Sent("", {SHA: SIGNED} | DECODED), "IncompleteBody"),
    ("chunk size is no number", Sent("", {SHA: SIGNED} | DECODED, b"zz" + signed()), "IncompleteBody"),
    ("bytes after the last chunk", Sent("", {SHA: SIGNED} | DECODED, signed() + b"more"), "IncompleteBody"),
]


@pytest.mark.parametrize("key", ["k", "new"])
def test_a_body_that_is_not_what_its_client_says_leaves_nothing(own_reads_job: Job, key: str) -> None:
    client = own_reads_job.client
    client.put("/out/k", b"before")
    before = client.snapshot("out")
    wrong = []
    for name, sent, code in BAD:
        status, found, _ = send(client, f"/out/{key}", sent)
        if (status, found) != (411 if code == "MissingContentLength" else 400, code):
            wrong.append(f"{name}: {status} {found}, not {code}")
        assert client.snapshot("out") == before, name
    assert wrong == []
    assert client.get("/out/k").body == b"before"
    assert client.head("/out/new").status == 404


def test_a_part_that_is_not_what_its_client_says_is_not_stored(job: Job) -> None:
    upload = job.client.create_upload("/out/k")
    for name, sent, code in BAD:
        _, found, _ = send(job.client, f"/out/k?partNumber=1&uploadId={upload}", sent)
        assert found == code, name
    assert job.client.get(f"/out/k?uploadId={upload}").texts("Part/PartNumber") == []


def test_messages_name_both_digests(job: Job) -> None:
    answer = job.client.ask("PUT", "/out/k", PAYLOAD, {"content-md5": md5_header(b"x")})
    assert answer.text("ExpectedDigest") == md5_header(b"x")
    assert answer.text("CalculatedDigest") == md5_header(PAYLOAD)
    answer = job.client.ask("PUT", "/out/k", PAYLOAD, {SHA: hashlib.sha256(b"x").hexdigest()})
    assert answer.text("S3ComputedContentSHA256") == hashlib.sha256(PAYLOAD).hexdigest()


def test_a_put_without_any_length_is_411(job: Job) -> None:
    answer = job.client.ask("PUT", "/out/k")
    assert (answer.status, answer.code) == (411, "MissingContentLength")
    assert job.client.keys("out") == []


@pytest.mark.parametrize("size", [100, 5_000_000])
def test_a_truncated_body_leaves_nothing(own_reads_job: Job, size: int) -> None:
    """The peer sends less than it promised and closes its side."""
    client = own_reads_job.client
    client.put("/out/k", b"before")
    before = client.snapshot("out")
    head = Client.render_head("PUT", "/out/k", {"content-length": str(size)})
    connection = client.connect()
    connection.sendall(head + noise(size // 2))
    connection.shutdown(socket.SHUT_WR)
    answer = client.read("PUT")
    assert (answer.status, answer.code) == (400, "IncompleteBody")
    client.close()
    assert client.snapshot("out") == before
    assert client.get("/out/k").body == b"before"


def test_a_client_that_vanishes_leaves_nothing(own_reads_job: Job) -> None:
    client = own_reads_job.client
    upload = client.create_upload("/out/p")
    for target in ("/out/k", f"/out/p?partNumber=1&uploadId={upload}"):
        client.connect().sendall(
            Client.render_head("PUT", target, {"content-length": "3000000"}) + noise(2_000_000)
        )
        client.close()
    head = Client.render_head("PUT", "/out/k", {"transfer-encoding": "chunked"})
    client.connect().sendall(head + b"3\r\nabc\r\n")
    client.close()
    assert client.keys("out") == []
    assert client.get(f"/out/p?uploadId={upload}").texts("Part/PartNumber") == []


def test_broken_transfer_encoding_leaves_nothing(job: Job) -> None:
    answer = job.client.ask(
        "PUT", "/out/k", headers={"transfer-encoding": "chunked"}, raw_body=b"3\r\nabc\r\nxyz\r\n\r\n"
    )
    assert (answer.status, answer.code) == (400, "IncompleteBody")
    assert job.client.keys("out") == []


@pytest.mark.parametrize("value", ["100-continue", "100-Continue"])
def test_100_continue_comes_at_once_and_only_once(own_reads_job: Job, value: str) -> None:
    """Traps 4 and 5: s3fs waits for it without any time-out."""
    client = own_reads_job.client
    connection = client.connect()
    connection.sendall(Client.render_head("PUT", "/out/k", {"expect": value, "content-length": "5"}))
    assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(b"hello")
    assert client.read("PUT").status == 200
    assert client.get("/out/k").body == b"hello"


def test_a_client_that_does_not_wait_for_100_is_served(own_reads_job: Job) -> None:
    """Trap 4: CRT sends the body behind the head."""
    client = own_reads_job.client
    head = Client.render_head("PUT", "/out/k", {"expect": "100-continue"}, PAYLOAD)
    assert client.exchange(head + PAYLOAD, "PUT").status == 200
    assert client.get("/out/k").body == PAYLOAD


def test_expect_on_a_body_of_zero_bytes_gets_its_100_too(job: Job) -> None:
    """Trap 4: so does botocore; without the 100 it hangs in its next request."""
    connection = job.client.connect()
    for _ in range(2):
        connection.sendall(Client.render_head("PUT", "/out/dir/", {"expect": "100-continue"}, b""))
        assert connection.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert job.client.read("PUT").status == 200
    assert job.client.keys("out") == ["dir/"]


def test_a_refusal_instead_of_100_ends_the_connection(job: Job) -> None:
    """Study 6.4: the server cannot know whether the body still comes."""
    head = Client.render_head("PUT", "/inp/k", {"expect": "100-continue", "content-length": "5"})
    answer = job.client.exchange(head, "PUT")
    assert (answer.code, answer.headers["connection"]) == ("AccessDenied", "close")


def test_a_body_byte_by_byte(own_reads_job: Job) -> None:
    client = own_reads_job.client
    body = aws_chunked(PAYLOAD[:100], sizes=(7, 40), signed=True)
    data = Client.render_head("PUT", "/out/k", {SHA: SIGNED, LENGTH: "100"}, body) + body
    connection = client.connect()
    for index in range(len(data)):
        connection.sendall(data[index : index + 1])
    assert client.read("PUT").status == 200
    assert client.get("/out/k").body == PAYLOAD[:100]


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_000])
def test_bodies_around_the_sizes_of_buffers(own_reads_job: Job, size: int) -> None:
    content = noise(size)
    own_reads_job.client.put("/out/k", content, {"content-md5": md5_header(content)})
    assert own_reads_job.client.get("/out/k").body == content


@pytest.mark.parametrize("seed", range(6))
def test_chunks_of_any_size_in_pieces_of_any_size(own_reads_job: Job, seed: int) -> None:
    """Chunk headers split over reads and blocks, chunks of a byte and chunks longer than a block."""
    pick = random.Random(seed)
    content = noise(pick.randrange(600_000, 4_000_000), f"chunks {seed}")
    sizes = [pick.choice((1, 7, 8192, 65536, 131072, 262144, 1 << 20, 3 << 20)) for _ in range(60)]
    trailer = f"x-amz-checksum-crc64nvme:{checksums(content)['crc64nvme']}\r\n".encode()
    mode, is_signed = pick.choice(((SIGNED_TRAILER, True), (UNSIGNED_TRAILER, False)))
    body = aws_chunked(content, sizes=sizes, signed=is_signed, trailers=[trailer])
    headers = {SHA: mode, LENGTH: str(len(content)), "x-amz-trailer": "x-amz-checksum-crc64nvme"}
    if seed % 2:
        headers["x-amz-meta-way"] = "past no handler"
    client = own_reads_job.client
    message = Client.render_head("PUT", "/out/k", headers, body) + body
    connection, start = client.connect(), 0
    while start < len(message):
        end = start + pick.choice((1, 500, 4096, 70_000, 300_000))
        connection.sendall(message[start:end])
        start = end
    assert client.read("PUT").status == 200
    assert client.get("/out/k").body == content

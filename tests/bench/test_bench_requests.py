"""What is sent: signatures that servers accept and that differ, and bodies with right digests."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from awscrt.checksums import crc64nvme

from sidegate.bench.cells import CELLS, choose, measured_anywhere
from sidegate.bench.corpus import SCALES, incompressible, large_object, measurements, small_object
from sidegate.bench.endpoints import Endpoint
from sidegate.bench.framing import STREAMING, DigestBodies, frame
from sidegate.bench.plans import (
    bare_exchanges,
    completion,
    copy_exchanges,
    etag_of,
    expectations,
    payload_of,
    reading_exchanges,
    stored_objects,
)
from sidegate.bench.signing import Keys, Signer
from sidegate.bench.target import Target
from sidegate.errors import Invalid
from sidegate.native import AwsChunkedDecoder
from sidegate.native.exchange import KEPT_BYTES, Payload
from sidegate.s3.credentials import SignedRequest
from sidegate.s3.headers import Headers
from sidegate.s3.signature_v4 import verify_header, verify_query
from sidegate.s3.target import parse_target

NOW = 1_770_000_000.0
KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SMOKE = SCALES["smoke"]


def signer(style: Any = "presigned", keys: Keys | None = KEYS) -> Signer:
    return Signer("127.0.0.1:9000", style, keys, lambda: NOW)


def parsed(head: bytes) -> SignedRequest:
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, _ = first.split(b" ")
    headers = Headers([(n.lower(), v) for n, _, v in (line.partition(b": ") for line in lines)])
    return SignedRequest(method.decode(), target, parse_target(target, None), headers)


def secret_of(access_key: str) -> str | None:
    return KEYS.secret_key if access_key == KEYS.access_key else None


PATHS = ["/bucket/small/000001.bin", "/bucket/ä b+c%/~x", "/bucket"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", [(), [("list-type", "2"), ("prefix", "keys/a b"), ("delimiter", "/")]])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_server_accepts_what_is_signed(path: str, query: Any, method: str) -> None:
    fields = {"x-amz-copy-source": "/bucket/other", "range": "bytes=0-1"}
    request = parsed(signer().head(method, path, query, fields, variant=5))
    assert verify_query(request, secret_of, NOW + 10) == KEYS.access_key
    request = parsed(signer("header").head(method, path, query, fields, payload_hash="a" * 64, variant=5))
    authorization = request.headers.text(b"authorization") or ""
    assert verify_header(request, authorization, secret_of, NOW + 10) == KEYS.access_key
    assert request.headers.text(b"x-amz-content-sha256") == "a" * 64


@pytest.mark.parametrize("style", ["presigned", "header"])
def test_variants_have_different_signatures(style: Any) -> None:
    heads = {signer(style).head("GET", "/bucket/key", variant=number) for number in range(100)}
    signatures = {head.lower().split(b"signature=")[1][:64] for head in heads}
    assert len(signatures) == 100


def test_a_token_of_temporary_keys_is_signed() -> None:
    keys = Keys(KEYS.access_key, KEYS.secret_key, token="a/token+==")
    request = parsed(signer(keys=keys).head("GET", "/bucket/key"))
    assert request.target.query["X-Amz-Security-Token"] == "a/token+=="
    assert verify_query(request, secret_of, NOW) == KEYS.access_key
    request = parsed(signer("header", keys).head("GET", "/bucket/key"))
    assert request.headers.text(b"x-amz-security-token") == "a/token+=="
    assert verify_header(request, request.headers.text(b"authorization") or "", secret_of, NOW)


def test_none_signs_nothing() -> None:
    head = signer("none").head("PUT", "/bucket/key", payload_hash="a" * 64)
    assert b"ignature" not in head
    assert b"x-amz-content-sha256: " + b"a" * 64 in head
    assert signer("none").in_style("header").style == "none"


def test_sha256_is_that_of_the_body() -> None:
    bodies = DigestBodies("sha256", incompressible(100_000))
    digested = list(bodies.digests(7, 3))
    wanted = [hashlib.sha256(bodies.payload.of(serial)).hexdigest() for serial in (7, 8, 9)]
    assert [one.payload_hash for one in digested] == wanted
    assert len(set(wanted)) == 3
    assert bodies.sent_bytes == 100_000


@pytest.mark.parametrize("size_bytes", [10, 1 << 20, (1 << 20) + 1, 5_000_000])
def test_aws_chunked_bodies_decode_to_the_payload_with_its_checksum(size_bytes: int) -> None:
    bodies = DigestBodies("crc64nvme", incompressible(size_bytes))
    for serial, digested in enumerate(bodies.digests(40, 2), 40):
        sent = bodies.framed.of(serial) + digested.tail
        assert len(sent) == bodies.sent_bytes
        decoder = AwsChunkedDecoder(signed=False, trailers=True)
        assert decoder.feed(sent) == bodies.payload.of(serial)
        assert decoder.finished
        ((name, value),) = decoder.trailers
        assert name == digested.headers["x-amz-trailer"]
        assert digested.payload_hash == STREAMING
        import base64

        assert int.from_bytes(base64.b64decode(value), "big") == crc64nvme(bodies.payload.of(serial))


def test_framing_moves_stamps_along() -> None:
    payload = Payload(bytes(3 << 20), (0, 1 << 20, (3 << 20) - 8))
    for offset, moved in zip(payload.stamps, frame(payload).stamps, strict=True):
        assert moved > offset


@pytest.mark.parametrize(
    "cell",
    [cell for cell in CELLS if cell.operation in ("head", "get", "range", "list", "folders", "open")],
    ids=str,
)
def test_reading_requests_differ_and_can_be_judged(cell: Any) -> None:
    target = Target(Endpoint("x", "127.0.0.1", 9000), signer(), "bucket", "bucket", "many", "branch")
    exchanges = reading_exchanges(cell, target, SMOKE)
    assert len({exchange.head for exchange in exchanges}) == len(exchanges) > 30
    assert all(len(exchange.body or b"") <= KEPT_BYTES // 2 for exchange in exchanges)
    assert next(expectations(cell, target, SMOKE, 1)).path.startswith("/")
    if cell.operation != "open":
        bare = bare_exchanges(cell, target, SMOKE)
        assert len({exchange.head for exchange in bare}) == len(bare)


def test_a_folder_of_a_bucket_is_listed_inside_of_it() -> None:
    (cell,) = (cell for cell in CELLS if cell.name == "list-folders")
    target = Target(Endpoint("x", "127.0.0.1", 9000), signer(), "bucket/folder", "bucket/folder")
    request = parsed(reading_exchanges(cell, target, SMOKE)[0].head)
    assert request.raw_path == b"/bucket"
    assert request.target.query["prefix"] == "folder/keys/"


def test_copies_are_of_the_object_that_is_loaded() -> None:
    (cell,) = (cell for cell in CELLS if cell.name == "copy-64m")
    target = Target(Endpoint("x", "127.0.0.1", 9000), signer(), "in", "out")
    request = parsed(copy_exchanges(cell, target, SMOKE, None)[0].head)
    (stored,) = stored_objects(cell, SMOKE)
    assert request.headers.text(b"x-amz-copy-source") == f"/in/{stored.key}"


def test_objects_are_read_as_they_are_stored() -> None:
    stored = large_object(SCALES["small"])
    assert len(stored.serials) == 2
    step = len(stored.payload.template)
    assert stored.read(step - 10, step + 10) == (
        stored.payload.of(stored.serials[0])[-10:] + stored.payload.of(stored.serials[1])[:10]
    )
    assert small_object(3).read(0, 4096) != small_object(4).read(0, 4096)


def test_measurements_compress_and_random_bodies_do_not() -> None:
    import zlib

    assert len(zlib.compress(measurements(1 << 20).of(1))) < 500_000
    assert len(zlib.compress(incompressible(1 << 20).of(1))) > 1 << 20
    (cell,) = (cell for cell in CELLS if cell.name == "csv-put-64m")
    assert payload_of(cell, SMOKE).template.startswith(b"sample,station")


def test_completion_names_the_parts() -> None:
    answer = b'HTTP/1.1 200 OK\r\nEtag: "abc-1"\r\nContent-Length: 0\r\n\r\n'
    assert etag_of(answer) == '"abc-1"'
    assert etag_of(b"HTTP/1.1 200 OK\r\n\r\netag: no") == ""
    assert b'<PartNumber>2</PartNumber><ETag>"abc-1"</ETag>' in completion(["x", etag_of(answer)])


def test_cells_are_chosen_by_pattern() -> None:
    assert [cell.name for cell in choose(["get-*m"])] == ["get-8m", "get-64m"]
    assert [cell.name for cell in choose(["complete-64m"])] == ["multipart-64m", "complete-64m"]
    assert len(choose(["*"])) == len(CELLS) == len({cell.name for cell in CELLS})
    assert {"list-1000-of-1m", "get-4k-open"}.isdisjoint(cell.name for cell in measured_anywhere())
    with pytest.raises(Invalid, match="no cell is called 'nope'"):
        choose(["head", "nope"])

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

import pytest

from sidegate.s3.checksums import ALGORITHMS, encode_digest
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.payload import PayloadDecoder, PayloadDigests, decode_document

DATA = bytes(range(256)) * 20
SIGNATURE = b"a" * 64


def b64(name: str, data: bytes = DATA) -> str:
    hasher = ALGORITHMS[name].new()
    hasher.update(data)
    return encode_digest(hasher.digest())


def headers(**values: bytes) -> Headers:
    return Headers([(name.replace("_", "-").encode(), value) for name, value in values.items()])


def chunked(data: bytes, *, signed: bool = False, size: int = 1000, end: bytes = b"\r\n") -> bytes:
    extension = b";chunk-signature=" + SIGNATURE if signed else b""
    chunks = [data[offset : offset + size] for offset in range(0, len(data), size)] + [b""]
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return body.removesuffix(b"\r\n") + end


def streaming(mode: bytes, length: int | None = len(DATA), **more: bytes) -> Headers:
    if length is not None:
        more["x_amz_decoded_content_length"] = b"%d" % length
    return headers(x_amz_content_sha256=mode, **more)


SIGNED = b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = SIGNED + b"-TRAILER"
UNSIGNED_TRAILER = b"STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CRC_TRAILER = b"x-amz-checksum-crc32:" + b64("crc32").encode()


def splits(body: bytes) -> Iterator[list[bytes]]:
    yield [body]
    yield [body[index : index + 1] for index in range(len(body))]
    yield [body[: len(body) // 3], b"", body[len(body) // 3 :]]


def decode(request: Headers, length: int | None, blocks: list[bytes]) -> tuple[bytes, PayloadDigests]:
    decoder = PayloadDecoder.from_headers(request, length)
    data = b"".join(bytes(decoder.feed(block)) for block in blocks)
    return data, decoder.finish()


def refusal(request: Headers, length: int | None, body: bytes) -> S3Error:
    with pytest.raises(S3Error) as caught:
        decode(request, length, [body])
    return caught.value


FRAMINGS = [
    ("plain", headers(), DATA),
    ("unsigned over http", headers(x_amz_content_sha256=b"UNSIGNED-PAYLOAD"), DATA),
    ("hashed", headers(x_amz_content_sha256=hashlib.sha256(DATA).hexdigest().encode()), DATA),
    ("S3A: signed, no content-encoding", streaming(SIGNED), chunked(DATA, signed=True)),
    (
        "pyarrow: unsigned trailer",
        streaming(UNSIGNED_TRAILER, x_amz_trailer=b"x-amz-checksum-crc32"),
        chunked(DATA, end=CRC_TRAILER + b"\r\n\r\n"),
    ),
    (
        "CRT: one chunk",
        streaming(UNSIGNED_TRAILER, x_amz_trailer=b"x-amz-checksum-crc32"),
        chunked(DATA, size=1 << 20, end=CRC_TRAILER + b"\r\n\r\n"),
    ),
    (
        "minio-go: signed trailer with a bare line feed",
        streaming(SIGNED_TRAILER, x_amz_trailer=b"x-amz-checksum-crc32"),
        chunked(
            DATA,
            signed=True,
            end=CRC_TRAILER + b"\n\r\nx-amz-trailer-signature:" + SIGNATURE + b"\r\n\r\n",
        ),
    ),
    ("no trailer announced, none sent", streaming(UNSIGNED_TRAILER), chunked(DATA)),
]


@pytest.mark.parametrize(("name", "request_headers", "body"), FRAMINGS, ids=[name for name, _, _ in FRAMINGS])
def test_trap_1_and_2_every_framing_however_split(name: str, request_headers: Headers, body: bytes) -> None:
    for blocks in splits(body):
        for length in (len(body), None):
            data, digests = decode(request_headers, length, blocks)
            assert data == DATA
            assert digests.size_bytes == len(DATA)


def test_trap_1_content_encoding_does_not_choose_the_framing() -> None:
    data, _ = decode(headers(content_encoding=b"aws-chunked"), len(DATA), [DATA])
    assert data == DATA


def test_trap_3_a_marker_of_86_bytes_has_none() -> None:
    body = chunked(b"", signed=True)
    assert len(body) == 86
    data, digests = decode(streaming(SIGNED, 0), len(body), [body])
    assert (data, digests.size_bytes) == (b"", 0)


def test_a_plain_block_is_not_copied() -> None:
    decoder = PayloadDecoder.from_headers(headers(x_amz_checksum_crc32=b64("crc32").encode()), len(DATA))
    view = memoryview(DATA)
    assert decoder.feed(view) is view
    assert not decoder.framed
    decoder.finish()


def test_only_digests_that_were_asked_for_are_computed() -> None:
    assert not PayloadDecoder.from_headers(headers(), 1).digests_needed
    assert not PayloadDecoder.from_headers(headers(x_amz_checksum_xxhash64=b"x"), 1).digests_needed
    assert PayloadDecoder.from_headers(headers(content_md5=b64md5(b"")), 1).digests_needed
    assert PayloadDecoder.from_headers(headers(), 1, md5=True).digests_needed


def b64md5(data: bytes) -> bytes:
    return base64.b64encode(hashlib.md5(data).digest())


def test_what_the_server_wants_is_computed_but_not_echoed() -> None:
    decoder = PayloadDecoder.from_headers(headers(), None, md5=True, checksums=("crc64nvme",))
    decoder.feed(b"abc")
    digests = decoder.finish()
    assert digests.md5_hex == hashlib.md5(b"abc").hexdigest()
    assert digests.computed == (("crc64nvme", "BeXKuz/B+us="),)
    assert digests.checksums == ()
    assert digests.echo_headers() == ()


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_checksum_headers_are_verified_and_echoed(name: str) -> None:
    good = Headers([(f"x-amz-checksum-{name}".encode(), b64(name).encode())])
    _, digests = decode(good, len(DATA), [DATA])
    assert digests.checksums == ((name, b64(name)),)
    assert digests.echo_headers() == (
        (f"x-amz-checksum-{name}".encode(), b64(name).encode()),
        (b"x-amz-checksum-type", b"FULL_OBJECT"),
    )
    assert refusal(good, len(DATA), DATA[:-1] + b"x").code == "BadDigest"
    malformed = Headers([(f"x-amz-checksum-{name}".encode(), b"x")])
    assert refusal(malformed, len(DATA), DATA).code == "InvalidRequest"


def test_an_unknown_algorithm_is_never_refused() -> None:
    request = headers(x_amz_checksum_xxhash64=b"?", x_amz_sdk_checksum_algorithm=b"XXHASH64")
    assert decode(request, len(DATA), [DATA])[1].checksums == ()
    trailing = streaming(UNSIGNED_TRAILER, x_amz_trailer=b"x-amz-checksum-xxhash64")
    body = chunked(DATA, end=b"x-amz-checksum-xxhash64:abc\r\n\r\n")
    assert decode(trailing, None, [body])[1].checksums == ()


def test_trailing_checksums_are_verified_and_echoed() -> None:
    request = streaming(UNSIGNED_TRAILER, x_amz_trailer=b"x-amz-checksum-crc32")
    _, digests = decode(request, None, [chunked(DATA, end=CRC_TRAILER + b"\r\n\r\n")])
    assert digests.checksums == (("crc32", b64("crc32")),)
    wrong = chunked(DATA, end=b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n")
    assert refusal(request, None, wrong).code == "BadDigest"


@pytest.mark.parametrize(
    ("announced", "end"),
    [
        (b"x-amz-checksum-crc32", b"\r\n"),
        (b"x-amz-checksum-crc32", b"x-amz-checksum-crc32c:AAAAAA==\r\n\r\n"),
        (b"", CRC_TRAILER + b"\r\n\r\n"),
        (b"x-amz-checksum-crc32", b"no colon\r\n\r\n"),
    ],
)
def test_trailers_that_do_not_match_the_announcement(announced: bytes, end: bytes) -> None:
    request = streaming(UNSIGNED_TRAILER, x_amz_trailer=announced)
    assert refusal(request, None, chunked(DATA, end=end)).code == "MalformedTrailerError"


def test_a_trailer_without_a_mode_that_has_trailers() -> None:
    request = streaming(SIGNED, x_amz_trailer=b"x-amz-checksum-crc32")
    assert refusal(request, None, b"").code == "MalformedTrailerError"
    request = streaming(UNSIGNED_TRAILER, x_amz_trailer=b"x-surprise")
    assert refusal(request, None, b"").code == "InvalidRequest"


def test_content_md5_is_that_of_the_payload_without_framing() -> None:
    request = streaming(SIGNED, content_md5=b64md5(DATA))
    assert decode(request, None, [chunked(DATA, signed=True)])[1].md5_hex == hashlib.md5(DATA).hexdigest()
    assert refusal(headers(content_md5=b64md5(b"")), len(DATA), DATA).code == "BadDigest"


@pytest.mark.parametrize("value", [b"", b"garbage", b"AAAA", b"=" * 24])
def test_a_malformed_content_md5_is_refused_before_the_body(value: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        PayloadDecoder.from_headers(headers(content_md5=value), 0)
    assert caught.value.code == "InvalidDigest"


def test_another_payload_than_was_signed() -> None:
    error = refusal(headers(x_amz_content_sha256=b"0" * 64), len(DATA), DATA)
    assert error.code == "XAmzContentSHA256Mismatch"
    assert error.fields["S3ComputedContentSHA256"] == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("found", [len(DATA) - 1, len(DATA) + 1])
def test_another_length_than_announced_is_an_incomplete_body(found: int) -> None:
    assert refusal(headers(), found, DATA).code == "IncompleteBody"
    assert refusal(streaming(SIGNED, found), None, chunked(DATA, signed=True)).code == "IncompleteBody"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        DATA,
        chunked(DATA, signed=True)[:-90],
        chunked(DATA),  # unsigned chunks in a signed body
        chunked(DATA, signed=True) + b"more",
        b"zz\r\n",
    ],
)
def test_broken_framing_is_an_incomplete_body(body: bytes) -> None:
    assert refusal(streaming(SIGNED), None, body).code == "IncompleteBody"


def test_a_streaming_payload_needs_its_length() -> None:
    with pytest.raises(S3Error) as caught:
        PayloadDecoder.from_headers(streaming(SIGNED, None), 10)
    assert (caught.value.code, caught.value.status) == ("MissingContentLength", 411)
    malformed = headers(x_amz_content_sha256=SIGNED, x_amz_decoded_content_length=b"-1")
    with pytest.raises(S3Error, match="length"):
        PayloadDecoder.from_headers(malformed, 10)


def test_documents() -> None:
    request = streaming(SIGNED, 3, x_amz_checksum_crc32=b"AAAAAA==")
    body = chunked(b"<a>", signed=True)
    assert decode_document(request, body, ignore_checksums=True) == b"<a>"
    with pytest.raises(S3Error, match="CRC32"):
        decode_document(request, body)


@pytest.mark.parametrize(
    "mode", [b"abc", b"0" * 63, b"0" * 65, b"g" * 64, b"unsigned-payload", b"sha256:" + b"0" * 64]
)
def test_a_digest_that_is_none_is_refused(mode: bytes) -> None:
    """Not taken for the wish that nothing be verified."""
    error = refusal(headers(x_amz_content_sha256=mode), len(DATA), DATA)
    assert error.code == "InvalidArgument"
    assert error.fields["ArgumentName"] == "x-amz-content-sha256"

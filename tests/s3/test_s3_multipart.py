from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidegate.native.part_columns import PartColumns
from sidegate.s3.checksums import ALGORITHMS, encode_digest
from sidegate.s3.documents import CompletedPart, CompletedParts, parse_complete
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.multipart import (
    MINIMUM_PART_BYTES,
    CompleteUploadRequest,
    ListPartsRequest,
    StoredPart,
    UploadPartRequest,
    names_all,
    object_checksums,
    parse_abort_upload,
    parse_complete_upload,
    parse_copy_part,
    parse_create_upload,
    parse_list_parts,
    parse_upload_part,
    select_parts,
)
from sidegate.s3.target import parse_target

NONE = Headers([])
PART = parse_target(b"/out/k?partNumber=7&uploadId=u", None)
UPLOAD = parse_target(b"/out/k?uploadId=u", None)


def headers(**values: bytes) -> Headers:
    return Headers([(name.replace("_", "-").encode(), value) for name, value in values.items()])


def b64(name: str, data: bytes) -> str:
    hasher = ALGORITHMS[name].new()
    hasher.update(data)
    return encode_digest(hasher.digest())


@pytest.mark.parametrize(
    ("algorithm", "kind", "expected"),
    [
        (b"", b"", (None, None)),
        (b"CRC32", b"", ("crc32", "COMPOSITE")),
        (b"crc64nvme", b"", ("crc64nvme", "FULL_OBJECT")),
        (b"CRC32C", b"full_object", ("crc32c", "FULL_OBJECT")),
        (b"SHA256", b"COMPOSITE", ("sha256", "COMPOSITE")),
        (b"XXHASH3", b"", (None, None)),
    ],
)
def test_create(algorithm: bytes, kind: bytes, expected: tuple[str | None, str | None]) -> None:
    request = parse_create_upload(
        UPLOAD, headers(x_amz_checksum_algorithm=algorithm, x_amz_checksum_type=kind)
    )
    assert (request.algorithm, request.checksum_type) == expected


@pytest.mark.parametrize(
    ("algorithm", "kind"), [(b"SHA1", b"FULL_OBJECT"), (b"CRC64NVME", b"COMPOSITE"), (b"CRC32", b"OTHER")]
)
def test_create_refuses_impossible_types(algorithm: bytes, kind: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        parse_create_upload(UPLOAD, headers(x_amz_checksum_algorithm=algorithm, x_amz_checksum_type=kind))
    assert caught.value.code == "InvalidRequest"


def test_upload_part() -> None:
    assert parse_upload_part(PART, NONE) == UploadPartRequest("u", 7)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"/out/k?uploadId=u", "InvalidArgument"),
        (b"/out/k?uploadId=u&partNumber=0", "InvalidArgument"),
        (b"/out/k?uploadId=u&partNumber=10001", "InvalidArgument"),
        (b"/out/k?uploadId=u&partNumber=%C2%B2", "InvalidArgument"),
        (b"/out/k?uploadId=&partNumber=1", "NoSuchUpload"),
    ],
)
def test_bad_upload_part(raw: bytes, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_upload_part(parse_target(raw, None), NONE)
    assert caught.value.code == code


def test_copy_part() -> None:
    whole = parse_copy_part(PART, headers(x_amz_copy_source=b"inp/k"))
    assert whole.interval(10) == (0, 10)
    some = parse_copy_part(PART, headers(x_amz_copy_source=b"inp/k", x_amz_copy_source_range=b"bytes=2-3"))
    assert some.interval(10) == (2, 4)
    with pytest.raises(S3Error):
        some.interval(3)


def test_list_parts_and_abort() -> None:
    target = parse_target(b"/out/k?uploadId=u&part-number-marker=1500&max-parts=5000", None)
    assert parse_list_parts(target, NONE) == ListPartsRequest("u", 1500, 1000)
    assert parse_list_parts(UPLOAD, NONE) == ListPartsRequest("u", 0, 1000)
    assert parse_abort_upload(UPLOAD, NONE) == "u"


def test_complete() -> None:
    part = b"<Part><ETag>a</ETag><PartNumber>1</PartNumber></Part>"
    document = b"<CompleteMultipartUpload>" + part + b"</CompleteMultipartUpload>"
    request = parse_complete_upload(
        UPLOAD,
        headers(if_none_match=b"*", x_amz_checksum_crc32=b"AAAAAA==", x_amz_mp_object_size=b"3"),
        document,
    )
    assert request.parts.parts() == (CompletedPart(1, "a"),)
    assert request.checksums == (("crc32", "AAAAAA=="),)
    assert request.size_bytes == 3
    assert request.conditions is not None
    with pytest.raises(S3Error, match="precondition"):
        request.conditions.check("tag")
    with pytest.raises(S3Error, match="object-size"):
        parse_complete_upload(UPLOAD, headers(x_amz_mp_object_size=b"-1"), document)


STORED = {
    number: StoredPart(number, f"t{number}", size, 0, (("crc32", "AAAAAA=="),))
    for number, size in ((1, MINIMUM_PART_BYTES), (3, MINIMUM_PART_BYTES + 7), (9, 1))
}


def test_trap_29_uneven_parts_and_gaps_are_legal() -> None:
    chosen = select_parts([CompletedPart(1, "t1"), CompletedPart(3, "t3"), CompletedPart(9, "t9")], STORED)
    assert [part.number for part in chosen] == [1, 3, 9]
    assert select_parts([CompletedPart(9, "t9")], STORED) == [STORED[9]]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([CompletedPart(2, "t2")], "InvalidPart"),
        ([CompletedPart(1, "other")], "InvalidPart"),
        ([CompletedPart(1, "t1", (("crc32", "BBBBBB=="),))], "InvalidPart"),
        ([CompletedPart(9, "t9"), CompletedPart(10, "t9")], "InvalidPart"),
    ],
)
def test_parts_must_be_those_uploaded(parts: list[CompletedPart], code: str) -> None:
    with pytest.raises(S3Error) as caught:
        select_parts(parts, STORED)
    assert caught.value.code == code


def test_only_the_last_part_may_be_small() -> None:
    stored = {1: STORED[9], 2: STORED[1]}
    parts = [CompletedPart(1, "t9"), CompletedPart(2, "t1")]
    with pytest.raises(S3Error) as caught:
        select_parts(parts, stored)
    assert caught.value.code == "EntityTooSmall"
    assert len(select_parts(parts, stored, minimum_part_bytes=0)) == 2


def test_a_checksum_that_only_complete_knows_is_not_held_against_it() -> None:
    assert select_parts([CompletedPart(1, "t1", (("sha1", "x"),))], STORED) == [STORED[1]]


TAGS = st.sampled_from(["t", "u"])
VALUES = st.sampled_from(["AAAAAA==", "BBBBBB=="])


@st.composite
def completions(draw: st.DrawFn) -> tuple[CompletedParts, list[StoredPart]]:
    """Stored parts, and what a client that is right or nearly says of them."""
    has_checksums, knows_checksums = draw(st.booleans()), draw(st.booleans())
    stored = [
        StoredPart(
            number,
            draw(TAGS),
            draw(st.sampled_from([MINIMUM_PART_BYTES] * 5 + [MINIMUM_PART_BYTES - 1])),
            0,
            (("crc32", draw(VALUES)),) if has_checksums and draw(st.integers(0, 9)) else (),
        )
        for number in draw(st.lists(st.integers(1, 9), max_size=5, unique=True).map(sorted))
    ]
    named = [(part.number, part.tag, dict(part.checksums).get("crc32", "AAAAAA==")) for part in stored]
    match draw(st.integers(0, 5)):
        case 0:
            named = named[1:]
        case 1:
            named = [*named, (10, "t", "AAAAAA==")]
        case 2:
            named = [(number, draw(TAGS), value) for number, _, value in named]
        case 3:
            named = [(number, tag, draw(VALUES)) for number, tag, _ in named]
    algorithm = draw(st.sampled_from([b"CRC32", b"CRC32", b"SHA1"]))
    form = b"<Part><ETag>%b</ETag><PartNumber>%d</PartNumber>%b</Part>"
    checksum = b"<Checksum%b>%b</Checksum%b>"
    listed = [
        form
        % (
            tag.encode(),
            number,
            checksum % (algorithm, value.encode(), algorithm) if knows_checksums else b"",
        )
        for number, tag, value in named or [(11, "t", "AAAAAA==")]
    ]
    document = b"<CompleteMultipartUpload>" + b"".join(listed) + b"</CompleteMultipartUpload>"
    return parse_complete(document), stored


@settings(max_examples=1000)
@given(completions())
def test_what_names_all_is_what_selects_all(drawn: tuple[CompletedParts, list[StoredPart]]) -> None:
    completed, stored = drawn
    columns = PartColumns(
        names=",".join(f"{part.number}:{part.tag}" for part in stored).encode(),
        tags=b"",
        sizes_bytes=[part.size_bytes for part in stored],
        attributes={},
        extents=b"",
        lengths=[],
        external=b"",
        counts=[],
        content_hash=None,
    )
    with_crc32 = [dict(part.checksums)["crc32"] for part in stored if part.checksums]
    common = {"crc32": with_crc32} if len(with_crc32) == len(stored) else {}
    try:
        selects_all = select_parts(completed.parts(), {part.number: part for part in stored}) == stored
    except S3Error:
        selects_all = False
    plain = completed.checksums is None or completed.checksums[0] in common
    assert names_all(completed, columns, common) == (selects_all and plain)


SIZES = [3, 3]


def columns(name: str) -> dict[str, list[str]]:
    return {name: [b64(name, b"abc")] * 2}


def request(**fields: object) -> CompleteUploadRequest:
    return CompleteUploadRequest("u", CompletedParts(b""), None, **fields)  # type: ignore[arg-type]


def test_crcs_of_parts_make_a_full_object_checksum_even_unannounced() -> None:
    # s3fs names no algorithm at Create and sends CRC32 with every part.
    expected = (("crc32", b64("crc32", b"abcabc")),)
    assert object_checksums(request(), None, None, SIZES, columns("crc32")) == expected
    assert object_checksums(request(), "crc32", "FULL_OBJECT", SIZES, columns("crc32")) == expected
    assert object_checksums(request(), None, None, SIZES, columns("sha1")) == ()


def test_a_composite_checksum_ends_in_the_count_of_parts() -> None:
    ((name, value),) = object_checksums(request(), "sha256", "COMPOSITE", SIZES, columns("sha256"))
    assert name == "sha256"
    assert value.endswith("-2")
    both = [value, value.removesuffix("-2")]
    for sent in both:
        asked = request(checksums=(("sha256", sent),))
        object_checksums(asked, "sha256", "COMPOSITE", SIZES, columns("sha256"))


def test_parts_without_a_checksum_make_none() -> None:
    assert object_checksums(request(), "crc32", "COMPOSITE", [*SIZES, 1], {}) == ()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"checksums": (("crc32", "AAAAAA=="),)}, "BadDigest"),
        ({"checksum_type": "FULL_OBJECT"}, "BadDigest"),
        ({"size_bytes": 5}, "InvalidRequest"),
    ],
)
def test_a_complete_that_contradicts_the_parts(fields: dict[str, object], code: str) -> None:
    with pytest.raises(S3Error) as caught:
        object_checksums(request(**fields), "crc32", "COMPOSITE", SIZES, columns("crc32"))
    assert caught.value.code == code

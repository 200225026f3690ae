from __future__ import annotations

import pytest

from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.objects import ObjectDescription, ObjectMetadata
from sidegate.s3.reading import ReadAnswer, answer_read, parse_read
from sidegate.s3.target import parse_target

TAG = "0123456789abcdef0123456789abcdef-1"
PLAIN = ObjectDescription(10, TAG, 784_111_777_123_456)
FULL = ObjectDescription(
    10,
    TAG,
    784_111_777_123_456,
    ObjectMetadata(
        "text/csv", (("cache-control", "no-store"), ("content-encoding", "gzip")), (("mtime", "é"),)
    ),
    (("crc32", "NhCmhg=="), ("crc32c", "AAAAAA==-2")),
    (4, 6),
)
EMPTY = ObjectDescription(0, TAG, 0)


def read(description: ObjectDescription, query: bytes = b"", **headers: bytes) -> ReadAnswer:
    items = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    target = parse_target(b"/inp/k" + query, None)
    return answer_read(parse_read(target, Headers(items)), description)


def test_a_whole_object() -> None:
    answer = read(FULL)
    assert (answer.status, answer.offset, answer.end) == (200, 0, 10)
    assert answer.headers == [
        (b"etag", b'"%b"' % TAG.encode()),
        (b"last-modified", b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (b"accept-ranges", b"bytes"),
        (b"content-type", b"text/csv"),
        (b"cache-control", b"no-store"),
        (b"content-encoding", b"gzip"),
        (b"x-amz-meta-mtime", "é".encode()),
    ]


def test_an_object_without_a_type_has_that_of_aws() -> None:
    assert (b"content-type", b"binary/octet-stream") in read(PLAIN).headers


def test_trap_28_a_range_has_content_range() -> None:
    answer = read(PLAIN, range=b"bytes=2-3")
    assert (answer.status, answer.offset, answer.end) == (206, 2, 4)
    assert (b"content-range", b"bytes 2-3/10") in answer.headers


def test_trap_28_range_and_if_match_both_apply() -> None:
    assert read(PLAIN, range=b"bytes=2-", if_match=TAG.encode()).status == 206
    with pytest.raises(S3Error) as caught:
        read(PLAIN, range=b"bytes=2-", if_match=b'"other"')
    assert caught.value.status == 412
    assert read(PLAIN, range=b"bytes=99-", if_none_match=TAG.encode()).status == 304


def test_a_malformed_range_is_the_whole_object() -> None:
    assert read(PLAIN, range=b"bytes=0-1,3-4").status == 200


@pytest.mark.parametrize(
    ("if_range", "status"),
    [
        (b'"%b"' % TAG.encode(), 206),
        (b'"other"', 200),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 206),
        (b"Sun, 06 Nov 1994 08:49:38 GMT", 200),
    ],
)
def test_if_range(if_range: bytes, status: int) -> None:
    assert read(PLAIN, range=b"bytes=0-0", if_range=if_range).status == status


def test_304_repeats_the_validators_and_has_no_bytes() -> None:
    answer = read(FULL, if_none_match=b"*")
    assert (answer.status, answer.offset, answer.end) == (304, 0, 0)
    assert [name for name, _ in answer.headers] == [b"etag", b"last-modified", b"cache-control"]


def test_trap_38_checksums_only_when_asked_on_a_full_answer_and_never_composite() -> None:
    shown = read(FULL, x_amz_checksum_mode=b"enabled").headers[-2:]
    assert shown == [(b"x-amz-checksum-crc32", b"NhCmhg=="), (b"x-amz-checksum-type", b"FULL_OBJECT")]
    quiet = [
        read(FULL),
        read(FULL, x_amz_checksum_mode=b"ENABLED", range=b"bytes=0-9"),
        read(FULL, b"?partNumber=1", x_amz_checksum_mode=b"ENABLED"),
        read(FULL, x_amz_checksum_mode=b"ENABLED", if_none_match=b"*"),
        read(PLAIN, x_amz_checksum_mode=b"ENABLED"),
    ]
    for answer in quiet:
        assert not [name for name, _ in answer.headers if name.startswith(b"x-amz-checksum")]


@pytest.mark.parametrize(
    ("parameter", "header"),
    [
        ("response-content-type", b"content-type"),
        ("response-content-language", b"content-language"),
        ("response-content-encoding", b"content-encoding"),
        ("response-content-disposition", b"content-disposition"),
        ("response-cache-control", b"cache-control"),
        ("response-expires", b"expires"),
    ],
)
def test_trap_39_overrides_replace_headers(parameter: str, header: bytes) -> None:
    query = f"?{parameter}=a%3B%20b&Signature=x".encode()
    for answer in (read(FULL, query), read(FULL, query, range=b"bytes=0-0")):
        assert [value for name, value in answer.headers if name == header] == [b"a; b"]


@pytest.mark.parametrize("value", [b"a%0D%0Aset-cookie:%20x", b"a%0A", b"a%7F"])
def test_an_override_cannot_write_headers_of_its_own(value: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        read(PLAIN, b"?response-content-type=" + value)
    assert caught.value.code == "InvalidArgument"


def test_parts() -> None:
    first, second = read(FULL, b"?partNumber=1"), read(FULL, b"?partNumber=2")
    assert (first.status, first.offset, first.end) == (206, 0, 4)
    assert (second.status, second.offset, second.end) == (206, 4, 10)
    assert second.headers[-2:] == [(b"x-amz-mp-parts-count", b"2"), (b"content-range", b"bytes 4-9/10")]


def test_a_single_upload_is_its_own_first_part() -> None:
    answer = read(PLAIN, b"?partNumber=1")
    assert (answer.status, answer.offset, answer.end) == (206, 0, 10)
    assert b"x-amz-mp-parts-count" not in dict(answer.headers)
    assert read(EMPTY, b"?partNumber=1").status == 200


@pytest.mark.parametrize(
    ("query", "code", "status"),
    [
        (b"?partNumber=3", "InvalidPartNumber", 416),
        (b"?partNumber=0", "InvalidArgument", 400),
        (b"?partNumber=10001", "InvalidArgument", 400),
        (b"?partNumber=x", "InvalidArgument", 400),
        (b"?versionId=abc", "NoSuchVersion", 404),
    ],
)
def test_bad_parameters(query: bytes, code: str, status: int) -> None:
    with pytest.raises(S3Error) as caught:
        read(FULL, query)
    assert (caught.value.code, caught.value.status) == (code, status)


def test_a_part_and_a_range_exclude_each_other() -> None:
    with pytest.raises(S3Error) as caught:
        read(FULL, b"?partNumber=1", range=b"bytes=0-1")
    assert caught.value.code == "InvalidRequest"


def test_trap_33_the_null_version_is_the_object_and_no_version_is_sent() -> None:
    answer = read(FULL, b"?versionId=null")
    assert answer.status == 200
    assert not [name for name, _ in answer.headers if b"version" in name]


def test_trap_27_content_md5_is_never_sent() -> None:
    assert b"content-md5" not in dict(read(FULL).headers)

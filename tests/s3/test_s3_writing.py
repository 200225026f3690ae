from __future__ import annotations

import pytest

from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.metadata import parse_metadata, strip_aws_chunked
from sidegate.s3.objects import ObjectMetadata
from sidegate.s3.target import parse_target
from sidegate.s3.writing import CopySource, parse_copy, parse_copy_source, parse_put

TARGET = parse_target(b"/out/new", None)


def headers(**values: bytes) -> Headers:
    return Headers([(name.replace("_", "-").encode(), value) for name, value in values.items()])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("aws-chunked", ""),
        ("gzip,aws-chunked", "gzip"),
        ("aws-chunked,", ""),
        ("AWS-Chunked, gzip, br", "gzip,br"),
        ("gzip", "gzip"),
    ],
)
def test_trap_9_aws_chunked_is_no_content_encoding(value: str, kept: str) -> None:
    assert strip_aws_chunked(value) == kept
    stored = parse_metadata(headers(content_encoding=value.encode())).headers
    assert stored == ((("content-encoding", kept),) if kept else ())


def test_metadata() -> None:
    request = parse_put(
        TARGET,
        Headers(
            [
                (b"content-type", b"text/csv"),
                (b"cache-control", b"no-cache"),
                (b"content-disposition", b"attachment"),
                (b"content-language", b"de"),
                (b"expires", b"never"),
                (b"x-amz-meta-mtime", b"1795388039.839186319"),
                (b"x-amz-meta-a", b"1"),
                (b"x-amz-meta-a", b"2"),
                (b"x-amz-acl", b"private"),
                (b"x-amz-storage-class", b"STANDARD"),
                (b"x-amz-server-side-encryption", b"AES256"),
                (b"x-amz-tagging", b"a=b"),
            ]
        ),
    )
    assert request.conditions is None
    assert request.metadata.content_type == "text/csv"
    assert dict(request.metadata.headers) == {
        "cache-control": "no-cache",
        "content-disposition": "attachment",
        "content-language": "de",
        "expires": "never",
    }
    assert request.metadata.user == (("mtime", "1795388039.839186319"), ("a", "1,2"))


def test_trap_35_user_metadata_of_other_letters_survives() -> None:
    assert parse_metadata(headers(x_amz_meta_a="Grüße".encode())).user == (("a", "Grüße"),)


def test_user_metadata_has_a_limit() -> None:
    parse_metadata(headers(x_amz_meta_a=b"v" * 2047))
    with pytest.raises(S3Error) as caught:
        parse_metadata(headers(x_amz_meta_a=b"v" * 2048))
    assert caught.value.code == "MetadataTooLarge"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-amz-server-side-encryption-customer-algorithm", b"AES256"),
        (b"x-amz-server-side-encryption", b"aws:kms"),
        (b"x-amz-object-lock-mode", b"GOVERNANCE"),
        (b"x-amz-write-offset-bytes", b"5"),
    ],
)
def test_what_must_not_be_ignored_is_not_implemented(name: bytes, value: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        parse_put(TARGET, Headers([(name, value)]))
    assert caught.value.status == 501


@pytest.mark.parametrize(
    "raw",
    [
        b"/inp/a%20b/%C3%BC",
        b"inp/a%20b/%C3%BC",
        b"%2Finp%2Fa%20b%2F%C3%BC",
        b"/inp/a%20b/%C3%BC?versionId=null",
        "/inp/a b/ü".encode(),
    ],
)
def test_trap_26_copy_sources_in_every_spelling(raw: bytes) -> None:
    assert parse_copy_source(headers(x_amz_copy_source=raw)) == CopySource("inp", "a b/ü")


def test_trap_26_a_copy_source_keeps_double_slashes_plus_and_question_mark() -> None:
    assert parse_copy_source(headers(x_amz_copy_source=b"/inp//a+b%3Fc")).key == "/a+b?c"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "InvalidArgument"),
        (b"/inp", "InvalidArgument"),
        (b"/inp/", "InvalidArgument"),
        (b"arn:aws:s3:::x/object/k", "InvalidArgument"),
        (b"/inp/../out/k", "InvalidArgument"),
        (b"/inp/%ff", "InvalidArgument"),
        (b"/inp/k?versionId=abc", "NoSuchVersion"),
    ],
)
def test_bad_copy_sources(raw: bytes, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_copy_source(headers(x_amz_copy_source=raw))
    assert caught.value.code == code


def test_trap_27_the_sources_headers_do_not_count_in_a_copy() -> None:
    copy = parse_copy(
        TARGET,
        headers(
            x_amz_copy_source=b"/out/old",
            x_amz_copy_source_if_match=b"abc",
            x_amz_metadata_directive=b"REPLACE",
            x_amz_meta_a=b"1",
            last_modified=b"Sun, 06 Nov 1994 08:49:37 GMT",
            content_md5=b"garbage",
            if_none_match=b"*",
        ),
    )
    assert copy.metadata == ObjectMetadata(user=(("a", "1"),))
    assert copy.source.conditions is not None
    assert copy.source.conditions.if_match == ("abc",)
    assert copy.conditions is not None


def test_a_copy_keeps_metadata_unless_told_otherwise() -> None:
    assert parse_copy(TARGET, headers(x_amz_copy_source=b"/out/old", content_type=b"x/y")).metadata is None


def test_a_copy_onto_itself_must_change_something() -> None:
    itself = parse_target(b"/out/old", None)
    with pytest.raises(S3Error) as caught:
        parse_copy(itself, headers(x_amz_copy_source=b"/out/old"))
    assert caught.value.code == "InvalidRequest"
    replaced = parse_copy(itself, headers(x_amz_copy_source=b"/out/old", x_amz_metadata_directive=b"replace"))
    assert replaced.metadata == ObjectMetadata()


def test_an_unknown_directive_is_refused() -> None:
    with pytest.raises(S3Error, match="directive"):
        parse_copy(TARGET, headers(x_amz_copy_source=b"/out/old", x_amz_metadata_directive=b"MERGE"))

from __future__ import annotations

import pytest

from sidegate.s3.errors import S3Error
from sidegate.s3.target import Target, bucket_of_host, parse_target

BASES = ("s3.localhost", "deep.s3.localhost")


@pytest.mark.parametrize(
    ("raw", "bucket", "key"),
    [
        (b"/", None, None),
        (b"/out", "out", None),
        (b"/out/", "out", None),
        (b"/out/a/b", "out", "a/b"),
        (b"/out/a/", "out", "a/"),
        (b"http://gw:9000/out/k", "out", "k"),
        (b"HTTP://gw", None, None),
        (b"/%24extremelyunlikelytoexist%24", "$extremelyunlikelytoexist$", None),
        (b"/out/a%2Fb", "out", "a/b"),
        (b"/out/...", "out", "..."),
        (b"/out/.hidden/..x/y.", "out", ".hidden/..x/y."),
        (b"/out/%F4%8F%BF%BD", "out", "\U0010fffd"),
        (b"/out/tab%09and%0Aline", "out", "tab\tand\nline"),
    ],
)
def test_target_names_bucket_and_key(raw: bytes, bucket: str | None, key: str | None) -> None:
    target = parse_target(raw, b"127.0.0.1:9000", BASES)
    assert (target.bucket, target.key, target.virtual_host) == (bucket, key, False)


def test_trap_14_plus_in_a_path_is_a_plus_and_in_a_query_a_space() -> None:
    target = parse_target(b"/out/a+b%2Bc%20d?prefix=x+y%2Bz", None)
    assert target.key == "a+b+c d"
    assert target.query == {"prefix": "x y+z"}


def test_trap_14_the_path_is_decoded_once() -> None:
    assert parse_target(b"/out/%2520", None).key == "%20"


def test_trap_16_double_slashes_are_not_collapsed() -> None:
    assert parse_target(b"/out/a//b", None).key == "a//b"
    assert parse_target(b"/out//lead", None).key == "/lead"
    assert parse_target(b"/out//", None).key == "/"


@pytest.mark.parametrize(
    "raw",
    [
        b"/out/../inp/x",
        b"/out/a/..",
        b"/out/..",
        b"/out/.",
        b"/out/./a",
        b"/out/a/./b",
        b"/out/%2e%2E/inp/x",
        b"/out/a%2F..%2Fb",
        b"/../x",
        b"/./x",
        b"/..",
    ],
)
def test_trap_17_dot_segments_are_refused_and_never_reach_another_bucket(raw: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        parse_target(raw, None)
    assert (caught.value.code, caught.value.status) == ("InvalidArgument", 400)


def test_trap_18_composed_and_decomposed_letters_stay_two_keys() -> None:
    composed = parse_target(b"/out/%C3%A9", None).key
    decomposed = parse_target(b"/out/e%CC%81", None).key
    assert (composed, decomposed) == ("\u00e9", "e\u0301")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"/out/%ff", "InvalidArgument"),
        (b"/out/\xff", "InvalidArgument"),
        (b"/out/%ED%A0%80", "InvalidArgument"),  # a lone surrogate
        (b"/out/%00", "InvalidArgument"),
        (b"/out/%01", "InvalidArgument"),
        (b"/out/%EF%BF%BF", "InvalidArgument"),  # U+FFFF
        (b"/out?prefix=%00", "InvalidArgument"),
        (b"/out?prefix=%ff", "InvalidArgument"),
        (b"/out/%zz", "InvalidURI"),
        (b"/out/%4", "InvalidURI"),
        (b"*", "InvalidURI"),
        (b"gw:9000", "InvalidURI"),
        (b"", "InvalidURI"),
        (b"//key", "InvalidBucketName"),
        (b"/out/" + b"k" * 1025, "KeyTooLongError"),
        (b"/out/" + b"%C3%A9" * 513, "KeyTooLongError"),
    ],
)
def test_unusable_targets_are_refused(raw: bytes, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_target(raw, None)
    assert caught.value.code == code


def test_the_longest_key_is_1024_bytes_of_utf8() -> None:
    assert parse_target(b"/out/" + b"%C3%A9" * 512, None).key == "\u00e9" * 512


@pytest.mark.parametrize(
    "raw", [b"/out?uploads", b"/out?uploads=", b"/out/?uploads", b"/out?uploads&x-id=1", b"/out?&&uploads"]
)
def test_trap_11_parameters_without_a_value_are_parameters(raw: bytes) -> None:
    target = parse_target(raw, None)
    assert target.bucket == "out"
    assert target.query["uploads"] == ""


def test_of_repeated_parameters_the_first_counts() -> None:
    assert parse_target(b"/out?a=1&a=2", None).query == {"a": "1"}


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        (b"out.s3.localhost:9000", "out"),
        (b"OUT.S3.localhost", "out"),
        (b"out.s3.localhost.", "out"),
        (b"master.labresults.s3.localhost", "master.labresults"),
        (b"out.deep.s3.localhost", "out"),
        (b"s3.localhost:9000", None),
        (b"deep.s3.localhost", None),
        (b"nots3.localhost", None),
        (b"[::1]:9000", None),
        (b"[::1]", None),
        (b"127.0.0.1", None),
    ],
)
def test_a_host_names_a_bucket_only_below_a_base_domain(host: bytes, bucket: str | None) -> None:
    assert bucket_of_host(host, BASES) == bucket


def test_trap_13_a_kubernetes_service_name_is_no_bucket() -> None:
    target = parse_target(b"/inp/k", b"s3gw.pipe.svc:9000", BASES)
    assert target == Target("inp", "k")


def test_a_virtual_host_leaves_the_whole_path_to_the_key() -> None:
    target = parse_target(b"/a//b?x=1", b"out.s3.localhost:9000", BASES)
    assert target == Target("out", "a//b", {"x": "1"}, virtual_host=True)
    assert parse_target(b"/", b"out.s3.localhost", BASES) == Target("out", None, virtual_host=True)


def test_an_absolute_target_outweighs_the_host_header() -> None:
    target = parse_target(b"http://out.s3.localhost/k", b"127.0.0.1", BASES)
    assert target == Target("out", "k", virtual_host=True)

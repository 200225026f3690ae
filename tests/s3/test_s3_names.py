from __future__ import annotations

import pytest

from sidegate.s3.errors import S3Error
from sidegate.s3.names import check_bucket_name, check_key


@pytest.mark.parametrize("name", ["out", "my-bucket", "a.b.c", "0ab", "x" * 63])
def test_good_bucket_names(name: str) -> None:
    check_bucket_name(name)


@pytest.mark.parametrize(
    "name", ["in", "Out", "a_b", "-ab", "ab-", ".ab", "a..b", "10.0.0.1", "x" * 64, "", "abc\n", "é" * 3]
)
def test_bad_bucket_names(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        check_bucket_name(name)
    assert caught.value.code == "InvalidBucketName"


@pytest.mark.parametrize("key", ["a", "a b", "a\tb", "ü/é", "~", "a" * 1024, "..a", "a..", ".../.a", "😀"])
def test_good_keys(key: str) -> None:
    check_key(key)


@pytest.mark.parametrize("key", ["a" * 1025, "é" * 513, "😀" * 257])
def test_long_keys(key: str) -> None:
    with pytest.raises(S3Error) as caught:
        check_key(key)
    assert caught.value.code == "KeyTooLongError"
    assert caught.value.fields["MaxSizeAllowed"] == "1024"


@pytest.mark.parametrize("key", [".", "..", "a/../b", "a/.", "./a", "ü/..", "..\n/.."])
def test_dot_segments(key: str) -> None:
    with pytest.raises(S3Error, match="segment"):
        check_key(key)


@pytest.mark.parametrize("key", ["\x00", "a\x0b", "a\x1f", "\ufffe", "a\uffff"])
def test_trap_15_keys_that_no_listing_could_name_are_refused(key: str) -> None:
    with pytest.raises(S3Error, match=r"XML 1\.0"):
        check_key(key)

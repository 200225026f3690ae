from __future__ import annotations

import pytest

from sidegate.s3.errors import S3Error
from sidegate.s3.ranges import format_content_range, parse_copy_range, parse_range


@pytest.mark.parametrize(
    ("header", "size", "interval"),
    [
        (None, 10, None),
        (b"bytes=0-3", 10, (0, 4)),
        (b"bytes=9-9", 10, (9, 10)),
        (b"bytes=3-", 10, (3, 10)),
        (b"bytes=-4", 10, (6, 10)),
        (b"Bytes = 1 - 2 ", 10, (1, 3)),
        (b"bytes=0-52428799", 3, (0, 3)),  # s5cmd asks 50 MiB of a 3-byte object
        (b"bytes=-262144", 10, (0, 10)),  # Polars asks a suffix longer than the object
        (b"bytes=5-" + b"9" * 21, 10, (5, 10)),
        (b"bytes=5-3", 10, None),
        (b"bytes=-", 10, None),
        (b"bytes=a-b", 10, None),
        (b"lines=0-3", 10, None),
        (b"bytes=0-1,4-5", 10, None),
        (b"bytes=" + b"9" * 5000 + b"-", 10, None),
        (b"", 10, None),
    ],
)
def test_range(header: bytes | None, size: int, interval: tuple[int, int] | None) -> None:
    assert parse_range(header, size) == interval


@pytest.mark.parametrize(
    ("header", "size"),
    [
        (b"bytes=10-", 10),
        (b"bytes=" + b"9" * 21 + b"-", 10),
        (b"bytes=10-12", 10),
        (b"bytes=-0", 10),
        (b"bytes=0-0", 0),
        (b"bytes=-5", 0),
    ],
)
def test_trap_28_no_byte_in_range_is_416_with_the_size(header: bytes, size: int) -> None:
    with pytest.raises(S3Error) as caught:
        parse_range(header, size)
    assert (caught.value.code, caught.value.status) == ("InvalidRange", 416)
    assert caught.value.headers == [(b"content-range", b"bytes */%d" % size)]
    assert caught.value.fields["ActualObjectSize"] == str(size)


def test_copy_range() -> None:
    assert parse_copy_range(b"bytes=0-9", 10) == (0, 10)
    assert parse_copy_range(b"bytes=5-5", 10) == (5, 6)


@pytest.mark.parametrize(
    "header", [b"bytes=0-10", b"bytes=5-", b"bytes=-5", b"0-5", b"bytes=6-5", b"", b"bytes=0-1,2-3"]
)
def test_copy_range_must_lie_in_the_source(header: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        parse_copy_range(header, 10)
    assert caught.value.code == "InvalidArgument"


def test_content_range() -> None:
    assert format_content_range(0, 4, 10) == b"bytes 0-3/10"

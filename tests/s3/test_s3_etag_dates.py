from __future__ import annotations

import pytest

from sidegate.s3.dates import format_http_date, format_iso_date, parse_http_date
from sidegate.s3.etag import format_etag, make_tag, parse_tag, parse_tags, part_count_of

HEX = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ('"a"', ("a",)),
        ("a", ("a",)),
        (' "a" , W/"b",c ', ("a", "b", "c")),
        ("W/a", ("a",)),
        ("*", ("*",)),
        ("&quot;a&quot;", ("a",)),
        ("&#34;a&#34;", ("a",)),
        ('"a, b"', ("a, b",)),
        ("", ()),
        ('""', ()),
    ],
)
def test_tags(value: str, tags: tuple[str, ...]) -> None:
    assert parse_tags(value) == tags


def test_tag_forms() -> None:
    assert make_tag(HEX + "ff", 7) == f"{HEX}-7"
    assert format_etag(f"{HEX}-7") == f'"{HEX}-7"'.encode()
    assert part_count_of(f"{HEX}-7") == 7
    assert part_count_of(HEX) is None
    assert part_count_of(f"{HEX}-0") is None
    assert parse_tag("") == ""


def test_trap_42_dates_are_constant_and_in_their_formats() -> None:
    assert format_http_date(784_111_777_999_999) == b"Sun, 06 Nov 1994 08:49:37 GMT"
    assert format_iso_date(784_111_777_042_999) == "1994-11-06T08:49:37.042Z"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
        ("Sun Nov  6 08:49:37 1994", 784_111_777),
        ("", None),
        ("tomorrow", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
    ],
)
def test_http_dates(value: str, seconds: int | None) -> None:
    assert parse_http_date(value) == seconds

from __future__ import annotations

from sidegate.s3.headers import Headers, decode_value

HEADERS = Headers([(b"a", b"1"), (b"b", b"x"), (b"a", b"2"), (b"x-amz-meta-k", b"\xc3\xa9")])


def test_the_first_of_equal_names_counts() -> None:
    assert HEADERS.get(b"a") == b"1"
    assert HEADERS.text(b"b") == "x"
    assert HEADERS.get(b"c") is None
    assert HEADERS.text(b"c") is None


def test_joined_lists_all() -> None:
    assert HEADERS.joined(b"a") == b"1, 2"
    assert HEADERS.joined(b"c") is None


def test_membership() -> None:
    assert b"a" in HEADERS
    assert b"c" not in HEADERS
    assert HEADERS.has_any((b"c", b"b"))
    assert not HEADERS.has_any((b"c", b"d"))


def test_prefix_and_text() -> None:
    assert list(HEADERS.with_prefix(b"x-amz-meta-")) == [("k", "é")]
    assert decode_value(b"\xe9") == "é"

from __future__ import annotations

import pytest

from sidegate.s3.conditions import (
    Outcome,
    WriteConditions,
    check_copy_conditions,
    parse_conditions,
    parse_copy_conditions,
    parse_write_conditions,
)
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers

TAG = "0123456789abcdef0123456789abcdef-1"
MODIFIED_US = 784_111_777_900_000  # Sun, 06 Nov 1994 08:49:37.9 GMT
BEFORE, SAME, AFTER = (
    b"Sun, 06 Nov 1994 08:49:36 GMT",
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"Sun, 06 Nov 1994 08:49:38 GMT",
)
MATCH, OTHER = b'"%b"' % TAG.encode(), b'"other"'
OK, NOT_MODIFIED, FAILED = Outcome.OK, Outcome.NOT_MODIFIED, Outcome.PRECONDITION_FAILED


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ({b"if-match": MATCH}, OK),
        ({b"if-match": b"*"}, OK),
        ({b"if-match": OTHER}, FAILED),
        ({b"if-match": b""}, FAILED),
        ({b"if-match": b'"x", ' + MATCH}, OK),
        ({b"if-none-match": MATCH}, NOT_MODIFIED),
        ({b"if-none-match": b"*"}, NOT_MODIFIED),
        ({b"if-none-match": OTHER}, OK),
        ({b"if-modified-since": BEFORE}, OK),
        ({b"if-modified-since": SAME}, NOT_MODIFIED),
        ({b"if-modified-since": AFTER}, NOT_MODIFIED),
        ({b"if-unmodified-since": BEFORE}, FAILED),
        ({b"if-unmodified-since": SAME}, OK),
        ({b"if-unmodified-since": AFTER}, OK),
        ({b"if-unmodified-since": b"yesterday"}, OK),
        ({b"if-modified-since": b"garbage"}, OK),
        # RFC 9110 section 13.2.2 and API_GetObject: the tag outweighs the date.
        ({b"if-match": MATCH, b"if-unmodified-since": BEFORE}, OK),
        ({b"if-none-match": OTHER, b"if-modified-since": AFTER}, OK),
        ({b"if-none-match": MATCH, b"if-modified-since": BEFORE}, NOT_MODIFIED),
        ({b"if-match": OTHER, b"if-none-match": MATCH}, FAILED),
        ({b"if-match": MATCH, b"if-none-match": MATCH}, NOT_MODIFIED),
    ],
)
def test_read_conditions(headers: dict[bytes, bytes], outcome: Outcome) -> None:
    conditions = parse_conditions(Headers(list(headers.items())))
    assert conditions is not None
    assert conditions.evaluate(TAG, MODIFIED_US) is outcome
    copy = parse_copy_conditions(Headers([(b"x-amz-copy-source-" + n, v) for n, v in headers.items()]))
    assert copy == conditions


@pytest.mark.parametrize(
    "value",
    [TAG.encode(), MATCH, b"W/" + MATCH, b"&quot;%b&quot;" % TAG.encode(), b"&#34;%b&#34;" % TAG.encode()],
)
def test_trap_25_quotes_around_a_tag_do_not_count(value: bytes) -> None:
    # SDK v1 for Java (Spark 3) sends If-Match and x-amz-copy-source-if-match bare.
    conditions = parse_conditions(Headers([(b"if-match", value)]))
    assert conditions is not None
    assert conditions.evaluate(TAG, 0) is OK


def test_repeated_headers_are_one_list() -> None:
    conditions = parse_conditions(Headers([(b"if-match", OTHER), (b"if-match", MATCH)]))
    assert conditions is not None
    assert conditions.evaluate(TAG, 0) is OK


def test_no_conditions() -> None:
    assert parse_conditions(Headers([(b"range", b"x")])) is None
    assert parse_copy_conditions(Headers([(b"if-match", MATCH)])) is None
    assert parse_write_conditions(Headers([(b"if-modified-since", SAME)])) is None
    check_copy_conditions(None, TAG, 0)


@pytest.mark.parametrize("name", [b"if-none-match", b"if-match"])
def test_a_copy_has_no_304(name: bytes) -> None:
    value = MATCH if name == b"if-none-match" else OTHER
    conditions = parse_copy_conditions(Headers([(b"x-amz-copy-source-" + name, value)]))
    with pytest.raises(S3Error) as caught:
        check_copy_conditions(conditions, TAG, 0)
    assert caught.value.status == 412


@pytest.mark.parametrize(
    ("headers", "tag", "code"),
    [
        ({b"if-none-match": b"*"}, None, None),
        ({b"if-none-match": b"*"}, TAG, "PreconditionFailed"),
        ({b"if-none-match": MATCH}, TAG, "PreconditionFailed"),
        ({b"if-none-match": OTHER}, TAG, None),
        ({b"if-match": MATCH}, TAG, None),
        ({b"if-match": TAG.encode()}, TAG, None),
        ({b"if-match": b"*"}, TAG, None),
        ({b"if-match": OTHER}, TAG, "PreconditionFailed"),
        ({b"if-match": MATCH}, None, "NoSuchKey"),
    ],
)
def test_trap_36_conditional_writes(headers: dict[bytes, bytes], tag: str | None, code: str | None) -> None:
    conditions = parse_write_conditions(Headers(list(headers.items())))
    assert isinstance(conditions, WriteConditions)
    if code is None:
        conditions.check(tag)
        return
    with pytest.raises(S3Error) as caught:
        conditions.check(tag)
    assert caught.value.code == code

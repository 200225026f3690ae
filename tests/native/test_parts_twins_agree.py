"""Differential tests of the reader of parts: documents and records, right, odd and damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidegate.errors import Corrupt
from sidegate.native import select
from sidegate.native.part_columns import DECLARATIONS, QUOTES, ROOTS, NamedParts
from sidegate.pfs.extents import Extent
from sidegate.pfs.files import ExtentList, FileRecord, decode_record, encode_record
from sidegate.pfs.ids import ChunkId, NodeId

try:
    _, native = select("require")
except ModuleNotFoundError as absent:
    pytest.skip(f"nothing to compare, not compiled: {absent}", allow_module_level=True)
_, pure = select("off")


def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    try:
        return ("returned", call())
    except (Corrupt, ValueError, TypeError) as error:
        return (type(error), str(error) if isinstance(error, Corrupt) else "")


def both(name: str, *values: Any) -> tuple[Any, ...]:
    found = outcome(lambda: getattr(native["parts"], name)(*values))
    assert found == outcome(lambda: getattr(pure["parts"], name)(*values))
    return found


# --- documents

ROOT = ROOTS[1]
PART = b"<Part><ETag>a</ETag><PartNumber>1</PartNumber></Part>"
pieces = st.one_of(
    st.sampled_from(
        [
            *DECLARATIONS,
            *ROOTS,
            *QUOTES,
            b"<Part>",
            b"</Part>",
            b"<ETag>",
            b"</ETag>",
            b"<PartNumber>",
            b"</PartNumber>",
            b"<ChecksumCRC32>",
            b"</ChecksumCRC32>",
            b"</CompleteMultipartUpload>",
            b"a-F09",
            b"0",
            b"1",
            b"10000",
            b"10001",
            b"1234567890123456789012",
            b"+/=",
            b" \t\r\n",
        ]
    ),
    st.binary(max_size=3),
)


@st.composite
def parts(draw: st.DrawFn) -> bytes:
    number = b"<PartNumber>%d</PartNumber>" % draw(st.sampled_from([1, 2, 3, 9, 10, 10_000]))
    tag = b"<ETag>%b%b%b</ETag>" % (
        draw(st.sampled_from([b"", *QUOTES])),
        draw(st.text("0aZ-_", max_size=5)).encode(),
        draw(st.sampled_from([b"", *QUOTES])),
    )
    checksum = draw(
        st.sampled_from([b"", b"", b"<ChecksumSHA1>a+/=</ChecksumSHA1>", b"<ChecksumX9>b</ChecksumX9>"])
    )
    space = draw(st.sampled_from([b"", b"\n "]))
    return (
        b"<Part>"
        + space
        + space.join(draw(st.permutations([number, tag, checksum])))
        + space
        + b"</Part>"
        + space
    )


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    middle = b"".join(draw(st.lists(parts(), max_size=4)))
    document = draw(st.sampled_from([b"", *DECLARATIONS])) + draw(st.sampled_from(ROOTS)) + middle
    document += b"</CompleteMultipartUpload>"
    if draw(st.booleans()):
        start = draw(st.integers(0, len(document)))
        end = min(len(document), start + draw(st.integers(0, 9)))
        document = document[:start] + b"".join(draw(st.lists(pieces, max_size=2))) + document[end:]
    return document


@settings(deadline=None, max_examples=1000)
@given(document=st.one_of(documents(), st.lists(pieces, max_size=30).map(b"".join)))
@example(document=b"")
@example(document=ROOT)
@example(document=ROOT + PART)
@example(document=ROOT + PART + b"</CompleteMultipartUpload>x")
@example(document=ROOT + b"<Part></Part></CompleteMultipartUpload>")
@example(document=ROOT + PART + PART + b"</CompleteMultipartUpload>")
@example(document=ROOT + PART[:-7] + b"<ETag>b</ETag></Part></CompleteMultipartUpload>")
@example(document=ROOT + PART[:-7] + b"<PartNumber>2</PartNumber></Part></CompleteMultipartUpload>")
def test_documents_are_read_alike(document: bytes) -> None:
    both("scan_completion", document)


def test_a_document_at_every_length() -> None:
    whole = DECLARATIONS[0] + ROOTS[0] + b"\n" + PART + b"</CompleteMultipartUpload>"
    for end in range(len(whole)):
        assert both("scan_completion", whole[:end]) == ("returned", None)
    assert both("scan_completion", whole) == ("returned", NamedParts(b"1:a", b"", b""))


def test_columns_of_a_document() -> None:
    form = b"<PartNumber>%d</PartNumber><ChecksumCRC32>%b</ChecksumCRC32><ETag>&quot;t-%d&quot;</ETag>"
    listed = b"".join(
        b"<Part>" + form % (number, b"AAAAAA==", number) + b"</Part>" for number in (1, 20, 10_000)
    )
    expected = NamedParts(b"1:t-1,20:t-20,10000:t-10000", b"CRC32", b"\n".join([b"AAAAAA=="] * 3))
    assert both("scan_completion", ROOT + listed + b"</CompleteMultipartUpload>") == ("returned", expected)


@pytest.mark.parametrize("document", [None, "text", bytearray(ROOT), 3])
def test_a_document_is_bytes(document: Any) -> None:
    with pytest.raises(TypeError):
        native["parts"].scan_completion(document)


# --- records

integers = st.one_of(st.integers(0, 300), st.integers(0, (1 << 63) - 1))
ids = st.binary(min_size=32, max_size=32)
extents = st.builds(
    lambda chunk, offset, length, tail: Extent(ChunkId(chunk), offset, length, offset + length, tail),
    ids,
    st.sampled_from([0, 0, 5]),
    st.integers(0, 1 << 40),
    st.booleans(),
)
held = st.one_of(
    st.lists(extents, max_size=5).map(tuple),
    st.builds(lambda node, n: ExtentList(NodeId(node), n), ids, integers),
)
attributes = st.one_of(
    st.just(()),
    st.just((("checksum:crc32", "AAAAAA=="),)),
    st.lists(st.tuples(st.sampled_from(["a", "b", "é"]), st.text(max_size=3)), max_size=3).map(tuple),
)
tags = st.one_of(st.text("0af-", max_size=40), st.text(max_size=3))
records = st.builds(FileRecord, integers, tags, integers, held, st.one_of(st.none(), ids), attributes)


@st.composite
def rows(draw: st.DrawFn) -> list[tuple[int, bytes]]:
    alike = draw(st.booleans())
    common = draw(attributes)
    found = []
    for number in draw(st.lists(st.integers(-1, 10_000), max_size=6)):
        record = draw(records)
        fields = {name: getattr(record, name) for name in FileRecord.__slots__}
        data = encode_record(FileRecord(**fields | {"attributes": common}) if alike else record)
        if draw(st.integers(0, 9)) == 0:
            start = draw(st.integers(0, len(data)))
            data = data[:start] + draw(st.binary(max_size=2)) + data[start + draw(st.integers(0, 2)) :]
        found.append((number, data))
    return found


@settings(deadline=None, max_examples=1000)
@given(rows=rows())
@example(rows=[])
@example(rows=[(1, b"")])
@example(rows=[(1, b"\x01\x00\x00" + b"\xff" * 8 + b"\x7f")])
@example(rows=[(1, b"\x01\x00\x05\x01a\x00" + b"\xff" * 8 + b"\x7f")])
def test_records_are_read_alike(rows: list[tuple[int, bytes]]) -> None:
    both("collect_parts", rows)


@settings(deadline=None, max_examples=500)
@given(rows=rows())
@example(rows=[(1, b"")])
def test_columns_grow_alike(rows: list[tuple[int, bytes]]) -> None:
    collectors = [twin["parts"].PartCollector() for twin in (native, pure)]
    grown = [collectors[0].columns()]
    for number, record in rows:
        taken, taken_by_other = [collector.add(number, record) for collector in collectors]
        assert taken == taken_by_other
        if not taken:
            break
        columns, by_other = [collector.columns() for collector in collectors]
        assert columns == by_other
        grown.append(columns)
    # What was returned stays as it was, and is what collecting all at once comes to.
    for count, columns in enumerate(grown):
        assert both("collect_parts", rows[:count]) == ("returned", columns)


@given(record=records, number=st.integers(0, 10_000))
def test_columns_say_what_the_record_says(record: FileRecord, number: int) -> None:
    kind, columns = both("collect_parts", [(number, encode_record(record))])
    assert kind == "returned"
    assert columns.names == f"{number}:{record.tag}".encode()
    assert columns.tags == f"{record.tag}\n".encode()
    assert columns.sizes_bytes == [record.size_bytes]
    assert columns.content_hash == record.content_hash
    assert columns.attributes == {name: [value] for name, value in dict(record.attributes).items()}
    external = isinstance(record.extents, ExtentList)
    assert columns.external == bytes((external,))
    assert columns.counts == [record.extents.count if external else len(record.extents)]  # type: ignore[union-attr]


@given(record=records)
def test_a_record_at_every_length_is_corrupt(record: FileRecord) -> None:
    data = encode_record(record)
    for end in range(len(data)):
        assert both("collect_parts", [(1, data[:end])])[0] is Corrupt
        with pytest.raises(Corrupt):
            decode_record(data[:end])


@pytest.mark.parametrize(
    "rows", [None, [None], [(1,)], [(1, "text")], [("1", b"")], [(1, bytearray(b"x"))], 3]
)
def test_rows_are_pairs_of_number_and_bytes(rows: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        native["parts"].collect_parts(rows)

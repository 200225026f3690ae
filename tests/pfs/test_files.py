from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.errors import Corrupt
from sidegate.pfs.extents import Extent
from sidegate.pfs.files import ExtentList, FileRecord, decode_record, encode_record
from sidegate.pfs.ids import ChunkId, NodeId

sizes = st.integers(0, 2**62)
ids = st.binary(min_size=32, max_size=32)


@st.composite
def extents(draw: st.DrawFn) -> Extent:
    chunk_bytes = draw(st.integers(1, 1 << 22))
    offset = draw(st.integers(0, chunk_bytes - 1))
    return Extent(
        ChunkId(draw(ids)),
        offset,
        draw(st.integers(1, chunk_bytes - offset)),
        chunk_bytes,
        draw(st.booleans()),
    )


text = st.text(st.characters(codec="utf-8"), max_size=20)
records = st.builds(
    FileRecord,
    size_bytes=sizes,
    tag=text,
    modified_us=sizes,
    extents=st.one_of(
        st.lists(extents(), max_size=4).map(tuple), st.builds(ExtentList, ids.map(NodeId), sizes)
    ),
    content_hash=st.none() | ids,
    attributes=st.lists(st.tuples(text, text), max_size=4).map(tuple),
)

SAMPLE = FileRecord(
    size_bytes=1000,
    tag="0123456789abcdef0123456789abcdef-1",
    modified_us=1_700_000_000_000_000,
    extents=(Extent(ChunkId(b"\x11" * 32), 0, 1000, 1000, True),),
    content_hash=b"\x22" * 32,
    attributes=(("type", "text/csv"),),
)


@given(records)
def test_a_record_is_read_as_written(record: FileRecord) -> None:
    assert decode_record(encode_record(record)) == record


def test_every_torn_record_is_corrupt() -> None:
    encoded = encode_record(SAMPLE)
    for length in range(len(encoded)):
        with pytest.raises(Corrupt):
            decode_record(encoded[:length])
    with pytest.raises(Corrupt, match="1 stray bytes"):
        decode_record(encoded + b"\0")


def test_another_version_and_unknown_flags_are_refused() -> None:
    encoded = encode_record(SAMPLE)
    with pytest.raises(Corrupt, match="version 2"):
        decode_record(b"\x02" + encoded[1:])
    with pytest.raises(Corrupt, match="flags 0x5"):
        decode_record(encoded[:1] + b"\x05" + encoded[2:])


def test_attribute_values_keep_bytes_that_are_no_utf8() -> None:
    odd = replace(SAMPLE, attributes=(("user", b"caf\xe9".decode("utf-8", "surrogateescape")),))
    assert decode_record(encode_record(odd)) == odd


def test_attributes_are_found_by_name() -> None:
    assert SAMPLE.attribute("type") == "text/csv"
    assert SAMPLE.attribute("none") is None


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"modified_us": 5}, True),
        ({"tag": "other-2"}, True),
        ({"content_hash": b"\x23" * 32}, False),
        ({"attributes": ()}, False),
    ],
)
def test_same_content_ignores_when_and_how_it_was_written(change: dict[str, object], same: bool) -> None:
    assert SAMPLE.same_content(replace(SAMPLE, **change)) is same

from __future__ import annotations

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from sidegate.errors import Corrupt
from sidegate.pfs.encoding import Decoder
from sidegate.pfs.extents import (
    Extent,
    content_hash,
    decode_extent,
    digest,
    encode_extent,
    is_canonical,
    slice_extents,
    total_bytes,
)
from sidegate.pfs.ids import ChunkId

ID = ChunkId(bytes(range(32)))
WHOLE = Extent(ID, 0, 1000, 1000, False)
TAIL = Extent(ID, 0, 1000, 1000, True)
PART = Extent(ID, 10, 300, 1000, False)
PART_OF_TAIL = Extent(ID, 10, 300, 1000, True)


@pytest.mark.parametrize(
    ("extent", "before", "after"),
    [
        (WHOLE, "00", "e807"),
        (TAIL, "02", "e807"),
        (PART, "01", "ac020ae807"),
        (PART_OF_TAIL, "03", "ac020ae807"),
    ],
)
def test_an_extent_has_one_form(extent: Extent, before: str, after: str) -> None:
    encoded = encode_extent(extent)
    assert encoded.hex() == before + ID.hex() + after
    assert decode_extent(Decoder(encoded + b"trailing")) == extent
    for length in range(len(encoded)):
        with pytest.raises(Corrupt):
            decode_extent(Decoder(encoded[:length]))


def test_unknown_flags_are_refused() -> None:
    with pytest.raises(Corrupt, match="flags 0x4"):
        decode_extent(Decoder(b"\x04" + encode_extent(WHOLE)[1:]))


def test_digest_and_content_hash_are_blake3_over_fixed_fields() -> None:
    number = {n: n.to_bytes(8, "little") for n in (0, 10, 300, 1000)}
    expected = blake3(ID + number[0] + number[1000] + ID + number[10] + number[300]).digest()
    assert digest([WHOLE, PART]) == expected
    assert content_hash([WHOLE, TAIL]) == blake3((ID + number[1000]) * 2).digest()
    assert content_hash([]) == blake3(b"").digest()


@pytest.mark.parametrize(
    ("extents", "canonical"),
    [
        ((), True),
        ((WHOLE,), True),
        ((TAIL,), True),
        ((WHOLE, TAIL), True),
        ((TAIL, WHOLE), False),
        ((WHOLE, PART), False),
        ((PART,), False),
    ],
)
def test_a_seam_makes_a_list_not_canonical(extents: tuple[Extent, ...], canonical: bool) -> None:
    assert is_canonical(extents) is canonical


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=8), st.integers(0, 80), st.integers(0, 80))
def test_slicing_extents_is_slicing_bytes(pieces: list[bytes], offset: int, end: int) -> None:
    chunks = {ChunkId(blake3(piece).digest()): piece for piece in pieces}
    extents = [Extent(ChunkId(blake3(p).digest()), 0, len(p), len(p), False) for p in pieces]
    sliced = list(slice_extents(extents, offset, end))
    data = b"".join(chunks[e.chunk][e.offset : e.offset + e.length] for e in sliced)
    assert data == b"".join(pieces)[offset:end]
    assert total_bytes(sliced) == len(data)
    assert all(e.length > 0 for e in sliced)
    assert all(e.chunk_bytes == len(chunks[e.chunk]) for e in sliced)


def test_a_slice_of_a_slice_keeps_its_place() -> None:
    assert list(slice_extents([PART], 5, 20)) == [Extent(ID, 15, 15, 1000, False)]

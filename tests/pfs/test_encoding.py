from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.errors import Corrupt
from sidegate.pfs.encoding import Decoder, encode_bytes, encode_integer, encode_text


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (16383, "ff7f"),
        (16384, "808001"),
        (1 << 62, "808080808080808040"),
        ((1 << 63) - 1, "ffffffffffffffff7f"),
    ],
)
def test_an_integer_has_one_form(value: int, encoded: str) -> None:
    assert encode_integer(value).hex() == encoded
    decoder = Decoder(bytes.fromhex(encoded))
    assert decoder.integer() == value
    decoder.finish()


def test_a_negative_integer_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="-1 is negative"):
        encode_integer(-1)


@pytest.mark.parametrize("encoded", ["80" * 9 + "01", "ff" * 20, "80", ""])
def test_an_integer_too_long_or_torn_is_corrupt(encoded: str) -> None:
    with pytest.raises(Corrupt, match="no whole integer"):
        Decoder(bytes.fromhex(encoded)).integer()


@given(st.lists(st.one_of(st.integers(0, 2**63 - 1), st.binary(max_size=300), st.text(max_size=100))))
def test_what_is_written_in_a_row_is_read_in_a_row(values: list[int | bytes | str]) -> None:
    encoders = {int: encode_integer, bytes: encode_bytes, str: encode_text}
    decoder = Decoder(b"".join(encoders[type(value)](value) for value in values))
    readers = {int: decoder.integer, bytes: decoder.bytes, str: decoder.text}
    assert [readers[type(value)]() for value in values] == values
    decoder.finish()


def test_every_torn_end_is_corrupt() -> None:
    encoded = encode_bytes(b"x" * 200)
    for length in range(len(encoded)):
        with pytest.raises(Corrupt):
            Decoder(encoded[:length]).bytes()


def test_stray_bytes_are_corrupt() -> None:
    decoder = Decoder(encode_integer(5) + b"ab")
    assert decoder.integer() == 5
    with pytest.raises(Corrupt, match="2 stray bytes"):
        decoder.finish()


def test_text_that_is_not_utf8_is_corrupt() -> None:
    with pytest.raises(Corrupt, match="not UTF-8"):
        Decoder(encode_bytes(b"\xff\xfe")).text()

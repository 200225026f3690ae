"""Stored records (`sidegate/pfs/encoding.py` has their alphabet), as the pure twins read them."""

from __future__ import annotations

from sidegate.native.index_format import LAST_SHIFT


class Torn(Exception):
    """Bytes end before what they announce."""


class Reader:
    """Reads integers and byte strings from stored bytes; raises Torn."""

    def __init__(self, data: bytes, offset: int) -> None:
        self.data = data
        self.offset = offset

    def integer(self) -> int:
        """Read an unsigned LEB128 of at most 63 bits."""
        value = 0
        for shift in range(0, LAST_SHIFT + 1, 7):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Torn

    def take(self, length: int) -> bytes:
        """Read exactly so many bytes."""
        if length > len(self.data) - self.offset:
            raise Torn
        self.offset += length
        return self.data[self.offset - length : self.offset]

    def bytes(self) -> bytes:
        """Read a length and that many bytes."""
        return self.take(self.integer())


def encode_integer(value: int) -> bytes:
    """Return `value` as LEB128; raises ValueError for a negative one."""
    if 0 <= value < 0x80:
        return _SINGLE[value]
    if value < 0:
        raise ValueError(f"{value} is negative")
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_SINGLE = [bytes((value,)) for value in range(0x80)]

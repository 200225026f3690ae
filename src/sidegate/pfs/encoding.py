"""Variable-length integers and strings: the alphabet of every stored record.

An integer is unsigned LEB128 (7 bits per byte, least significant group first,
the high bit set on all but the last).  A byte string is its length followed by
its bytes; text is a byte string in UTF-8.
"""

from __future__ import annotations

from sidegate.errors import Corrupt
from sidegate.native.index_format import LAST_SHIFT
from sidegate.native.pure.stored_bytes import encode_integer

__all__ = ["Decoder", "encode_bytes", "encode_integer", "encode_text"]


def encode_bytes(value: bytes) -> bytes:
    """Return `value` preceded by its length."""
    return encode_integer(len(value)) + value


def encode_text(value: str) -> bytes:
    """Return `value` in UTF-8 preceded by its length in bytes."""
    return encode_bytes(value.encode())


class Decoder:
    """Reads what the functions above wrote; raises Corrupt at a torn end."""

    __slots__ = ("data", "offset")

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self.data = data
        self.offset = offset

    def integer(self) -> int:
        """Read an unsigned LEB128 integer of at most 63 bits."""
        data, offset = self.data, self.offset
        value = shift = 0
        while True:
            if offset >= len(data) or shift > LAST_SHIFT:
                raise Corrupt(f"stored record has no whole integer before byte {offset}", offset=offset)
            byte = data[offset]
            offset += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                self.offset = offset
                return value
            shift += 7

    def take(self, length: int) -> bytes:
        """Read exactly `length` bytes."""
        end = self.offset + length
        if end > len(self.data):
            raise Corrupt(f"stored record ends early: byte {end} of {len(self.data)}", offset=self.offset)
        value = self.data[self.offset : end]
        self.offset = end
        return value

    def bytes(self) -> bytes:
        """Read a length and that many bytes."""
        return self.take(self.integer())

    def text(self) -> str:
        """Read a length and that many bytes of UTF-8."""
        try:
            return self.bytes().decode()
        except UnicodeDecodeError as error:
            raise Corrupt(f"stored text is not UTF-8 before byte {self.offset}") from error

    def finish(self) -> None:
        """Raise Corrupt unless everything was read."""
        if self.offset != len(self.data):
            raise Corrupt(f"{len(self.data) - self.offset} stray bytes after a stored record")

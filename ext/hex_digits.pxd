# cython: language_level=3
"""Digits of hexadecimal numbers, in either case (RFC 5234 section B.1, RFC 3986 section 2.1)."""

from libc.stdint cimport uint8_t


cdef inline int hex_digit(uint8_t byte) noexcept nogil:
    """Return what a digit stands for, -1 for any other byte."""
    if c"0" <= byte <= c"9":
        return byte - c"0"
    byte |= 0x20
    return byte - c"a" + 10 if c"a" <= byte <= c"f" else -1

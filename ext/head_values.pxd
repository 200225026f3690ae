# cython: language_level=3
"""Values of headers, and what stands in a path as "%XX": read where they lie, nothing is copied.

Knows no name of a header and nothing of a head.  All of it inline, for the scanner of heads alone.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp

from hex_digits cimport hex_digit

cdef enum:
    # Checked against sidegate.native.plain_heads in heads.pyx.
    MAX_RANGE_DIGITS = 18
    MAX_LENGTH_DIGITS = 9


cdef struct Value:
    const uint8_t* start
    size_t length


cdef inline bint is_printable(Value value) noexcept nogil:
    cdef size_t index
    cdef uint8_t byte, strange = 0
    # No early end: the compiler makes vectors of it.
    for index in range(value.length):
        byte = value.start[index]
        strange |= (byte < 0x20 and byte != 9) | (byte > 0x7E)
    return not strange


cdef inline Value stripped(Value value) noexcept nogil:
    while value.length and (value.start[0] == c" " or value.start[0] == c"\t"):
        value.start += 1
        value.length -= 1
    while value.length and (
        value.start[value.length - 1] == c" " or value.start[value.length - 1] == c"\t"
    ):
        value.length -= 1
    return value


cdef inline value_bytes(Value value):
    return None if value.start is NULL else PyBytes_FromStringAndSize(<const char*>value.start, value.length)


cdef struct Interval:
    int64_t first
    int64_t last


cdef inline bint read_range(Value value, Interval* interval) noexcept nogil:
    """Read "bytes=A-B", "bytes=A-" or "bytes=-N"; whether it was one of them."""
    cdef size_t index = 6
    cdef int64_t number = 0
    cdef int digits = 0
    cdef bint after_dash = False
    if value.length < 8 or memcmp(value.start, b"bytes=", 6) != 0:
        return False
    interval.first = interval.last = -1
    for index in range(6, value.length + 1):
        if index < value.length and c"0" <= value.start[index] <= c"9":
            digits += 1
            if digits > MAX_RANGE_DIGITS:
                return False
            number = number * 10 + (value.start[index] - c"0")
        elif index < value.length and (value.start[index] != c"-" or after_dash):
            return False
        elif after_dash:
            interval.last = number if digits else -1
        else:
            if index == value.length:
                return False
            interval.first = number if digits else -1
            after_dash = True
            number = digits = 0
    if interval.first < 0:
        return interval.last >= 0
    return interval.last < 0 or interval.last >= interval.first


cdef inline bint read_length(Value value, int64_t* length) noexcept nogil:
    """Read a Content-Length; whether it is one of few digits."""
    cdef size_t index
    length[0] = 0
    if not 1 <= value.length <= MAX_LENGTH_DIGITS:
        return False
    for index in range(value.length):
        if not c"0" <= value.start[index] <= c"9":
            return False
        length[0] = length[0] * 10 + (value.start[index] - c"0")
    return True


cdef inline int escaped_byte(const uint8_t* text, const uint8_t* end) noexcept nogil:
    """Return the byte that "%XX" at `text` stands for, -1 if it is none."""
    cdef int high, low
    if end - text < 3:
        return -1
    high = hex_digit(text[1])
    low = hex_digit(text[2])
    return -1 if high < 0 or low < 0 else high << 4 | low

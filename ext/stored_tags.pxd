# cython: language_level=3
"""Tags in memory: 32 hexadecimal digits, with `-N` or without, as the bytes they say, others as text.

All of it inline: whoever takes this in compiles it anew.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from stored_bytes cimport Growing, Reader, Slice, append, append_integer, read_integer, read_slice

cdef enum:
    TAG_TEXT = 0
    TAG_HEX = 1
    TAG_HEX_AND_COUNT = 2
    TAG_HEX_BYTES = 16


cdef inline int nibble(uint8_t digit) noexcept nogil:
    if c"0" <= digit <= c"9":
        return digit - c"0"
    return digit - c"a" + 10 if c"a" <= digit <= c"f" else -1


cdef inline bint read_hex(Slice tag, uint8_t* digest) noexcept nogil:
    """Whether a tag begins with 32 lower-case hexadecimal digits; they are put into `digest`."""
    cdef int index, high, low
    if tag.length < 2 * TAG_HEX_BYTES:
        return False
    for index in range(TAG_HEX_BYTES):
        high, low = nibble(tag.data[2 * index]), nibble(tag.data[2 * index + 1])
        if high < 0 or low < 0:
            return False
        digest[index] = <uint8_t>(high << 4 | low)
    return True


cdef inline int64_t read_count(Slice tag) noexcept nogil:
    """Return N of a tag that goes on with `-N` behind its digits, -1 for any other."""
    cdef int64_t count = 0
    cdef Py_ssize_t index = 2 * TAG_HEX_BYTES + 1
    if not 2 <= tag.length - 2 * TAG_HEX_BYTES <= 10 or tag.data[index - 1] != c"-" or tag.data[index] == c"0":
        return -1
    while index < tag.length:
        if not c"0" <= tag.data[index] <= c"9":
            return -1
        count = 10 * count + (tag.data[index] - c"0")
        index += 1
    return count


cdef inline int append_tag(Growing* buffer, Slice tag) except -1:
    cdef uint8_t[1 + TAG_HEX_BYTES] encoded
    cdef int64_t count = -1
    if read_hex(tag, encoded + 1):
        encoded[0] = TAG_HEX if tag.length == 2 * TAG_HEX_BYTES else TAG_HEX_AND_COUNT
        count = read_count(tag)
        if encoded[0] == TAG_HEX or count > 0:
            append(buffer, encoded, 1 + TAG_HEX_BYTES)
            return append_integer(buffer, <uint64_t>count) if count > 0 else 0
    append_integer(buffer, TAG_TEXT)
    append_integer(buffer, <uint64_t>tag.length)
    return append(buffer, tag.data, tag.length)


cdef inline int write_count(uint8_t* room, uint64_t count) noexcept nogil:
    cdef int length = 0, index
    cdef uint64_t rest = count
    while rest:
        rest //= 10
        length += 1
    for index in range(length - 1, -1, -1):
        room[index] = <uint8_t>(48 + count % 10)
        count //= 10
    return length


cdef inline Slice expand_tag(Reader* reader, uint8_t* room) noexcept nogil:
    """Read a tag; its text is where it is kept or, from hexadecimal digits, in `room`."""
    cdef uint8_t kind = reader.data[reader.offset]
    cdef const char* digits = b"0123456789abcdef"
    cdef Slice tag
    cdef uint64_t count = 0
    cdef int index, length = 2 * TAG_HEX_BYTES
    reader.offset += 1
    if kind == TAG_TEXT:
        read_slice(reader, &tag)
        return tag
    for index in range(TAG_HEX_BYTES):
        room[2 * index] = digits[reader.data[reader.offset + index] >> 4]
        room[2 * index + 1] = digits[reader.data[reader.offset + index] & 15]
    reader.offset += TAG_HEX_BYTES
    if kind == TAG_HEX_AND_COUNT:
        read_integer(reader, &count)
        room[length] = c"-"
        length += 1 + write_count(room + length + 1, count)
    return Slice(room, length)


cdef inline void skip_tag(Reader* reader) noexcept nogil:
    cdef uint8_t kind = reader.data[reader.offset]
    cdef Slice text
    cdef uint64_t count
    reader.offset += 1
    if kind == TAG_TEXT:
        read_slice(reader, &text)
        return
    reader.offset += TAG_HEX_BYTES
    if kind == TAG_HEX_AND_COUNT:
        read_integer(reader, &count)

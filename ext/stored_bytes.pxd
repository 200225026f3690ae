# cython: language_level=3
"""Bytes in memory, and the alphabet of stored records (`sidegate/pfs/encoding.py`).

All of it inline: whoever takes this in compiles it anew.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Realloc
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

cdef enum:
    # Nine groups of seven bits: 63 bits, what a signed column holds.
    LAST_SHIFT = 56


cdef struct Slice:
    const uint8_t* data
    Py_ssize_t length


cdef struct Growing:
    uint8_t* data
    Py_ssize_t length
    Py_ssize_t capacity


cdef struct Reader:
    const uint8_t* data
    Py_ssize_t length
    Py_ssize_t offset


cdef inline Slice slice_of(bytes data) noexcept:
    return Slice(<const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cdef inline bytes bytes_of(Slice piece):
    return PyBytes_FromStringAndSize(<const char*>piece.data, piece.length)


cdef inline int compare(Slice left, Slice right) noexcept nogil:
    cdef int order = memcmp(left.data, right.data, min(left.length, right.length))
    if order:
        return order
    return (left.length > right.length) - (left.length < right.length)


cdef inline bint begins_with(Slice text, Slice prefix) noexcept nogil:
    return text.length >= prefix.length and memcmp(text.data, prefix.data, prefix.length) == 0


cdef inline Py_ssize_t find(Slice text, Py_ssize_t start, Slice sought) noexcept nogil:
    """Return where `sought`, which is not empty, begins in `text`, -1 if nowhere."""
    cdef const uint8_t* end
    cdef const uint8_t* place
    if text.length - start < sought.length:
        return -1
    end = text.data + text.length - sought.length + 1
    place = text.data + start
    while place < end:
        place = <const uint8_t*>memchr(place, sought.data[0], end - place)
        if place == NULL:
            return -1
        if memcmp(place, sought.data, sought.length) == 0:
            return place - text.data
        place += 1
    return -1


cdef inline int append(Growing* buffer, const void* data, Py_ssize_t length) except -1:
    cdef uint8_t* grown
    cdef Py_ssize_t capacity
    if length > buffer.capacity - buffer.length:
        capacity = max(2 * buffer.capacity, buffer.length + length, 1024)
        grown = <uint8_t*>PyMem_Realloc(buffer.data, capacity)
        if grown == NULL:
            raise MemoryError
        buffer.data, buffer.capacity = grown, capacity
    memcpy(buffer.data + buffer.length, data, length)
    buffer.length += length
    return 0


cdef inline int trim(Growing* buffer) except -1:
    """Give back the room that is left."""
    cdef uint8_t* shrunk
    if buffer.length < buffer.capacity and buffer.length:
        shrunk = <uint8_t*>PyMem_Realloc(buffer.data, buffer.length)
        if shrunk == NULL:
            raise MemoryError
        buffer.data, buffer.capacity = shrunk, buffer.length
    return 0


cdef inline bint is_ascii(Slice text) noexcept nogil:
    cdef uint8_t seen = 0
    cdef Py_ssize_t index
    for index in range(text.length):
        seen |= text.data[index]
    return seen < 0x80


cdef inline bytes content(Growing* buffer):
    return PyBytes_FromStringAndSize(<const char*>buffer.data, buffer.length)


cdef inline int read_integer(Reader* reader, uint64_t* value) noexcept nogil:
    """Read an unsigned LEB128 of at most 63 bits; return -1 where it is torn."""
    cdef uint64_t found = 0
    cdef int shift = 0
    cdef uint8_t byte
    while reader.offset < reader.length and shift <= LAST_SHIFT:
        byte = reader.data[reader.offset]
        reader.offset += 1
        found |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            value[0] = found
            return 0
        shift += 7
    return -1


cdef inline int read_slice(Reader* reader, Slice* piece) noexcept nogil:
    """Read a length and that many bytes; return -1 where they are torn."""
    cdef uint64_t length = 0
    if read_integer(reader, &length) < 0 or length > <uint64_t>(reader.length - reader.offset):
        return -1
    piece.data = reader.data + reader.offset
    piece.length = <Py_ssize_t>length
    reader.offset += piece.length
    return 0


cdef inline int append_integer(Growing* buffer, uint64_t value) except -1:
    cdef uint8_t[10] encoded
    cdef Py_ssize_t length = 0
    while value >= 0x80:
        encoded[length] = <uint8_t>(value & 0x7F | 0x80)
        value >>= 7
        length += 1
    encoded[length] = <uint8_t>value
    return append(buffer, encoded, length + 1)

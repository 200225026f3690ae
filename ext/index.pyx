# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""Index nodes, compiled.

`sidegate/native/pure/index.py` defines what they do.  A node keeps its stored
bytes and beside them its keys, whole and joined, so that a search is a
bisection with memcmp; values are found in place.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from stored_bytes cimport Reader, Slice, LAST_SHIFT, bytes_of, compare, read_integer, read_slice, slice_of

from sidegate.native import index_format
from sidegate.native.index_format import no_node, torn_node

cdef enum:
    # An entry takes three bytes at least.
    MIN_ENTRY_BYTES = 3
    # What the offsets in a node can say.
    MAX_NODE_BYTES = 0x7FFFFFFF

if LAST_SHIFT != index_format.LAST_SHIFT:
    raise ImportError("the compiled index reader knows another format than sidegate.native.index_format")


cdef inline int read_entry(Reader* reader, uint64_t* shared, Slice* rest, Slice* value) noexcept nogil:
    if read_integer(reader, shared) < 0 or read_slice(reader, rest) < 0:
        return -1
    return read_slice(reader, value)


cdef class IndexNode:
    def __cinit__(self, bytes data not None):
        cdef Reader reader
        cdef uint64_t count = 0
        if data[:4] != index_format.NODE_MAGIC:
            raise no_node()
        reader = Reader(<const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), 5)
        if read_integer(&reader, &count) < 0:
            raise torn_node(reader.offset)
        if count > <uint64_t>(reader.length - reader.offset) // MIN_ENTRY_BYTES or reader.length > MAX_NODE_BYTES:
            raise torn_node(reader.length)
        self.data = data
        self.level = reader.data[4]
        self.used = False
        self.count = <Py_ssize_t>count
        self.keys_bytes = self._measure(reader)
        self._allocate()
        self._fill(reader)

    def __dealloc__(self):
        PyMem_Free(self.key_ends)
        PyMem_Free(self.values_at)
        PyMem_Free(self.joined_keys)

    cdef Py_ssize_t _measure(self, Reader reader) except -1:
        """Return how long all keys are; raises Corrupt unless the node is whole."""
        cdef uint64_t shared = 0
        cdef Slice rest, value
        cdef Py_ssize_t total = 0, previous = 0, number
        for number in range(self.count):
            if read_entry(&reader, &shared, &rest, &value) < 0 or shared > <uint64_t>previous:
                raise torn_node(reader.offset)
            previous = <Py_ssize_t>shared + rest.length
            total += previous
            if total > MAX_NODE_BYTES:
                raise torn_node(reader.offset)
        if reader.offset != reader.length:
            raise torn_node(reader.offset)
        return total

    cdef int _allocate(self) except -1:
        self.key_ends = <uint32_t*>PyMem_Malloc(self.count * sizeof(uint32_t))
        self.values_at = <Place*>PyMem_Malloc(self.count * sizeof(Place))
        self.joined_keys = <uint8_t*>PyMem_Malloc(self.keys_bytes)
        if self.key_ends == NULL or self.values_at == NULL or self.joined_keys == NULL:
            raise MemoryError
        return 0

    cdef void _fill(self, Reader reader) noexcept:
        cdef uint64_t shared = 0
        cdef Slice rest, value
        cdef Py_ssize_t previous = 0, end = 0, number
        for number in range(self.count):
            read_entry(&reader, &shared, &rest, &value)
            memcpy(self.joined_keys + end, self.joined_keys + previous, shared)
            memcpy(self.joined_keys + end + shared, rest.data, rest.length)
            previous = end
            end += <Py_ssize_t>shared + rest.length
            self.key_ends[number] = <uint32_t>end
            self.values_at[number] = Place(<uint32_t>(value.data - reader.data), <uint32_t>value.length)

    cdef inline Slice key_at(self, Py_ssize_t index) noexcept:
        cdef Py_ssize_t start = self.key_ends[index - 1] if index else 0
        return Slice(self.joined_keys + start, self.key_ends[index] - start)

    cdef inline Slice value_at(self, Py_ssize_t index) noexcept:
        cdef Place place = self.values_at[index]
        return Slice(<const uint8_t*>PyBytes_AS_STRING(self.data) + place.start, place.length)

    cdef Py_ssize_t first_from(self, Py_ssize_t low, Slice key) noexcept:
        """Return the first index from `low` on whose key is not less than `key`."""
        cdef Py_ssize_t high = self.count, middle
        while low < high:
            middle = (low + high) // 2
            if compare(self.key_at(middle), key) < 0:
                low = middle + 1
            else:
                high = middle
        return low

    def __len__(self):
        return self.count

    @property
    def memory_bytes(self):
        return PyBytes_GET_SIZE(self.data) + self.keys_bytes + 12 * self.count + 200

    @property
    def keys(self):
        cdef Py_ssize_t index
        return [bytes_of(self.key_at(index)) for index in range(self.count)]

    @property
    def values(self):
        cdef Py_ssize_t index
        return [bytes_of(self.value_at(index)) for index in range(self.count)]

    def key(self, Py_ssize_t index):
        self._check(index)
        return bytes_of(self.key_at(index))

    def value(self, Py_ssize_t index):
        self._check(index)
        return bytes_of(self.value_at(index))

    def find(self, bytes key not None):
        return self.first_from(0, slice_of(key))

    cdef int _check(self, Py_ssize_t index) except -1:
        if not 0 <= index < self.count:
            raise IndexError(f"a node of {self.count} entries has no entry {index}")
        return 0

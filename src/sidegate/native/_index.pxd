# cython: language_level=3
"""What compiled readers of trees see of a node."""

cimport cython
from libc.stdint cimport uint8_t, uint32_t

from stored_bytes cimport Reader, Slice


cdef struct Place:
    uint32_t start
    uint32_t length


@cython.final
cdef class IndexNode:
    cdef bytes data
    cdef readonly int level
    cdef public bint used
    cdef Py_ssize_t count
    cdef Py_ssize_t keys_bytes
    cdef uint32_t* key_ends
    cdef Place* values_at
    cdef uint8_t* joined_keys

    cdef Py_ssize_t _measure(self, Reader reader) except -1
    cdef int _allocate(self) except -1
    cdef void _fill(self, Reader reader) noexcept
    cdef Slice key_at(self, Py_ssize_t index) noexcept
    cdef Slice value_at(self, Py_ssize_t index) noexcept
    cdef Py_ssize_t first_from(self, Py_ssize_t low, Slice key) noexcept
    cdef int _check(self, Py_ssize_t index) except -1

# cython: language_level=3
"""What compiled cursors see of the heads of files."""

cimport cython
from libc.stdint cimport uint64_t

from stored_bytes cimport Growing, Reader, Slice

cdef enum:
    # Entries of one block in `FileHeads`: a search reads half of one.
    BLOCK_ENTRIES = 16


cdef struct Summary:
    uint64_t size_bytes
    uint64_t modified_us
    Slice tag


cdef bytes read_summary(Slice record, Summary* summary)


@cython.final
cdef class FileHeads:
    cdef public bint used
    cdef Py_ssize_t count
    cdef Growing entries
    cdef Growing blocks  # where each begins, uint32_t

    cdef Reader reader_at(self, Py_ssize_t block) noexcept
    cdef Py_ssize_t last_block_to(self, Py_ssize_t low, Slice target) noexcept

# cython: language_level=3
"""What a page sees of the cursors that it takes names from."""

from stored_bytes cimport Slice

from sidegate.native._file_heads cimport Summary


cdef class Cursor:
    cdef Slice key
    cdef Slice value  # without data where the name is removed
    cdef bint valid

    cdef bytes summarise(self, Summary* summary)
    cdef int prepare(self, Py_ssize_t limit, bint folds) except -1
    cdef int seek(self, Slice target) except -1
    cdef int advance(self) except -1

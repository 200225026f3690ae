# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""Pages of files, compiled.

`sidegate/native/pure/page_scan.py` defines what they do.  The GIL is kept: a
page is collected in less time than a busy thread may take to give it back.
"""

cimport cython
from cpython.mem cimport PyMem_Free
from libc.stdint cimport uint32_t, uint64_t

from stored_bytes cimport Growing, Slice, append, begins_with, bytes_of, compare, content, find, slice_of

from sidegate.native._cursors cimport Cursor
from sidegate.native._file_heads cimport Summary

from sidegate.native.columns import Columns

cdef enum:
    # What the ends of names and tags can say.
    MAX_TEXT_BYTES = 0x7FFFFFFF


@cython.final
cdef class PageScan:
    cdef bytes start
    cdef bytes prefix
    cdef bytes delimiter
    cdef Py_ssize_t limit
    cdef list cursors
    cdef Growing bound
    cdef Growing names
    cdef Growing name_ends
    cdef Growing tags
    cdef Growing tag_ends
    cdef Growing sizes
    cdef Growing times_us
    cdef list found_groups
    cdef bytes odd_tag  # owns what `_take` points to
    cdef bint is_truncated
    cdef bint ends_in_group

    def __cinit__(self, bytes start not None, bytes prefix not None, bytes delimiter not None, Py_ssize_t limit):
        self.start = max(start, prefix)
        self.prefix = prefix
        self.delimiter = delimiter
        self.limit = limit
        self.found_groups = []

    def __dealloc__(self):
        PyMem_Free(self.bound.data)
        PyMem_Free(self.names.data)
        PyMem_Free(self.name_ends.data)
        PyMem_Free(self.tags.data)
        PyMem_Free(self.tag_ends.data)
        PyMem_Free(self.sizes.data)
        PyMem_Free(self.times_us.data)

    @property
    def columns(self):
        return Columns(
            content(&self.names), memoryview(content(&self.name_ends)).cast("I"),
            content(&self.tags), memoryview(content(&self.tag_ends)).cast("I"),
            memoryview(content(&self.sizes)).cast("q"), memoryview(content(&self.times_us)).cast("q"),
        )

    @property
    def groups(self):
        return tuple(self.found_groups)

    @property
    def truncated(self):
        return self.is_truncated

    @property
    def last(self):
        if self.ends_in_group:
            return self.found_groups[len(self.found_groups) - 1]
        return bytes_of(self._last_name()) if self.name_ends.length else None

    def collect(self, cursors):
        self.cursors = list(cursors)
        self._forget()
        try:
            if self.limit <= 0 or self._collect():
                return True
        finally:
            self.cursors = None
        self._forget()
        return False

    cdef int _forget(self) except -1:
        self.names.length = self.name_ends.length = self.tags.length = self.tag_ends.length = 0
        self.sizes.length = self.times_us.length = 0
        self.found_groups.clear()
        self.is_truncated = self.ends_in_group = False
        return 0

    cdef bint _collect(self) except -1:
        """Collect the page; return whether memory was enough."""
        cdef Slice prefix = slice_of(self.prefix), delimiter = slice_of(self.delimiter)
        cdef Py_ssize_t room = self.limit, cut
        cdef Cursor top
        for cursor in self.cursors:
            (<Cursor?>cursor).prepare(self.limit, delimiter.length > 0)
        if not self._seek(slice_of(self.start)):
            return False
        while True:
            top = self._topmost()
            if top is None or not begins_with(top.key, prefix):
                return True
            if top.value.data != NULL:
                if room == 0:
                    self.is_truncated = True
                    return True
                room -= 1
                cut = find(top.key, prefix.length, delimiter) if delimiter.length else -1
                if cut >= 0:
                    if not self._fold(Slice(top.key.data, cut + delimiter.length)):
                        return False
                    continue
                self._take(top)
            if not self._pass(top):
                return False

    cdef bint _seek(self, Slice target) except -1:
        for cursor in self.cursors:
            if not (<Cursor>cursor).seek(target):
                return False
        return True

    cdef Cursor _topmost(self):
        """Return the cursor on the least name, of equal ones the first; None at the end."""
        cdef Cursor least = None, cursor
        for candidate in self.cursors:
            cursor = <Cursor>candidate
            if cursor.valid and (least is None or compare(cursor.key, least.key) < 0):
                least = cursor
        return least

    cdef bint _pass(self, Cursor top) except -1:
        """Go past the name of `top` with every cursor that stands on it."""
        cdef Cursor cursor
        for candidate in self.cursors:
            cursor = <Cursor>candidate
            if cursor is not top and cursor.valid and compare(cursor.key, top.key) == 0:
                if not cursor.advance():
                    return False
        return top.advance()

    cdef bint _fold(self, Slice group) except -1:
        """Note a group and seek past it: to the least bytes above all that begin with it."""
        self.found_groups.append(bytes_of(group))
        self.ends_in_group = True
        self.bound.length = 0
        append(&self.bound, group.data, group.length)
        while self.bound.length and self.bound.data[self.bound.length - 1] == 0xFF:
            self.bound.length -= 1
        if self.bound.length == 0:
            for cursor in self.cursors:
                (<Cursor>cursor).valid = False
            return True
        self.bound.data[self.bound.length - 1] += 1
        return self._seek(Slice(self.bound.data, self.bound.length))

    cdef int _take(self, Cursor top) except -1:
        """Add a file: its name, and what the head of its record says."""
        cdef Summary summary
        cdef uint32_t end
        self.odd_tag = top.summarise(&summary)
        append(&self.names, top.key.data, top.key.length)
        append(&self.tags, summary.tag.data, summary.tag.length)
        if self.names.length > MAX_TEXT_BYTES or self.tags.length > MAX_TEXT_BYTES:
            raise OverflowError("the names of a page have more than 2 GiB")
        end = <uint32_t>self.names.length
        append(&self.name_ends, &end, sizeof(end))
        end = <uint32_t>self.tags.length
        append(&self.tag_ends, &end, sizeof(end))
        append(&self.sizes, &summary.size_bytes, sizeof(uint64_t))
        append(&self.times_us, &summary.modified_us, sizeof(uint64_t))
        self.ends_in_group = False
        return 0

    cdef Slice _last_name(self) noexcept:
        cdef const uint32_t* ends = <const uint32_t*>self.name_ends.data
        cdef Py_ssize_t count = self.name_ends.length // <Py_ssize_t>sizeof(uint32_t)
        cdef Py_ssize_t start = ends[count - 2] if count > 1 else 0
        return Slice(self.names.data + start, self.names.length - start)

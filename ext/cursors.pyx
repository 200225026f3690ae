# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""Cursors over sorted names, of a tree or of rows, compiled.

`sidegate/native/pure/cursors.py` defines what they do.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.mem cimport PyMem_Free
from libc.stdint cimport uint8_t, uint64_t

from stored_bytes cimport Growing, Reader, Slice, append, bytes_of, compare, read_integer, read_slice, slice_of
from stored_tags cimport expand_tag, skip_tag

from sidegate.native._file_heads cimport BLOCK_ENTRIES, FileHeads, Summary, read_summary
from sidegate.native._index cimport IndexNode

from sidegate.native import index_format
from sidegate.native.index_format import misplaced_node

cdef enum:
    HASH_BYTES = 32
    # A level is one byte, and each child is one level lower.
    MAX_DEPTH = 256
    # Rows asked for at once: few where names fold, more and more while none does.
    FEW_ROWS = 32
    MANY_ROWS = 1024
    GROWTH = 4

if HASH_BYTES != index_format.HASH_BYTES:
    raise ImportError("the compiled cursors know another format than sidegate.native.index_format")


cdef class Cursor:
    cdef bytes summarise(self, Summary* summary):
        """Say what a listing says of the file stood on; return what owns the tag, if need be."""
        return read_summary(self.value, summary)

    cdef int prepare(self, Py_ssize_t limit, bint folds) except -1:
        """Expect to be read for `limit` names, and to be sent past groups if it `folds`."""
        return 0

    cdef int seek(self, Slice target) except -1:
        """Go forward to the first name from `target` on; return 0 where memory cannot tell."""
        raise NotImplementedError

    cdef int advance(self) except -1:
        """Go to the next name; return 0 where memory cannot tell."""
        raise NotImplementedError


@cython.final
cdef class TreeCursor(Cursor):
    cdef bytes root
    cdef object peek
    cdef object load
    cdef IndexNode node  # the deepest of `nodes`
    cdef list nodes
    cdef Py_ssize_t depth
    cdef Py_ssize_t[MAX_DEPTH] places
    cdef object peek_heads
    cdef object load_heads
    cdef FileHeads heads  # stood in below `node`, None in a whole leaf
    cdef Py_ssize_t index
    cdef Reader reader  # behind the key stood on
    cdef Growing name
    cdef uint8_t[64] tag_room

    def __init__(self, bytes root not None, peek not None, load=None, peek_heads=None, load_heads=None):
        self.root = root
        self.peek = peek
        self.load = load
        self.peek_heads = peek_heads
        self.load_heads = load_heads
        self.nodes = []
        self.depth = -1

    def __dealloc__(self):
        PyMem_Free(self.name.data)

    cdef int _enter(self, bytes node_id, int level) except -1:
        """Stand on the first entry of a node; `level` is what it must have, or -1."""
        node = self.peek(node_id)
        if node is None:
            if self.load is None:
                return 0
            node = self.load(node_id)
        self.node = <IndexNode?>node
        if level >= 0 and (self.node.level != level or not self.node.count):
            raise misplaced_node()
        self.node.used = True
        self.nodes.append(node)
        self.depth += 1
        self.places[self.depth] = 0
        return 1

    cdef int _enter_child(self) except -1:
        cdef Slice value = self.node.value_at(self.places[self.depth])
        if value.length < HASH_BYTES:
            raise misplaced_node()
        node_id = bytes_of(Slice(value.data, HASH_BYTES))
        if self.node.level == 1 and self.peek_heads is not None:
            return self._enter_heads(node_id)
        return self._enter(node_id, self.node.level - 1)

    cdef int _enter_heads(self, bytes node_id) except -1:
        """Stand before the first file of a leaf, from its heads or, if only that is there, whole."""
        heads = self.peek_heads(node_id)
        if heads is None:
            if self.load_heads is None:
                return self._enter(node_id, 0)
            heads = self.load_heads(node_id)
        self.heads = <FileHeads?>heads
        if self.name.data is NULL:
            append(&self.name, PyBytes_AS_STRING(node_id), 1)  # room, so that no name is NULL, not even an empty one
        if not self.heads.count:
            raise misplaced_node()
        self.heads.used = True
        self._begin_block(0)
        return 1

    cdef void _begin_block(self, Py_ssize_t block) noexcept:
        self.index = block * BLOCK_ENTRIES - 1
        self.reader = self.heads.reader_at(block)
        self.valid = False

    cdef int _next_head(self) except -1:
        """Go to the next file in the heads; there is one."""
        cdef uint64_t shared = 0, number = 0
        cdef Slice rest
        if self.valid:
            read_integer(&self.reader, &number)
            read_integer(&self.reader, &number)
            skip_tag(&self.reader)
        read_integer(&self.reader, &shared)
        read_slice(&self.reader, &rest)
        self.name.length = <Py_ssize_t>shared
        append(&self.name, rest.data, rest.length)
        self.key = Slice(self.name.data, self.name.length)
        self.value = Slice(self.heads.entries.data, 0)  # not removed; `summarise` has what it says
        self.index += 1
        self.valid = True
        return 1

    cdef int _seek_head(self, Slice target) except -1:
        cdef Py_ssize_t here = max(self.index, 0) // BLOCK_ENTRIES
        cdef Py_ssize_t block = self.heads.last_block_to(here, target)
        if block > here:
            self._begin_block(block)
        if not self.valid:
            self._next_head()
        while compare(self.key, target) < 0:
            if self.index + 1 == self.heads.count:
                raise misplaced_node()
            self._next_head()
        return 1

    cdef bytes summarise(self, Summary* summary):
        cdef Reader reader
        if self.heads is None:
            return read_summary(self.value, summary)
        reader = self.reader
        read_integer(&reader, &summary.size_bytes)
        read_integer(&reader, &summary.modified_us)
        summary.tag = expand_tag(&reader, self.tag_room)
        return None

    cdef int _leave(self) except -1:
        del self.nodes[self.depth]
        self.depth -= 1
        self.node = <IndexNode>self.nodes[self.depth]
        return 0

    cdef int seek(self, Slice target) except -1:
        if self.depth < 0 and not self._enter(self.root, -1):
            return 0
        if self.heads is not None:
            if compare(self.node.key_at(self.places[self.depth]), target) >= 0:
                return self._seek_head(target)
            self.heads = None
        while self.depth > 0 and compare(self.node.key_at(self.node.count - 1), target) < 0:
            self._leave()
        while True:
            place = self.node.first_from(self.places[self.depth], target)
            self.places[self.depth] = place
            if place == self.node.count:
                if self.depth:
                    raise misplaced_node()
                self.valid = False
                return 1
            if self.node.level == 0:
                return self._stand()
            if not self._enter_child():
                return 0
            if self.heads is not None:
                return self._seek_head(target)

    cdef int advance(self) except -1:
        if self.heads is not None:
            if self.index + 1 < self.heads.count:
                return self._next_head()
            self.heads = None
        self.places[self.depth] += 1
        while self.places[self.depth] == self.node.count:
            if self.depth == 0:
                self.valid = False
                return 1
            self._leave()
            self.places[self.depth] += 1
        while self.node.level > 0:
            if not self._enter_child():
                return 0
            if self.heads is not None:
                return self._next_head()
        return self._stand()

    cdef inline int _stand(self) except -1:
        cdef Py_ssize_t place = self.places[self.depth]
        self.key = self.node.key_at(place)
        self.value = self.node.value_at(place)
        self.valid = True
        return 1


@cython.final
cdef class RowCursor(Cursor):
    cdef object fetch
    cdef list rows
    cdef Py_ssize_t index
    cdef Py_ssize_t few
    cdef Py_ssize_t many
    cdef Py_ssize_t asked
    cdef bint complete
    cdef bytes key_object
    cdef bytes value_object

    def __init__(self, fetch not None):
        self.fetch = fetch
        self.rows = []
        self.complete = False

    cdef int prepare(self, Py_ssize_t limit, bint folds) except -1:
        # One more than the page tells whether it is the last.
        self.many = min(limit + 1, MANY_ROWS)
        self.few = min(self.many, FEW_ROWS) if folds else self.many
        return 0

    cdef int _refill(self, bytes start, Py_ssize_t limit) except -1:
        self.asked = limit
        self.rows = list(self.fetch(start, limit))
        self.index = 0
        self.complete = len(self.rows) < limit
        return self._stand()

    cdef int _stand(self) except -1:
        if self.index == len(self.rows):
            self.valid = False
            return 1
        key, found = self.rows[self.index]
        self.key_object = <bytes?>key
        self.key = slice_of(self.key_object)
        if found is None:
            self.value = Slice(NULL, 0)
        else:
            self.value_object = <bytes?>found
            self.value = slice_of(self.value_object)
        self.valid = True
        return 1

    cdef int seek(self, Slice target) except -1:
        cdef Py_ssize_t low = self.index, high = len(self.rows), middle
        while low < high:
            middle = (low + high) // 2
            key, _ = self.rows[middle]
            if compare(slice_of(<bytes?>key), target) < 0:
                low = middle + 1
            else:
                high = middle
        self.index = low
        if low == len(self.rows) and not self.complete:
            return self._refill(bytes_of(target), self.few)
        return self._stand()

    cdef int advance(self) except -1:
        self.index += 1
        if self.index == len(self.rows) and not self.complete:
            return self._refill(self.key_object + b"\0", min(GROWTH * self.asked, self.many))
        return self._stand()

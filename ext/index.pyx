# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""Index nodes and pages of files, compiled.

`sidegate/native/pure/index.py` defines what all of it does.  A node keeps its
stored bytes and beside them its keys, whole and joined, so that a search is a
bisection with memcmp; values are found in place.  Of a leaf, `FileHeads` keeps
a sixth: what a listing says, keys as what they share with the one before, whole
at the start of each block, and tags that are hexadecimal as bytes.  The GIL is kept: a page is
collected in less time than a busy thread may take to give it back.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from stored_bytes cimport (
    LAST_SHIFT, Growing, Reader, Slice, append, append_integer, bytes_of, content, is_ascii, read_integer,
    read_slice, slice_of,
)

from sidegate.native import index_format
from sidegate.native.columns import Columns
from sidegate.native.index_format import misplaced_node, no_node, torn_node
from sidegate.native.pure.index import read_summary as explain_record

cdef enum:
    RECORD_VERSION = 1
    HAS_HASH = 1
    EXTERNAL = 2
    HASH_BYTES = 32
    # A level is one byte, and each child is one level lower.
    MAX_DEPTH = 256
    # Rows asked for at once: few where names fold, more and more while none does.
    FEW_ROWS = 32
    MANY_ROWS = 1024
    GROWTH = 4
    # Entries of one block in `FileHeads`: a search reads half of one.
    BLOCK_ENTRIES = 16
    # How a tag is kept there.
    TAG_TEXT = 0
    TAG_HEX = 1
    TAG_HEX_AND_COUNT = 2
    TAG_HEX_BYTES = 16
    # An entry takes three bytes at least.
    MIN_ENTRY_BYTES = 3
    # What the offsets in a node can say.
    MAX_NODE_BYTES = 0x7FFFFFFF

if (RECORD_VERSION, HAS_HASH, EXTERNAL, HASH_BYTES, LAST_SHIFT) != (
    index_format.RECORD_VERSION, index_format.HAS_HASH, index_format.EXTERNAL,
    index_format.HASH_BYTES, index_format.LAST_SHIFT,
):
    raise ImportError("the compiled index reader knows another format than sidegate.native.index_format")


# --- bytes


cdef inline int compare(Slice left, Slice right) noexcept nogil:
    cdef int order = memcmp(left.data, right.data, min(left.length, right.length))
    if order:
        return order
    return (left.length > right.length) - (left.length < right.length)


cdef inline bint begins_with(Slice text, Slice prefix) noexcept nogil:
    return text.length >= prefix.length and memcmp(text.data, prefix.data, prefix.length) == 0


cdef Py_ssize_t find(Slice text, Py_ssize_t start, Slice sought) noexcept nogil:
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


cdef int trim(Growing* buffer) except -1:
    """Give back the room that is left."""
    cdef uint8_t* shrunk
    if buffer.length < buffer.capacity and buffer.length:
        shrunk = <uint8_t*>PyMem_Realloc(buffer.data, buffer.length)
        if shrunk == NULL:
            raise MemoryError
        buffer.data, buffer.capacity = shrunk, buffer.length
    return 0


# --- nodes

cdef struct Place:
    uint32_t start
    uint32_t length


cdef inline int read_entry(Reader* reader, uint64_t* shared, Slice* rest, Slice* value) noexcept nogil:
    if read_integer(reader, shared) < 0 or read_slice(reader, rest) < 0:
        return -1
    return read_slice(reader, value)


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


# --- what a listing says of files

cdef struct Summary:
    uint64_t size_bytes
    uint64_t modified_us
    Slice tag


cdef bytes read_summary(Slice record, Summary* summary):
    """Read the head of a record; return what owns the tag if the record does not.  Raises Corrupt."""
    cdef Reader reader = Reader(record.data, record.length, 0)
    cdef uint64_t version = 0, flags = 0
    cdef bytes owner = None
    cdef bint whole = (
        read_integer(&reader, &version) == 0 and version == RECORD_VERSION
        and read_integer(&reader, &flags) == 0 and flags <= (HAS_HASH | EXTERNAL)
        and read_integer(&reader, &summary.size_bytes) == 0
    )
    if whole and flags & HAS_HASH:
        reader.offset = min(reader.offset + HASH_BYTES, reader.length)
    if not (whole and read_slice(&reader, &summary.tag) == 0
            and read_integer(&reader, &summary.modified_us) == 0 and is_ascii(summary.tag)):
        summary.size_bytes, text, summary.modified_us = explain_record(bytes_of(record))
        owner = text.encode()
        summary.tag = slice_of(owner)
    return owner


cdef inline int nibble(uint8_t digit) noexcept nogil:
    if c"0" <= digit <= c"9":
        return digit - c"0"
    return digit - c"a" + 10 if c"a" <= digit <= c"f" else -1


cdef bint read_hex(Slice tag, uint8_t* digest) noexcept nogil:
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


cdef int64_t read_count(Slice tag) noexcept nogil:
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


cdef int append_tag(Growing* buffer, Slice tag) except -1:
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


cdef Slice expand_tag(Reader* reader, uint8_t* room) noexcept nogil:
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


cdef int write_count(uint8_t* room, uint64_t count) noexcept nogil:
    cdef int length = 0, index
    cdef uint64_t rest = count
    while rest:
        rest //= 10
        length += 1
    for index in range(length - 1, -1, -1):
        room[index] = <uint8_t>(48 + count % 10)
        count //= 10
    return length


@cython.final
cdef class FileHeads:
    cdef public bint used
    cdef Py_ssize_t count
    cdef Growing entries
    cdef Growing blocks  # where each begins, uint32_t

    def __cinit__(self, IndexNode leaf not None):
        cdef Slice key, previous = Slice(NULL, 0)
        cdef Summary summary
        cdef Py_ssize_t index, shared
        cdef uint32_t start
        if leaf.level != 0:
            raise ValueError(f"a node of level {leaf.level} has no files")
        self.count = leaf.count
        for index in range(leaf.count):
            key = leaf.key_at(index)
            shared = 0
            if index % BLOCK_ENTRIES == 0:
                start = <uint32_t>self.entries.length
                append(&self.blocks, &start, sizeof(start))
            else:
                while shared < min(key.length, previous.length) and key.data[shared] == previous.data[shared]:
                    shared += 1
            previous = key
            owner = read_summary(leaf.value_at(index), &summary)
            append_integer(&self.entries, <uint64_t>shared)
            append_integer(&self.entries, <uint64_t>(key.length - shared))
            append(&self.entries, key.data + shared, key.length - shared)
            append_integer(&self.entries, summary.size_bytes)
            append_integer(&self.entries, summary.modified_us)
            append_tag(&self.entries, summary.tag)
        trim(&self.entries)
        trim(&self.blocks)

    def __dealloc__(self):
        PyMem_Free(self.entries.data)
        PyMem_Free(self.blocks.data)

    def __len__(self):
        return self.count

    @property
    def memory_bytes(self):
        return self.entries.capacity + self.blocks.capacity + 200

    cdef inline Reader reader_at(self, Py_ssize_t block) noexcept:
        return Reader(self.entries.data, self.entries.length, (<const uint32_t*>self.blocks.data)[block])

    cdef Py_ssize_t last_block_to(self, Py_ssize_t low, Slice target) noexcept:
        """Return the last block from `low` on whose first key is not above `target`, or `low`."""
        cdef Py_ssize_t high = (self.count + BLOCK_ENTRIES - 1) // BLOCK_ENTRIES - 1, middle
        cdef uint64_t shared = 0
        cdef Slice first
        cdef Reader reader
        while low < high:
            middle = (low + high + 1) // 2
            reader = self.reader_at(middle)
            read_integer(&reader, &shared)
            read_slice(&reader, &first)
            if compare(first, target) <= 0:
                low = middle
            else:
                high = middle - 1
        return low


# --- cursors

cdef class Cursor:
    cdef Slice key
    cdef Slice value  # without data where the name is removed
    cdef bint valid

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
        append(&self.name, rest.data, rest.length)  # of at least 1 KiB from the first on, so never NULL
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
        row = self.rows[self.index]
        self.key_object = <bytes?>row[0]
        self.key = slice_of(self.key_object)
        found = row[1]
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
            if compare(slice_of(<bytes?>self.rows[middle][0]), target) < 0:
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


# --- pages

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
        if self.names.length > MAX_NODE_BYTES or self.tags.length > MAX_NODE_BYTES:
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

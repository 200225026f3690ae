# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""The parts of an upload in columns, compiled.

`sidegate/native/pure/parts.py` defines what all of it does.  The GIL is kept:
640 parts take less time than a busy thread may take to give it back.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcmp

from stored_bytes cimport (
    Growing, Reader, Slice, append, append_integer, bytes_of, content, is_ascii, read_integer, read_slice,
    slice_of,
)

from sidegate.native import index_format, part_columns
from sidegate.native.part_columns import NamedParts, PartColumns
from sidegate.native.pure.parts import collect_parts as collect_in_python

cdef enum:
    RECORD_VERSION = 1
    HAS_HASH = 1
    EXTERNAL = 2
    PARTIAL = 1
    TAIL = 2
    HASH_BYTES = 32
    # Digits of the greatest number, and of any in 64 bits.
    NUMBER_DIGITS = 5
    LONGEST_DIGITS = 20

if (RECORD_VERSION, HAS_HASH, EXTERNAL, PARTIAL, TAIL, HASH_BYTES) != (
    index_format.RECORD_VERSION, index_format.HAS_HASH, index_format.EXTERNAL,
    index_format.PARTIAL, index_format.TAIL, index_format.HASH_BYTES,
):
    raise ImportError("the compiled reader of parts knows another format than sidegate.native.index_format")

cdef tuple DECLARATIONS = part_columns.DECLARATIONS
cdef tuple ROOTS = part_columns.ROOTS
cdef bytes ROOT_END = part_columns.ROOT_END
cdef int64_t MAX_NUMBER = part_columns.MAX_NUMBER

cdef Slice PART = slice_of(b"<Part>")
cdef Slice PART_END = slice_of(b"</Part>")
cdef Slice TAG = slice_of(b"<ETag>")
cdef Slice TAG_END = slice_of(b"</ETag>")
cdef Slice NUMBER = slice_of(b"<PartNumber>")
cdef Slice NUMBER_END = slice_of(b"</PartNumber>")
cdef Slice CHECKSUM = slice_of(b"<Checksum")
cdef Slice CHECKSUM_END = slice_of(b"</Checksum")
cdef Slice QUOTE = slice_of(b'"')
cdef Slice QUOTE_ENTITY = slice_of(b"&quot;")
cdef Slice QUOTE_NUMBER = slice_of(b"&#34;")

if part_columns.QUOTES != (b'"', b"&quot;", b"&#34;"):
    raise ImportError("the compiled reader of parts knows other quotes than sidegate.native.part_columns")

# What a byte may be part of.
cdef enum:
    IN_TAG = 1
    IN_NAME = 2
    IN_VALUE = 4

cdef uint8_t[256] KINDS


cdef void fill_kinds() noexcept:
    cdef int byte
    for byte in range(256):
        KINDS[byte] = 0
        if 48 <= byte <= 57 or 65 <= byte <= 90:
            KINDS[byte] = IN_TAG | IN_NAME | IN_VALUE
        elif 97 <= byte <= 122:
            KINDS[byte] = IN_TAG | IN_VALUE
        elif byte == c"-":
            KINDS[byte] = IN_TAG
        elif byte in (c"+", c"/", c"="):
            KINDS[byte] = IN_VALUE


fill_kinds()


# --- documents

cdef struct Named:
    int64_t number
    Slice tag
    Slice algorithm
    Slice checksum


cdef inline bint take_text(Reader* reader, Slice text) noexcept nogil:
    """Pass a text, which is not empty, if it comes next."""
    if text.length > reader.length - reader.offset or reader.data[reader.offset] != text.data[0]:
        return False
    if memcmp(reader.data + reader.offset, text.data, text.length):
        return False
    reader.offset += text.length
    return True


cdef bint take_any(Reader* reader, tuple texts):
    cdef bytes text
    for text in texts:
        if take_text(reader, slice_of(text)):
            return True
    return False


cdef inline Slice take_run(Reader* reader, uint8_t kind) noexcept nogil:
    """Pass all bytes of a kind that come next."""
    cdef Py_ssize_t start = reader.offset
    while reader.offset < reader.length and KINDS[reader.data[reader.offset]] & kind:
        reader.offset += 1
    return Slice(reader.data + start, reader.offset - start)


cdef inline void skip_space(Reader* reader) noexcept nogil:
    while reader.offset < reader.length and reader.data[reader.offset] in (c" ", c"\t", c"\r", c"\n"):
        reader.offset += 1


cdef inline bint equal(Slice left, Slice right) noexcept nogil:
    return left.length == right.length and memcmp(left.data, right.data, left.length) == 0


cdef bint scan_number(Reader* reader, Named* part) noexcept nogil:
    """Read what follows `<PartNumber>`; whether it is usual and the first of its part."""
    cdef int digits = 0
    cdef int64_t number = 0
    while reader.offset < reader.length and c"0" <= reader.data[reader.offset] <= c"9" and digits <= NUMBER_DIGITS:
        number = 10 * number + (reader.data[reader.offset] - c"0")
        if number == 0:
            return False
        digits += 1
        reader.offset += 1
    if part.number or not digits or digits > NUMBER_DIGITS:
        return False
    part.number = number
    return take_text(reader, NUMBER_END)


cdef inline void skip_quote(Reader* reader) noexcept nogil:
    if not take_text(reader, QUOTE) and not take_text(reader, QUOTE_ENTITY):
        take_text(reader, QUOTE_NUMBER)


cdef bint scan_tag(Reader* reader, Named* part) noexcept nogil:
    """Read what follows `<ETag>`; whether it is usual and the first of its part."""
    cdef bint first = part.tag.length == 0
    skip_quote(reader)
    part.tag = take_run(reader, IN_TAG)
    skip_quote(reader)
    return first and part.tag.length > 0 and take_text(reader, TAG_END)


cdef bint scan_checksum(Reader* reader, Named* part) noexcept nogil:
    """Read what follows `<Checksum`; whether it is usual and the first of its part."""
    cdef bint first = part.algorithm.length == 0
    cdef Slice close = Slice(b">", 1)
    part.algorithm = take_run(reader, IN_NAME)
    if not (first and part.algorithm.length and take_text(reader, close)):
        return False
    part.checksum = take_run(reader, IN_VALUE)
    return (
        part.checksum.length > 0 and take_text(reader, CHECKSUM_END)
        and take_text(reader, part.algorithm) and take_text(reader, close)
    )


cdef bint scan_part(Reader* reader, Named* part) noexcept nogil:
    """Read what follows `<Part>`; whether all of it is usual."""
    cdef bint usual = True
    part[0] = Named(0, Slice(NULL, 0), Slice(NULL, 0), Slice(NULL, 0))
    while usual:
        skip_space(reader)
        if take_text(reader, TAG):
            usual = scan_tag(reader, part)
        elif take_text(reader, NUMBER):
            usual = scan_number(reader, part)
        elif take_text(reader, CHECKSUM):
            usual = scan_checksum(reader, part)
        else:
            break
    return usual and part.number > 0 and part.tag.length > 0 and take_text(reader, PART_END)


cdef int append_number(Growing* buffer, uint64_t number) except -1:
    cdef uint8_t[LONGEST_DIGITS] digits
    cdef int start = LONGEST_DIGITS
    while True:
        start -= 1
        digits[start] = <uint8_t>(48 + number % 10)
        number //= 10
        if not number:
            return append(buffer, digits + start, LONGEST_DIGITS - start)


cdef int append_name(Growing* names, uint64_t number, Slice tag) except -1:
    if names.length:
        append(names, b",", 1)
    append_number(names, number)
    append(names, b":", 1)
    return append(names, tag.data, tag.length)


cdef int scan_parts(Reader* reader, Growing* names, Growing* checksums, Slice* algorithm) except -1:
    """Read all parts; return how many there are, 0 when they are not usual."""
    cdef Named part
    cdef int64_t last = 0
    cdef int count = 0
    while take_text(reader, PART):
        if not scan_part(reader, &part) or not last < part.number <= MAX_NUMBER:
            return 0
        if not count:
            algorithm[0] = part.algorithm
        elif not equal(part.algorithm, algorithm[0]):
            return 0
        append_name(names, <uint64_t>part.number, part.tag)
        if count and part.checksum.length:
            append(checksums, b"\n", 1)
        append(checksums, part.checksum.data, part.checksum.length)
        last = part.number
        count += 1
        skip_space(reader)
    return count


def scan_completion(bytes document not None):
    cdef Reader reader = Reader(<const uint8_t*>PyBytes_AS_STRING(document), PyBytes_GET_SIZE(document), 0)
    cdef Growing names = Growing(NULL, 0, 0), checksums = Growing(NULL, 0, 0)
    cdef Slice algorithm = Slice(NULL, 0)
    take_any(&reader, DECLARATIONS)
    skip_space(&reader)
    if not take_any(&reader, ROOTS):
        return None
    skip_space(&reader)
    try:
        if not scan_parts(&reader, &names, &checksums, &algorithm):
            return None
        if not take_text(&reader, slice_of(ROOT_END)):
            return None
        skip_space(&reader)
        if reader.offset != reader.length:
            return None
        return NamedParts(content(&names), bytes_of(algorithm), content(&checksums))
    finally:
        PyMem_Free(names.data)
        PyMem_Free(checksums.data)


# --- records

cdef struct Stored:
    uint64_t size_bytes
    uint64_t flags
    Slice content_hash
    Slice tag
    # The extents as they stand, or the node that holds them.
    Slice extents
    uint64_t count
    uint64_t attribute_count


cdef inline int read_fixed(Reader* reader, Slice* piece, Py_ssize_t length) noexcept nogil:
    if length > reader.length - reader.offset:
        return -1
    piece[0] = Slice(reader.data + reader.offset, length)
    reader.offset += length
    return 0


cdef int skip_extents(Reader* reader, uint64_t count) noexcept nogil:
    cdef Slice chunk
    cdef uint64_t flags = 0, number = 0, done = 0
    cdef int numbers
    while done < count:
        if read_integer(reader, &flags) < 0 or flags > (PARTIAL | TAIL) or read_fixed(reader, &chunk, HASH_BYTES) < 0:
            return -1
        for numbers in range(3 if flags & PARTIAL else 1):
            if read_integer(reader, &number) < 0:
                return -1
        done += 1
    return 0


cdef int read_extents(Reader* reader, Stored* part) noexcept nogil:
    cdef Py_ssize_t start
    if part.flags & EXTERNAL:
        return 0 if read_fixed(reader, &part.extents, HASH_BYTES) == 0 and read_integer(reader, &part.count) == 0 else -1
    if read_integer(reader, &part.count) < 0:
        return -1
    start = reader.offset
    if skip_extents(reader, part.count) < 0:
        return -1
    part.extents = Slice(reader.data + start, reader.offset - start)
    return 0


cdef int read_head(Reader* reader, Stored* part) noexcept nogil:
    """Read a record up to its attributes; return -1 for what is damaged."""
    cdef uint64_t number = 0
    if read_integer(reader, &number) < 0 or number != RECORD_VERSION:
        return -1
    if read_integer(reader, &part.flags) < 0 or part.flags > (HAS_HASH | EXTERNAL):
        return -1
    if read_integer(reader, &part.size_bytes) < 0:
        return -1
    part.content_hash = Slice(NULL, 0)
    if part.flags & HAS_HASH and read_fixed(reader, &part.content_hash, HASH_BYTES) < 0:
        return -1
    if read_slice(reader, &part.tag) < 0 or read_integer(reader, &number) < 0 or read_extents(reader, part) < 0:
        return -1
    return read_integer(reader, &part.attribute_count)


@cython.final
cdef class PartCollector:
    cdef Growing names
    cdef Growing tags
    cdef Growing extents
    cdef Growing external
    cdef list lengths
    cdef list sizes
    cdef list counts
    # Those of the first part, in its order; all others must have the same.
    cdef list attribute_names
    cdef list attribute_values
    cdef bytes content_hash

    def __cinit__(self):
        self.names = self.tags = self.extents = self.external = Growing(NULL, 0, 0)
        self.lengths, self.sizes, self.counts = [], [], []
        self.attribute_names, self.attribute_values = [], []
        self.content_hash = None

    def __dealloc__(self):
        PyMem_Free(self.names.data)
        PyMem_Free(self.tags.data)
        PyMem_Free(self.extents.data)
        PyMem_Free(self.external.data)

    def add(self, int64_t number, bytes record not None):
        cdef Reader reader = Reader(<const uint8_t*>PyBytes_AS_STRING(record), PyBytes_GET_SIZE(record), 0)
        cdef Stored part
        cdef bint first = self.external.length == 0
        if number < 0 or read_head(&reader, &part) < 0 or not is_ascii(part.tag):
            return False
        if not self.add_attributes(&reader, part.attribute_count, first) or reader.offset != reader.length:
            return False
        self.content_hash = bytes_of(part.content_hash) if first and part.content_hash.length else None
        append_name(&self.names, <uint64_t>number, part.tag)
        append(&self.tags, part.tag.data, part.tag.length)
        append(&self.tags, b"\n", 1)
        self.add_extents(&part)
        add_number(self.sizes, part.size_bytes)
        add_number(self.counts, part.count)
        return True

    cdef int add_extents(self, Stored* part) except -1:
        cdef Py_ssize_t start = self.extents.length
        cdef uint8_t external = 1 if part.flags & EXTERNAL else 0
        append(&self.external, &external, 1)
        append(&self.extents, part.extents.data, part.extents.length)
        if external:
            append_integer(&self.extents, part.size_bytes)
            append_integer(&self.extents, part.count)
        return add_number(self.lengths, <uint64_t>(self.extents.length - start))

    cdef bint add_attributes(self, Reader* reader, uint64_t count, bint first) except -1:
        """Take the attributes of a part; returns False unless they are whole and named as the first part's."""
        cdef Slice name, value
        cdef uint64_t index = 0
        if not first and count != <uint64_t>len(self.attribute_names):
            return False
        while index < count:
            if read_slice(reader, &name) < 0 or read_slice(reader, &value) < 0 or not is_ascii(name):
                return False
            if first:
                self.attribute_names.append(bytes_of(name))
                self.attribute_values.append([])
            elif not equal(name, slice_of(<bytes>self.attribute_names[index])):
                return False
            (<list>self.attribute_values[index]).append(
                PyUnicode_DecodeUTF8(<const char*>value.data, value.length, "surrogateescape")
            )
            index += 1
        return True

    def columns(self):
        cdef list names = [name.decode() for name in self.attribute_names]
        cdef list values = [list(column) for column in self.attribute_values]
        return PartColumns(
            content(&self.names), content(&self.tags), list(self.sizes), dict(zip(names, values)),
            content(&self.extents), list(self.lengths), content(&self.external), list(self.counts),
            self.content_hash,
        )


cdef int add_number(list numbers, uint64_t number) except -1:
    """Append a number, as the same object where it is the last one again: most parts are of one size."""
    cdef Py_ssize_t count = len(numbers)
    cdef object last = numbers[count - 1] if count else None
    numbers.append(last if last is not None and <uint64_t>last == number else number)
    return 0


def collect_parts(rows not None):
    cdef PartCollector collector = PartCollector()
    for number, record in rows:
        if not collector.add(number, <bytes?>record):
            # Damaged, or of different kinds: the definition knows what to make of it.
            return collect_in_python(rows)
    return collector.columns()

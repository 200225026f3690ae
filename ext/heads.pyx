# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""The scanner of plain requests, compiled.

`sidegate/native/pure/heads.py` defines what it does; names are the same.  One
pass over the bytes of a head; nothing is allocated before it is known to be a
plain one.  The GIL is kept: a head takes less time than giving it back.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr, memcmp, memset

from head_values cimport (
    MAX_LENGTH_DIGITS,
    MAX_RANGE_DIGITS,
    Interval,
    Value,
    escaped_byte,
    is_printable,
    read_length,
    read_range,
    stripped,
    value_bytes,
)

from sidegate.native import plain_heads

cdef enum:
    # Checked against sidegate.native.plain_heads below.
    MAX_PATH_BYTES = 4096
    MAX_NAME_BYTES = 40
    MAX_NAMES = 64
    MAX_WANTED = 12

if (MAX_PATH_BYTES, MAX_NAME_BYTES, MAX_NAMES, MAX_WANTED, MAX_RANGE_DIGITS, MAX_LENGTH_DIGITS) != (
    plain_heads.MAX_PATH_BYTES,
    plain_heads.MAX_NAME_BYTES,
    plain_heads.MAX_NAMES,
    plain_heads.MAX_WANTED,
    plain_heads.MAX_RANGE_DIGITS,
    plain_heads.MAX_LENGTH_DIGITS,
):
    raise ImportError("the compiled scanner of heads has other limits than sidegate.native.plain_heads")

cdef enum Kind:
    DECLINED
    IGNORED
    HOST
    CONNECTION
    LENGTH
    RANGE
    WANTED  # and the following: the first, the second, … of the wanted headers


cdef struct Name:
    uint8_t[MAX_NAME_BYTES] text
    size_t length
    int kind


# Byte → itself in lower case if it may stand in a header's name (RFC 9110 section 5.6.2), else 0.
cdef uint8_t[256] TOKEN
# Byte → whether it may stand in a path, in a query (RFC 3986 section 3.3, 3.4), apart from "%".
cdef uint8_t[256] PATH
cdef uint8_t[256] QUERY


cdef int fill_tables() except -1:
    cdef int byte
    memset(TOKEN, 0, 256)
    memset(PATH, 0, 256)
    memset(QUERY, 0, 256)
    for byte in plain_heads.TOKEN_BYTES:
        TOKEN[byte] = byte + 32 if c"A" <= byte <= c"Z" else byte
    for byte in plain_heads.PATH_BYTES:
        PATH[byte] = 1
    for byte in plain_heads.QUERY_BYTES:
        QUERY[byte] = 1
    return 0


fill_tables()


cdef inline bint is_keep_alive(Value value) noexcept nogil:
    cdef const char* expected = b"keep-alive"
    cdef size_t index
    if value.length != 10:
        return False
    for index in range(10):
        if TOKEN[value.start[index]] != <uint8_t>expected[index]:
            return False
    return True


cdef struct Found:
    bint is_head
    bint escaped
    Value path
    Value host
    bint has_length
    int64_t length
    Interval range
    Value[MAX_WANTED] wanted
    const uint8_t* next


@cython.final
cdef class HeadScanner:
    cdef Py_buffer view
    cdef const uint8_t* data
    cdef size_t head_bytes
    cdef size_t header_count
    cdef size_t wanted_count
    cdef Name[MAX_NAMES] names
    cdef size_t name_count
    # Index of the first name of a length in `names`, and of the first after them.
    cdef uint8_t[MAX_NAME_BYTES + 2] first_name
    cdef Name[MAX_NAMES] parameters
    cdef size_t parameter_count
    cdef bint writes
    cdef Name family

    def __cinit__(
        self,
        buffer,
        *,
        head_bytes,
        header_count,
        wanted=(),
        declined=(),
        parameters=(),
        writes=False,
        family=b"",
        ignored=(),
    ):
        plain_heads.check_names(wanted, (*declined, *ignored), parameters)
        plain_heads.check_family(family)
        PyObject_GetBuffer(buffer, &self.view, PyBUF_SIMPLE)
        self.data = <const uint8_t*>self.view.buf
        self.head_bytes = head_bytes
        self.header_count = header_count
        self.wanted_count = len(wanted)
        self.writes = writes
        self.family.length = len(family)
        for index in range(len(family)):
            self.family.text[index] = family[index]
        kinds = {name: DECLINED for name in declined}
        kinds.update({name: IGNORED for name in ignored})
        kinds.update({name: WANTED + index for index, name in enumerate(wanted)})
        kinds.update({b"host": HOST, b"connection": CONNECTION, b"content-length": LENGTH, b"range": RANGE})
        self.name_count = fill_names(self.names, kinds)
        self.parameter_count = fill_names(self.parameters, dict.fromkeys(parameters, 0))
        self.index_names()

    def __dealloc__(self):
        PyBuffer_Release(&self.view)  # does nothing to one that was never filled: it is zeroed

    cdef void index_names(self) noexcept:
        cdef size_t length, index = 0
        for length in range(MAX_NAME_BYTES + 2):
            while index < self.name_count and self.names[index].length < length:
                index += 1
            self.first_name[length] = <uint8_t>index

    def scan(self, Py_ssize_t start, Py_ssize_t end):
        cdef Found found
        if not 0 <= start <= end <= self.view.len:
            raise ValueError("not a part of the buffer")
        if not self.read_head(self.data + start, self.data + end, &found):
            return None
        path = decode_path(&found)
        return None if path is None else self.build(path, &found)

    cdef tuple build(self, str path, Found* found):
        cdef tuple result = PyTuple_New(6 + self.wanted_count)
        cdef size_t index
        put(result, 0, found.next - self.data)
        put(result, 1, found.is_head)
        put(result, 2, path)
        put(result, 3, value_bytes(found.host))
        put(result, 4, 0 if self.writes else found.range.first)
        put(result, 5, found.length if self.writes else found.range.last)
        for index in range(self.wanted_count):
            put(result, 6 + index, value_bytes(found.wanted[index]))
        return result

    cdef bint read_head(self, const uint8_t* at, const uint8_t* end, Found* found) noexcept nogil:
        """Read one head; whether all of it is here and plain."""
        cdef const uint8_t* begin = at
        cdef size_t count = 0
        found.host.start = NULL
        found.has_length = False
        found.length = 0
        found.range.first = found.range.last = -1
        memset(found.wanted, 0, sizeof(found.wanted))
        at = self.read_request_line(at, end, found)
        while at is not NULL:
            if end - at >= 2 and at[0] == c"\r" and at[1] == c"\n":
                found.next = at + 2
                if self.writes and not found.has_length:
                    return False
                return found.host.start is not NULL and <size_t>(found.next - begin) <= self.head_bytes
            count += 1
            if count > self.header_count:
                return False
            at = self.read_header(at, end, found)
        return False

    cdef const uint8_t* read_request_line(
        self, const uint8_t* at, const uint8_t* end, Found* found
    ) noexcept nogil:
        """Return where the line ends, NULL if it is not plain."""
        if end - at < 16:
            return NULL
        found.is_head = at[0] == c"H"
        if self.writes:
            if memcmp(at, b"PUT ", 4) != 0:
                return NULL
            at += 4
        elif memcmp(at, b"GET ", 4) == 0:
            at += 4
        elif memcmp(at, b"HEAD ", 5) == 0:
            at += 5
        else:
            return NULL
        at = read_path(at, end, found)
        if at is not NULL and at < end and at[0] == c"?":
            at = self.read_query(at + 1, end)
        if at is NULL or end - at < 11 or memcmp(at, b" HTTP/1.1\r\n", 11) != 0:
            return NULL
        return at + 11

    cdef const uint8_t* read_query(self, const uint8_t* at, const uint8_t* end) noexcept nogil:
        """Return where the query ends, NULL if a parameter is not among the harmless ones."""
        cdef const uint8_t* name
        cdef int byte
        while True:
            name = at
            while at < end and QUERY[at[0]] and at[0] != c"=" and at[0] != c"&":
                at += 1
            if at < end and QUERY[at[0]] == 0 and at[0] != c" ":
                return NULL
            if not self.knows_parameter(name, at - name):
                return NULL
            while at < end and at[0] != c"&" and at[0] != c" ":
                if at[0] == c"%":
                    byte = escaped_byte(at, end)
                    if not 0x20 <= byte <= 0x7E:
                        return NULL
                    at += 2
                elif not QUERY[at[0]]:
                    return NULL
                at += 1
            if at == end or at[0] == c" ":
                return at
            at += 1

    cdef bint knows_parameter(self, const uint8_t* name, size_t length) noexcept nogil:
        cdef size_t index
        for index in range(self.parameter_count):
            if self.parameters[index].length == length and (
                memcmp(self.parameters[index].text, name, length) == 0
            ):
                return True
        return False

    cdef const uint8_t* read_header(self, const uint8_t* at, const uint8_t* end, Found* found) noexcept nogil:
        """Return where the line ends, NULL if it is not plain."""
        cdef const uint8_t* name = at
        cdef const uint8_t* line_end
        cdef Value value
        cdef int kind
        while at < end and TOKEN[at[0]]:
            at += 1
        if at == end or at[0] != c":" or at == name:
            return NULL
        value.start = at + 1
        line_end = <const uint8_t*>memchr(value.start, c"\r", end - value.start)
        if line_end is NULL or line_end + 1 >= end or line_end[1] != c"\n":
            return NULL
        value.length = line_end - value.start
        if not is_printable(value):
            return NULL
        kind = self.kind_of(name, at - name)
        if kind >= 0 and not self.take(kind, stripped(value), found):
            return NULL
        return line_end + 2

    cdef int kind_of(self, const uint8_t* name, size_t length) noexcept nogil:
        """Return the kind of a header that matters, -1 for any other."""
        cdef size_t index, place
        if length > MAX_NAME_BYTES:
            return self.kind_of_unknown(name, length)
        for index in range(self.first_name[length], self.first_name[length + 1]):
            place = 0
            while place < length and TOKEN[name[place]] == self.names[index].text[place]:
                place += 1
            if place == length:
                return self.names[index].kind
        return self.kind_of_unknown(name, length)

    cdef int kind_of_unknown(self, const uint8_t* name, size_t length) noexcept nogil:
        """Return what becomes of a header that is named nowhere: it must not be of the family."""
        cdef size_t place = 0
        if not self.family.length or length < self.family.length:
            return -1
        while place < self.family.length and TOKEN[name[place]] == self.family.text[place]:
            place += 1
        return DECLINED if place == self.family.length else -1

    cdef bint take(self, int kind, Value value, Found* found) noexcept nogil:
        """Note the value of a header that matters; whether the head is still plain."""
        if kind == DECLINED:
            return False
        if kind == IGNORED:
            return True
        if kind == CONNECTION:
            return is_keep_alive(value)
        if kind == LENGTH and self.writes:
            if found.has_length or not read_length(value, &found.length):
                return False
            found.has_length = True
            return True
        if kind == LENGTH:
            if found.has_length or value.length != 1 or value.start[0] != c"0":
                return False
            found.has_length = True
            return True
        if kind == HOST:
            if found.host.start is not NULL or not value.length:
                return False
            found.host = value
            return True
        if kind == RANGE:
            if self.writes or found.range.first >= 0 or found.range.last >= 0:
                return False
            return read_range(value, &found.range)
        if found.wanted[kind - WANTED].start is not NULL:
            return False
        found.wanted[kind - WANTED] = value
        return True


cdef const uint8_t* read_path(const uint8_t* at, const uint8_t* end, Found* found) noexcept nogil:
    """Return where the path ends, NULL if it is not plain."""
    cdef const uint8_t* begin = at
    cdef bint in_first = True
    cdef int byte
    found.escaped = False
    if at == end or at[0] != c"/":
        return NULL
    at += 1
    while at < end:
        if PATH[at[0]]:
            in_first = in_first and at[0] != c"/"
            at += 1
        elif at[0] == c"%":
            byte = escaped_byte(at, end)
            # An escaped slash in the first segment does not end it.
            if byte < 0 or (in_first and byte == c"/"):
                return NULL
            found.escaped = True
            at += 3
        else:
            break
    found.path.start = begin
    found.path.length = at - begin
    return at if found.path.length <= MAX_PATH_BYTES else NULL


cdef size_t fill_names(Name* names, dict kinds) except? 0:
    """Write names with their kinds, the shortest first; return how many."""
    cdef size_t count = 0
    cdef bytes name
    for name in sorted(kinds, key=len):
        for index in range(len(name)):
            names[count].text[index] = name[index]
        names[count].length = len(name)
        names[count].kind = kinds[name]
        count += 1
    return count


cdef decode_path(Found* found):
    """Return the path with its escapes decoded, None if it is not UTF-8."""
    cdef char[MAX_PATH_BYTES] decoded
    cdef const uint8_t* source = found.path.start
    cdef const uint8_t* end = source + found.path.length
    cdef size_t length = 0
    if not found.escaped:
        return PyUnicode_DecodeUTF8(<const char*>source, found.path.length, NULL)
    while source < end:
        if source[0] == c"%":
            decoded[length] = <char>escaped_byte(source, end)
            source += 3
        else:
            decoded[length] = <char>source[0]
            source += 1
        length += 1
    try:
        return PyUnicode_DecodeUTF8(decoded, length, NULL)
    except UnicodeDecodeError:
        return None


cdef inline void put(tuple result, Py_ssize_t index, object item) noexcept:
    Py_INCREF(item)
    PyTuple_SET_ITEM(result, index, item)

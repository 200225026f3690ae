# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""The aws-chunked decoder, compiled.

`sidegate/native/pure/aws_chunked.py` defines what it does and describes the
framing; states and names are the same.  One pass over a block notes where its
payload lies, then the result is allocated at its final size and filled: shrunk
from the size of the block it would be mapped anew at every call, as glibc
raises its threshold for mmap to the size freed (1.8 against 21 GB/s for blocks
of 1 MiB in a fresh process; EPYC, CPython 3.11, 2026-11).  The GIL is kept: a block is copied in less time than a
busy thread may take to give it back.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove

from hex_digits cimport hex_digit

from sidegate.native import framing
from sidegate.native.framing import FramingError, FramingKind, parse_trailer_line

cdef enum:
    # Room for the longer of the two kinds of line; checked against framing below.
    MAX_HEADER_LINE_BYTES = 1024
    MAX_TRAILER_BYTES = 8192
    MAX_SIZE_DIGITS = 16

if (MAX_HEADER_LINE_BYTES, MAX_TRAILER_BYTES, MAX_SIZE_DIGITS) != (
    framing.MAX_HEADER_LINE_BYTES, framing.MAX_TRAILER_BYTES, framing.MAX_SIZE_DIGITS
):
    raise ImportError("the compiled aws-chunked decoder has other limits than sidegate.native.framing")

cdef const char* SIGNATURE = b";chunk-signature="
cdef size_t SIGNATURE_LENGTH = 17

cdef enum State:
    HEADER
    PAYLOAD
    CHUNK_END
    FINAL
    TRAILER
    END


cdef struct Piece:
    const uint8_t* start
    size_t length


@cython.final
cdef class AwsChunkedDecoder:
    cdef bint signed
    cdef State after_last
    cdef State state
    cdef uint8_t[MAX_TRAILER_BYTES] line
    cdef size_t line_length
    cdef bint after_crlf
    cdef uint64_t payload_left
    cdef size_t section_bytes
    cdef uint64_t encoded_bytes
    cdef uint64_t decoded_count
    cdef list found_trailers
    cdef object fault
    cdef bint feeding
    cdef Piece* pieces  # the payload of the block at hand, valid during one call
    cdef size_t piece_count
    cdef size_t piece_capacity

    def __cinit__(self, *, object signed, object trailers):
        self.signed = signed
        self.after_last = TRAILER if trailers else FINAL
        self.state = HEADER
        self.line_length = 0
        self.after_crlf = True
        self.payload_left = 0
        self.section_bytes = 0
        self.encoded_bytes = 0
        self.decoded_count = 0
        self.found_trailers = []
        self.fault = None
        self.feeding = False
        self.piece_count = 0
        self.piece_capacity = 32
        self.pieces = <Piece*>PyMem_Malloc(self.piece_capacity * sizeof(Piece))
        if self.pieces is NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.pieces)

    @property
    def finished(self):
        return self.state == END

    @property
    def trailers(self):
        return list(self.found_trailers)

    @property
    def decoded_bytes(self):
        return self.decoded_count

    def feed(self, data):
        with cython.critical_section(self):
            return self._feed_alone(data)

    def strip(self, block):
        with cython.critical_section(self):
            return self._strip_alone(block)

    def finish(self):
        with cython.critical_section(self):
            self._finish()

    cdef int _finish(self) except -1:
        self._raise_known_fault()
        if self.state != END and not (self.state in (FINAL, TRAILER) and self.line_length == 0):
            return self._fail(FramingKind.TRUNCATED)
        self.state = END
        return 0

    cdef bytes _feed_alone(self, data):
        cdef Py_buffer view
        self._begin(data, &view, PyBUF_SIMPLE)
        try:
            return self._join(self._decode(<const uint8_t*>view.buf, view.len))
        finally:
            self._end(&view)

    cdef tuple _strip_alone(self, block):
        cdef Py_buffer view
        cdef Py_ssize_t found, start
        self._begin(block, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        try:
            found = self._decode(<const uint8_t*>view.buf, view.len)
            start = self._draw_together(<uint8_t*>view.buf)
            return start, start + found
        finally:
            self._end(&view)

    cdef int _begin(self, data, Py_buffer* view, int flags) except -1:
        # `pieces` points into `data`, and Python code that may run meanwhile (a
        # buffer's own, parse_trailer_line) could call feed again.
        if self.feeding:
            raise RuntimeError("AwsChunkedDecoder.feed was called during another call of it")
        self._raise_known_fault()
        self.feeding = True
        try:
            PyObject_GetBuffer(data, view, flags)
        except BaseException:
            self.feeding = False
            raise
        return 0

    cdef int _end(self, Py_buffer* view) except -1:
        self.feeding = False
        PyBuffer_Release(view)
        return 0

    cdef Py_ssize_t _decode(self, const uint8_t* data, Py_ssize_t length) except -1:
        """Take all of `data`, note its payload and return the size of it."""
        cdef Py_ssize_t offset = 0, found = 0
        cdef size_t count
        self.piece_count = 0
        while offset < length:
            if self.state == PAYLOAD:
                count = <size_t>min(self.payload_left, <uint64_t>(length - offset))
                self._note(data + offset, count)
                self._take_payload(count)
                offset += count
                found += count
            else:
                self._take_framing(data[offset])
                self.encoded_bytes += 1
                offset += 1
        return found

    cdef bytes _join(self, Py_ssize_t length):
        cdef bytes payload = PyBytes_FromStringAndSize(NULL, length)
        cdef char* target = PyBytes_AS_STRING(payload)
        cdef size_t i
        for i in range(self.piece_count):
            memcpy(target, self.pieces[i].start, self.pieces[i].length)
            target += self.pieces[i].length
        return payload

    cdef Py_ssize_t _draw_together(self, uint8_t* block) noexcept:
        """Move the pieces next to the longest, the first such, and return where they begin."""
        cdef size_t i, longest = 0
        cdef size_t start, end
        if self.piece_count == 0:
            return 0
        for i in range(1, self.piece_count):
            if self.pieces[i].length > self.pieces[longest].length:
                longest = i
        start = self.pieces[longest].start - block
        end = start + self.pieces[longest].length
        # From the longest outwards, so that none goes to where another still lies.
        for i in range(longest, 0, -1):
            start -= self.pieces[i - 1].length
            memmove(block + start, self.pieces[i - 1].start, self.pieces[i - 1].length)
        for i in range(longest + 1, self.piece_count):
            memmove(block + end, self.pieces[i].start, self.pieces[i].length)
            end += self.pieces[i].length
        return start

    cdef inline int _note(self, const uint8_t* start, size_t length) except -1:
        cdef Piece* larger
        if self.piece_count == self.piece_capacity:
            larger = <Piece*>PyMem_Realloc(self.pieces, 2 * self.piece_capacity * sizeof(Piece))
            if larger is NULL:
                raise MemoryError
            self.pieces = larger
            self.piece_capacity *= 2
        self.pieces[self.piece_count].start = start
        self.pieces[self.piece_count].length = length
        self.piece_count += 1
        return 0

    cdef inline void _take_payload(self, size_t count) noexcept:
        self.payload_left -= count
        self.encoded_bytes += count
        self.decoded_count += count
        if self.payload_left == 0:
            self.state = CHUNK_END

    cdef inline int _take_framing(self, uint8_t byte) except -1:
        if self.state == HEADER:
            return self._take_header(byte)
        if self.state == CHUNK_END:
            return self._take_crlf(byte, FramingKind.CHUNK_END, HEADER)
        if self.state == FINAL:
            return self._take_crlf(byte, FramingKind.UNEXPECTED_TRAILER, END)
        if self.state == TRAILER:
            return self._take_trailer(byte)
        return self._fail(FramingKind.DATA_AFTER_END)

    cdef inline int _take_header(self, uint8_t byte) except -1:
        if byte == c"\n":
            return self._end_header()
        if self.line_length == MAX_HEADER_LINE_BYTES:
            return self._fail(FramingKind.HEADER_TOO_LONG)
        self.line[self.line_length] = byte
        self.line_length += 1
        return 0

    cdef int _end_header(self) except -1:
        cdef size_t digits = 0, length = self.line_length
        cdef uint64_t size = 0
        cdef int digit
        if length == 0 or self.line[length - 1] != c"\r":
            return self._fail(FramingKind.CHUNK_SIZE)
        length -= 1
        while digits < length and digits < MAX_SIZE_DIGITS:
            digit = hex_digit(self.line[digits])
            if digit < 0:
                break
            size = (size << 4) | <uint64_t>digit
            digits += 1
        if digits == 0 or (digits < length and self.line[digits] != c";"):
            return self._fail(FramingKind.CHUNK_SIZE)
        if self.signed and not (
            length - digits >= SIGNATURE_LENGTH and memcmp(&self.line[digits], SIGNATURE, SIGNATURE_LENGTH) == 0
        ):
            return self._fail(FramingKind.CHUNK_SIGNATURE)
        self.line_length = 0
        self.payload_left = size
        self.state = PAYLOAD if size else self.after_last
        return 0

    cdef inline int _take_crlf(self, uint8_t byte, fault, State following) except -1:
        if byte != (c"\n" if self.line_length else c"\r"):
            return self._fail(fault)
        self.line_length += 1
        if self.line_length == 2:
            self.line_length = 0
            self.state = following
        return 0

    cdef int _take_trailer(self, uint8_t byte) except -1:
        cdef size_t length = self.line_length
        cdef bint crlf
        if self.section_bytes == MAX_TRAILER_BYTES:
            return self._fail(FramingKind.TRAILERS_TOO_LONG)
        if byte != c"\n":
            self.section_bytes += 1
            self.line[length] = byte
            self.line_length += 1
            return 0
        crlf = length > 0 and self.line[length - 1] == c"\r"
        if crlf:
            length -= 1
        if length:
            trailer = parse_trailer_line((<char*>self.line)[:length])
            if trailer is None:
                return self._fail(FramingKind.TRAILER)
            self.found_trailers.append(trailer)
        elif self.after_crlf:
            self.state = END
        self.section_bytes += 1
        self.after_crlf = crlf
        self.line_length = 0
        return 0

    cdef int _fail(self, kind) except -1:
        self.fault = kind
        raise FramingError(kind, self.encoded_bytes)

    cdef int _raise_known_fault(self) except -1:
        if self.fault is not None:
            raise FramingError(self.fault, self.encoded_bytes)
        return 0

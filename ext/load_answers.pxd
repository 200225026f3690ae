# cython: language_level=3
"""What an answer's bytes say: its head, how its body is framed, and the framing taken off.

Knows no socket and no request.  All of it inline, for the load loop alone.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp, memmove

from hex_digits cimport hex_digit

cdef extern from "string.h" nogil:
    void* memmem(const void* haystack, size_t length, const void* needle, size_t needle_length)

cdef extern from "strings.h" nogil:
    int strncasecmp(const char* one, const char* other, size_t length)

cdef extern from *:
    """
    #define MAX_SIZE ((int64_t)1 << 50)  // larger sizes of bodies are not believed
    """
    const int64_t MAX_SIZE

cdef enum:
    KEPT = 16384
    NO_SIZE = -2


cdef enum ChunkState:
    IN_SIZE
    AFTER_SIZE  # up to the line's end
    IN_DATA
    AFTER_DATA  # in its CRLF
    IN_TRAILERS


cdef struct Answer:
    char* buffer  # the head, and as much of the body as fits into KEPT bytes
    size_t kept  # bytes in `buffer`
    size_t head_end
    int status
    int64_t body_bytes
    int64_t left  # of a body of known length
    # Of a chunked one: the size read so far or what is left, and where in the framing it is.
    int64_t chunk_left
    ChunkState chunk_state
    bint line_is_empty


cdef inline int take_head(Answer* answer) noexcept nogil:
    """Return 1 once the head is all there, 0 while more is to come, -1 for what is no head.

    Interim answers before it are passed over.
    """
    while find_head(answer):
        if not 100 <= answer.status < 200:
            return 1 if answer.status else -1
        answer.kept -= answer.head_end
        memmove(answer.buffer, answer.buffer + answer.head_end, answer.kept)
    return -1 if answer.kept == KEPT else 0


cdef inline bint find_head(Answer* answer) noexcept nogil:
    """Note where the head ends and its status; whether it ends."""
    cdef const char* end = <const char*>memmem(answer.buffer, answer.kept, b"\r\n\r\n", 4)
    if end is NULL:
        return False
    answer.head_end = <size_t>(end - answer.buffer) + 4
    answer.status = status_of(answer.buffer, answer.kept)
    return True


cdef inline int status_of(const char* head, size_t length) noexcept nogil:
    """The status of `HTTP/1.1 200 OK`, 0 for anything else."""
    cdef int status = 0
    cdef size_t index
    if length < 12 or memcmp(head, b"HTTP/1.", 7) or head[8] != c" ":
        return 0
    for index in range(9, 12):
        if not c"0" <= head[index] <= c"9":
            return 0
        status = status * 10 + (head[index] - c"0")
    return status


cdef inline int64_t parse_framing(const Answer* answer, bint* chunked, bint* closes) noexcept nogil:
    """The Content-Length, -1 without, NO_SIZE for what is none; notes a chunked body and the connection's end."""
    cdef const char* line = answer.buffer
    cdef const char* end = answer.buffer + answer.head_end
    cdef const char* stop = <const char*>memmem(line, answer.head_end, b"\r\n", 2)
    cdef const char* value
    cdef int64_t found = -1
    cdef bint persists = line[7] != c"0"  # RFC 9112, 9.3: HTTP/1.0 closes unless it says otherwise
    while True:
        line = stop + 2
        stop = <const char*>memmem(line, <size_t>(end - line), b"\r\n", 2)
        if stop is NULL:
            if not persists:
                closes[0] = True
            return found
        if (value := value_of(line, stop, b"content-length:", 15)) is not NULL:
            found = size_of(value, stop)
            if found == NO_SIZE:
                return found
        elif (value := value_of(line, stop, b"transfer-encoding:", 18)) is not NULL:
            chunked[0] = chunked[0] or lists(value, stop, b"chunked", 7)
        elif (value := value_of(line, stop, b"connection:", 11)) is not NULL:
            closes[0] = closes[0] or lists(value, stop, b"close", 5)
            persists = persists or lists(value, stop, b"keep-alive", 10)


cdef inline const char* value_of(
    const char* line, const char* stop, const char* name, size_t length
) noexcept nogil:
    """Where the value of a header begins whose name, with its colon, is this one; NULL for another."""
    if <size_t>(stop - line) < length or strncasecmp(line, name, length):
        return NULL
    line += length
    while line < stop and is_blank(line[0]):
        line += 1
    return line


cdef inline int64_t size_of(const char* value, const char* stop) noexcept nogil:
    """A Content-Length: digits, and blanks behind them (RFC 9110, 8.6)."""
    cdef int64_t found = 0
    cdef const char* first = value
    while value < stop and c"0" <= value[0] <= c"9":
        if found < MAX_SIZE:
            found = found * 10 + (value[0] - c"0")
        value += 1
    if value == first:
        return NO_SIZE
    while value < stop and is_blank(value[0]):
        value += 1
    return found if value == stop else NO_SIZE


cdef inline bint lists(const char* value, const char* stop, const char* word, size_t length) noexcept nogil:
    """Whether a list has this word: commas between, any case, blanks around (RFC 9110, 5.6.1)."""
    cdef const char* behind
    while value < stop:
        if is_blank(value[0]) or value[0] == c",":
            value += 1
            continue
        behind = value
        while behind < stop and behind[0] != c",":
            behind += 1
        if <size_t>(behind - value) >= length and strncasecmp(value, word, length) == 0:
            value += length
            while value < behind and is_blank(value[0]):
                value += 1
            if value == behind:
                return True
        value = behind
    return False


cdef inline bint is_blank(char one) noexcept nogil:
    return one == c" " or one == c"\t"


cdef inline void begin_chunks(Answer* answer) noexcept nogil:
    """Begin a chunked body: what is kept of it is kept without its framing."""
    answer.chunk_state = IN_SIZE
    answer.chunk_left = 0
    answer.line_is_empty = True
    answer.kept = answer.head_end


cdef inline bint take_chunks(Answer* answer, const char* data, int64_t length) noexcept nogil:
    """Take the framing off; whether the body has ended."""
    cdef int64_t offset = 0, taken
    cdef int digit
    while offset < length:
        if answer.chunk_state == IN_DATA:
            taken = min(answer.chunk_left, length - offset)
            keep(answer, data + offset, taken)
            answer.chunk_left -= taken
            answer.body_bytes += taken
            offset += taken
            if answer.chunk_left == 0:
                answer.chunk_state = AFTER_DATA
            continue
        if data[offset] == c"\n":
            if answer.chunk_state == IN_TRAILERS and answer.line_is_empty:
                return True
            if answer.chunk_state == AFTER_DATA:
                answer.chunk_state = IN_SIZE
            elif answer.chunk_state != IN_TRAILERS:
                answer.chunk_state = IN_DATA if answer.chunk_left else IN_TRAILERS
            answer.line_is_empty = True
        elif data[offset] != c"\r":
            answer.line_is_empty = False
            if answer.chunk_state == IN_SIZE:
                digit = hex_digit(<uint8_t>data[offset])
                if digit < 0:
                    answer.chunk_state = AFTER_SIZE
                elif answer.chunk_left < MAX_SIZE:
                    answer.chunk_left = answer.chunk_left * 16 + digit
        offset += 1
    return False


cdef inline void keep(Answer* answer, const char* data, int64_t length) noexcept nogil:
    # In place when the data lies in the buffer itself, behind its framing.
    cdef size_t count = min(<size_t>length, KEPT - answer.kept)
    memmove(answer.buffer + answer.kept, data, count)
    answer.kept += count

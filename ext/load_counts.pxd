# cython: language_level=3
"""What a run of the load loop counts and keeps of answers.  All of it inline, for the load loop alone."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from load_answers cimport KEPT, Answer

cdef enum:
    EXAMPLE = 1024
    EXAMPLES = 3
    BUCKETS = 1184


cdef struct Counts:
    int64_t begun
    int64_t answered
    int64_t failed
    int64_t reconnections
    int64_t received_bytes
    uint64_t[BUCKETS] latencies
    char[EXAMPLES * EXAMPLE] example
    int64_t[EXAMPLES] example_position
    size_t[EXAMPLES] example_bytes
    int example_count
    # Every answer by its position; NULL where they are not kept.
    char* answers
    uint32_t* answer_bytes


cdef inline int make_room(Counts* counts, int64_t limit) except -1:
    """Find room for so many answers, to be freed by `free_answers`; raises MemoryError."""
    counts.answers = <char*>malloc(limit * KEPT + 1)
    counts.answer_bytes = <uint32_t*>calloc(limit + 1, sizeof(uint32_t))
    if counts.answers is NULL or counts.answer_bytes is NULL:
        raise MemoryError
    return 0


cdef inline void free_answers(Counts* counts) noexcept:
    free(counts.answers)
    free(counts.answer_bytes)


cdef inline int bucket_of(uint64_t nanoseconds) noexcept nogil:
    cdef int shift = 0
    cdef uint64_t rest = nanoseconds >> 6
    while rest:
        rest >>= 1
        shift += 1
    cdef int bucket = shift * 32 + <int>(nanoseconds >> shift)
    return bucket if bucket < BUCKETS else BUCKETS - 1


cdef inline void count_right(Counts* counts, int64_t nanoseconds) noexcept nogil:
    """Count an answer that was right, and took so long."""
    counts.answered += 1
    counts.latencies[bucket_of(<uint64_t>nanoseconds)] += 1


cdef inline void count_wrong(Counts* counts, const Answer* answer, int64_t position) noexcept nogil:
    """Count an answer that was wrong or did not come; the first few are kept as examples."""
    cdef int number = counts.example_count
    counts.failed += 1
    if number == EXAMPLES:
        return
    counts.example_count += 1
    counts.example_position[number] = position
    counts.example_bytes[number] = min(answer.kept, <size_t>EXAMPLE)
    memcpy(&counts.example[number * EXAMPLE], answer.buffer, counts.example_bytes[number])


cdef inline void keep_answer(Counts* counts, const Answer* answer, int64_t position) noexcept nogil:
    if counts.answers is not NULL:
        memcpy(counts.answers + position * KEPT, answer.buffer, answer.kept)
        counts.answer_bytes[position] = <uint32_t>answer.kept


cdef inline int fill_tally(object tally, Counts* counts, int64_t limit) except -1:
    """Give a `Tally` what was counted."""
    cdef int64_t number
    tally.begun, tally.answered, tally.failed = counts.begun, counts.answered, counts.failed
    tally.received_bytes, tally.reconnections = counts.received_bytes, counts.reconnections
    tally.latencies = [counts.latencies[bucket] for bucket in range(BUCKETS)]
    for number in range(counts.example_count):
        example = PyBytes_FromStringAndSize(&counts.example[number * EXAMPLE], counts.example_bytes[number])
        tally.examples.append((counts.example_position[number], example))
    if counts.answers is not NULL:
        tally.answers = [
            PyBytes_FromStringAndSize(counts.answers + number * KEPT, counts.answer_bytes[number])
            for number in range(limit)
        ]
    return 0

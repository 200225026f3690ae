# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""The gear scan, compiled; `sidegate/native/pure/gear.py` defines what it does.

Between two cuts a chunk passes four phases, each a loop without tests of
length: bytes that are skipped, bytes that are only hashed, bytes under the
strict mask, bytes under the loose mask.  In the last two, most bytes are passed
over without being hashed, because the low bits rule out an end
(`gear_filter.h`), where the processor can.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t

from sidegate.native.cut_rule import LOW_BITS, LOW_FACTOR, WINDOW_BYTES, cut_rule, gear_table


cdef extern from "gear_filter.h":
    Py_ssize_t GEAR_GROUP_BYTES
    ctypedef struct gear_goal:
        const uint64_t* table
        uint64_t mask
        uint16_t factor
        uint16_t highest
    int gear_filter_level()
    uint64_t gear_window(const uint8_t* end, const uint64_t* table) noexcept nogil
    Py_ssize_t gear_find(int level, const gear_goal* goal, const uint8_t* data, Py_ssize_t count) noexcept nogil

# Letting go of the GIL and taking it back costs 0.05 us while nobody wants it, but
# a switch interval (5 ms) while another thread computes: measured 4.1 ms for a
# block of 64 KiB that scans in 30 us, 4.9 ms for 1 MiB in 0.4 ms (EPYC, 2 cores,
# CPython 3.11, 2026-11).  Below this size, 25 to 70 us of scanning, waiting is the worse.
cdef Py_ssize_t RELEASE_GIL_BYTES = 262144

cdef Py_ssize_t WINDOW = WINDOW_BYTES  # 64: `gear_window` takes it in four parts
cdef uint64_t LOW = (1 << LOW_BITS) - 1
cdef uint16_t FACTOR = LOW_FACTOR
cdef int LEVEL = gear_filter_level()

cdef uint64_t[256] TABLE
cdef uint64_t[256] SHIFTED  # each word of TABLE, shifted by one

for _byte, _word in enumerate(gear_table()):
    TABLE[_byte] = _word
    SHIFTED[_byte] = TABLE[_byte] << 1


cdef struct Chunk:
    uint64_t hash
    int64_t length


cdef struct Rule:
    int64_t unhashed_bytes
    int64_t min_bytes
    int64_t average_bytes
    int64_t max_bytes
    uint64_t strict_mask
    uint64_t loose_mask


cdef inline Py_ssize_t bytes_until(int64_t target, int64_t length, Py_ssize_t available) noexcept nogil:
    if length >= target:
        return 0
    return <Py_ssize_t>min(target - length, <int64_t>available)


cdef inline void roll(Chunk* chunk, const uint8_t* data, Py_ssize_t count) noexcept nogil:
    cdef uint64_t hash_ = chunk.hash
    cdef Py_ssize_t i
    for i in range(count):
        hash_ = (hash_ << 1) + TABLE[data[i]]
    chunk.hash = hash_
    chunk.length += count


cdef Py_ssize_t find_hashing(Chunk* chunk, const uint8_t* data, Py_ssize_t count, uint64_t mask) noexcept nogil:
    """Hash `count` bytes; the count up to the first that matches, or -1.

    Two bytes per step, as in FastCDC 2020 (Xia et al., IEEE TPDS 31(9)):
    2 * (2h + T[a]) is 4h + 2T[a], and doubled hash and mask match exactly when
    the single ones do, as no mask has bit 63.  Four such steps per turn were
    the fastest of seven loops measured.  A turn that contains a match is left
    to the loop of single bytes below, which starts from the same hash.
    """
    cdef uint64_t doubled_mask = mask << 1
    cdef uint64_t hash_ = chunk.hash
    cdef uint64_t h
    cdef Py_ssize_t i = 0
    while i + 8 <= count:
        h = (hash_ << 2) + SHIFTED[data[i]]
        if not h & doubled_mask:
            break
        h += TABLE[data[i + 1]]
        if not h & mask:
            break
        h = (h << 2) + SHIFTED[data[i + 2]]
        if not h & doubled_mask:
            break
        h += TABLE[data[i + 3]]
        if not h & mask:
            break
        h = (h << 2) + SHIFTED[data[i + 4]]
        if not h & doubled_mask:
            break
        h += TABLE[data[i + 5]]
        if not h & mask:
            break
        h = (h << 2) + SHIFTED[data[i + 6]]
        if not h & doubled_mask:
            break
        h += TABLE[data[i + 7]]
        if not h & mask:
            break
        hash_ = h
        i += 8
    while i < count:
        hash_ = (hash_ << 1) + TABLE[data[i]]
        i += 1
        if not hash_ & mask:
            return i
    chunk.hash = hash_
    chunk.length += count
    return -1


cdef Py_ssize_t find(
    Chunk* chunk, const uint8_t* data, Py_ssize_t count, uint64_t mask, Py_ssize_t here
) noexcept nogil:
    """As `find_hashing`, without hashing where nothing can end.

    `here` bytes before `data` belong to the chunk and can be read.
    """
    cdef gear_goal goal
    cdef Py_ssize_t offset = min(count, max(0, WINDOW - here)), length, found
    if LEVEL == 0:
        return find_hashing(chunk, data, count, mask)
    found = find_hashing(chunk, data, offset, mask)
    if found >= 0:
        return found
    length = (count - offset) // GEAR_GROUP_BYTES * GEAR_GROUP_BYTES
    if length:
        # The low bits of a mask are the highest of those 16.
        goal.table, goal.mask, goal.factor, goal.highest = TABLE, mask, FACTOR, <uint16_t>(LOW & ~mask)
        found = gear_find(LEVEL, &goal, data + offset, length)
        if found >= 0:
            return offset + found
        offset += length
        chunk.length += length
        chunk.hash = gear_window(data + offset, TABLE)
    # What is left makes no group.
    found = find_hashing(chunk, data + offset, count - offset, mask)
    return offset + found if found >= 0 else -1


cdef Py_ssize_t advance(
    const Rule* rule, Chunk* chunk, const uint8_t* data, Py_ssize_t available
) noexcept nogil:
    """Continue `chunk` over `data`: the count up to its end, or -1."""
    cdef Py_ssize_t offset = bytes_until(rule.unhashed_bytes, chunk.length, available)
    cdef Py_ssize_t count, found
    chunk.length += offset

    # The byte that makes the chunk min_bytes long is the first that may end it.
    count = bytes_until(rule.min_bytes - 1, chunk.length, available - offset)
    roll(chunk, data + offset, count)
    offset += count

    count = bytes_until(rule.average_bytes - 1, chunk.length, available - offset)
    found = find(chunk, data + offset, count, rule.strict_mask, offset)
    if found >= 0:
        return offset + found
    offset += count

    count = bytes_until(rule.max_bytes, chunk.length, available - offset)
    found = find(chunk, data + offset, count, rule.loose_mask, offset)
    if found >= 0:
        return offset + found
    offset += count
    return offset if chunk.length == rule.max_bytes else -1


def use_filter(level):
    """Scan with the filter of `gear_filter.h` of at most a level; return which is used now.

    0: none, 1: AVX2, 2: AVX-512.  For tests and measurements: the cuts are the same.
    """
    global LEVEL
    LEVEL = min(level, gear_filter_level())
    return LEVEL


@cython.final
cdef class GearScanner:
    cdef Rule rule
    cdef Chunk chunk

    def __cinit__(self, min_bytes, average_bytes, max_bytes):
        rule = cut_rule(min_bytes, average_bytes, max_bytes)
        self.rule.unhashed_bytes = rule.unhashed_bytes
        self.rule.min_bytes = rule.min_bytes
        self.rule.average_bytes = rule.average_bytes
        self.rule.max_bytes = rule.max_bytes
        self.rule.strict_mask = rule.strict_mask
        self.rule.loose_mask = rule.loose_mask
        self.reset()

    @property
    def chunk_bytes(self):
        return self.chunk.length

    cpdef reset(self):
        self.chunk.hash = 0
        self.chunk.length = 0

    def scan(self, data):
        cdef Py_buffer view
        cdef Chunk chunk
        cdef Py_ssize_t end
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        # On a copy: another thread sees the state before the call or after it.
        chunk = self.chunk
        try:
            if view.len >= RELEASE_GIL_BYTES:
                with nogil:
                    end = advance(&self.rule, &chunk, <const uint8_t*>view.buf, view.len)
            else:
                end = advance(&self.rule, &chunk, <const uint8_t*>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
        if end < 0:
            self.chunk = chunk
        else:
            self.reset()
        return end

# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""SHA-256 of two or three streams at once; `sidegate/native/pure/sha256.py` defines what it does.

Where the processor has no SHA instructions of the kind that `sha256_lanes.h`
knows, hashlib does the work here as well.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from sidegate.native.pure.sha256 import Sha256 as PortableSha256
from sidegate.native.pure.sha256 import MOST_TOGETHER
from sidegate.native.pure.sha256 import update_together as portable_update_together


cdef extern from "sha256_lanes.h":
    int sha256_lanes_work()
    void sha256_one(uint32_t* state, const uint8_t* blocks, size_t count) noexcept nogil
    void sha256_two(
        uint32_t* first_state, const uint8_t* first_blocks,
        uint32_t* second_state, const uint8_t* second_blocks, size_t count
    ) noexcept nogil
    void sha256_three(uint32_t** states, const uint8_t** starts, size_t count) noexcept nogil

cdef enum:
    BLOCK_BYTES = 64
    WORDS = 8
    STREAMS = 3

if STREAMS != MOST_TOGETHER:
    raise ImportError("the compiled SHA-256 takes another number of streams than sidegate.native.pure.sha256")

# As in the gear scan: whoever lets go of the GIL may wait a switch interval for it.
# 64 KiB take 36 us alone (Zen 4, 2026-11); bodies up to there are hashed on the loop.
cdef Py_ssize_t KEEP_GIL_BYTES = 65536


cdef struct Stream:
    uint32_t[WORDS] state
    uint64_t length_bytes
    uint8_t[BLOCK_BYTES] begun  # the block that is not full yet


cdef struct Bytes:
    const uint8_t* at
    Py_ssize_t count


cdef void begin(Stream* stream) noexcept nogil:
    # FIPS 180-4, section 5.3.3.
    stream.state[0] = 0x6A09E667
    stream.state[1] = 0xBB67AE85
    stream.state[2] = 0x3C6EF372
    stream.state[3] = 0xA54FF53A
    stream.state[4] = 0x510E527F
    stream.state[5] = 0x9B05688C
    stream.state[6] = 0x1F83D9AB
    stream.state[7] = 0x5BE0CD19
    stream.length_bytes = 0


cdef void take(Stream* stream, Bytes* data, Py_ssize_t count) noexcept nogil:
    """Take `count` bytes that do not fill more than the block begun, or whole blocks after none begun."""
    cdef Py_ssize_t begun = stream.length_bytes % BLOCK_BYTES
    stream.length_bytes += count
    if begun or count < BLOCK_BYTES:
        memcpy(stream.begun + begun, data.at, count)
        if begun + count == BLOCK_BYTES:
            sha256_one(stream.state, stream.begun, 1)
    else:
        sha256_one(stream.state, data.at, count // BLOCK_BYTES)
    data.at += count
    data.count -= count


cdef void fill(Stream* stream, Bytes* data) noexcept nogil:
    """Take what the block begun still lacks, if there is one."""
    cdef Py_ssize_t begun = stream.length_bytes % BLOCK_BYTES
    if begun and data.count:
        take(stream, data, min(data.count, BLOCK_BYTES - begun))


cdef void rest(Stream* stream, Bytes* data) noexcept nogil:
    """Take all bytes; where there are any, no block is begun."""
    cdef Py_ssize_t whole = data.count - data.count % BLOCK_BYTES
    if whole:
        take(stream, data, whole)
    if data.count:
        take(stream, data, data.count)


cdef void update_one(Stream* stream, Bytes data) noexcept nogil:
    fill(stream, &data)
    rest(stream, &data)


cdef void update_all(Stream* streams, Bytes* data, int count) noexcept nogil:
    """Take bytes into each of one to three streams, side by side as far as all go, then one after another."""
    cdef uint32_t* states[STREAMS]
    cdef const uint8_t* starts[STREAMS]
    cdef Py_ssize_t common = 0
    cdef int i
    for i in range(count):
        fill(&streams[i], &data[i])
        states[i], starts[i] = streams[i].state, data[i].at
        common = data[i].count if i == 0 else min(common, data[i].count)
    common //= BLOCK_BYTES
    if common and count > 1:
        if count == STREAMS:
            sha256_three(states, starts, common)
        else:
            sha256_two(states[0], starts[0], states[1], starts[1], common)
        common *= BLOCK_BYTES
        for i in range(count):
            streams[i].length_bytes += common
            data[i].at += common
            data[i].count -= common
    for i in range(count):
        rest(&streams[i], &data[i])


cdef void end(Stream* stream, uint8_t* digest) noexcept nogil:
    """Pad as section 5.1.1 says and write the digest; the stream is spent then."""
    cdef uint64_t length_bits = stream.length_bytes * 8
    cdef Py_ssize_t begun = stream.length_bytes % BLOCK_BYTES
    cdef int i
    stream.begun[begun] = 0x80
    memset(stream.begun + begun + 1, 0, BLOCK_BYTES - begun - 1)
    if begun >= BLOCK_BYTES - 8:
        sha256_one(stream.state, stream.begun, 1)
        memset(stream.begun, 0, BLOCK_BYTES)
    for i in range(8):
        stream.begun[BLOCK_BYTES - 1 - i] = <uint8_t>(length_bits >> (8 * i))
    sha256_one(stream.state, stream.begun, 1)
    for i in range(4 * WORDS):
        digest[i] = <uint8_t>(stream.state[i // 4] >> (24 - 8 * (i % 4)))


@cython.final
cdef class LaneSha256:
    cdef Stream stream

    def __cinit__(self):
        begin(&self.stream)

    def update(self, data, /):
        cdef Py_buffer view
        cdef Stream stream
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        # On a copy: another thread sees the state before the call or after it.
        stream = self.stream
        try:
            if view.len > KEEP_GIL_BYTES:
                with nogil:
                    update_one(&stream, Bytes(<const uint8_t*>view.buf, view.len))
            else:
                update_one(&stream, Bytes(<const uint8_t*>view.buf, view.len))
        finally:
            PyBuffer_Release(&view)
        self.stream = stream

    def digest(self):
        cdef Stream stream = self.stream
        cdef uint8_t[4 * WORDS] digest
        end(&stream, digest)
        return (<const char*>digest)[: 4 * WORDS]


def lane_update_together(streams, pieces, /):
    cdef Py_buffer[STREAMS] views
    cdef Stream[STREAMS] copies
    cdef Bytes[STREAMS] data
    cdef tuple taken, given
    cdef int count, held = 0, i
    # Copies: others may change the caller's while the GIL is let go of, or while a piece gives its buffer.
    taken, given = tuple(streams), tuple(pieces)
    count = len(taken)
    if not 0 < count <= STREAMS or len(given) != count:
        raise ValueError(f"one to {STREAMS} streams and as many pieces: got {count} and {len(given)}")
    for stream in taken:
        if type(stream) is not LaneSha256:
            raise TypeError(f"a {type(stream).__name__} is no stream")
    if len({id(stream) for stream in taken}) != count:
        raise ValueError("a stream is there twice")
    try:
        for i in range(count):
            PyObject_GetBuffer(given[i], &views[i], PyBUF_SIMPLE)
            held += 1
            data[i] = Bytes(<const uint8_t*>views[i].buf, views[i].len)
        for i in range(count):
            copies[i] = (<LaneSha256>taken[i]).stream
        with nogil:
            update_all(copies, data, count)
    finally:
        for i in range(held):
            PyBuffer_Release(&views[i])
    for i in range(count):
        (<LaneSha256>taken[i]).stream = copies[i]


pairs = sha256_lanes_work() != 0
Sha256 = LaneSha256 if pairs else PortableSha256
update_together = lane_update_together if pairs else portable_update_together

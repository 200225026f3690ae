# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True
"""What a listing says of files, compiled.

`sidegate/native/pure/file_heads.py` defines what it does.  `FileHeads` keeps a
sixth of a leaf: keys as what they share with the one before, whole at the start
of each block, and tags as `stored_tags.pxd` writes them.
"""

from cpython.mem cimport PyMem_Free
from libc.stdint cimport uint32_t, uint64_t

from stored_bytes cimport (
    Reader, Slice, append, append_integer, bytes_of, compare, is_ascii, read_integer, read_slice,
    slice_of, trim,
)
from stored_tags cimport append_tag

from sidegate.native._index cimport IndexNode

from sidegate.native import index_format
from sidegate.native.pure.file_heads import read_summary as explain_record

cdef enum:
    RECORD_VERSION = 1
    HAS_HASH = 1
    EXTERNAL = 2
    HASH_BYTES = 32

if (RECORD_VERSION, HAS_HASH, EXTERNAL, HASH_BYTES) != (
    index_format.RECORD_VERSION, index_format.HAS_HASH, index_format.EXTERNAL, index_format.HASH_BYTES,
):
    raise ImportError("the compiled record reader knows another format than sidegate.native.index_format")


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


cdef class FileHeads:
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

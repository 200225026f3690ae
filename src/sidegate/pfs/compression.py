"""Whether and how a chunk is compressed on disk.

A chunk stays raw unless zstd saves at least a tenth: raw chunks leave by
sendfile, and what is already compressed (Parquet) only costs time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import zstandard

from sidegate.errors import Corrupt
from sidegate.pfs.ids import Buffer

RAW = 0
ZSTD = 1

LEVEL = 1
"""438 MB/s on text at ratio 4.6; level 3 gives 269 MB/s for a few per cent
(python-zstandard 0.25, Zen 4, 2026-11)."""

SAMPLE_BYTES = 8 << 10
SAMPLES = 3

WORTH_COMPRESSING_BYTES = 512
"""Shorter chunks stay raw: most are lists of ids, of which zstd saves 40 bytes, for 25 us where its
tables are cold, and 100 us of a part's 257 in which its record is made (Zen 4, 2026-11)."""

LONGEST_SKIP = 15
"""Chunks of a stream that go unasked at most, about 16 MiB."""

ROWS_TABLE_LOG = 10
"""A hash table of 4 KiB, in the place of 64, remembers only what stood nearby.  Rows of a CSV, a
log, JSON lines find their matches there, with short offsets: a fifth faster, 2 to 12 % smaller.
Text, code and numbers in columns become 7 to 18 % larger (docs/performance.md)."""

COMPARED_BYTES = 128 << 10
COMPARED_EVERY = 32
"""Chunks of a stream from one comparison of the tables to the next: each costs a quarter of a chunk."""

_local = threading.local()


class _Codec:
    """What a thread compresses with: zstandard's objects are not thread-safe."""

    __slots__ = ("decompressor", "rows", "usual", "whole")

    def __init__(self) -> None:
        self.usual = zstandard.ZstdCompressor(level=LEVEL)
        self.whole = _compressor_of_chunks()
        """As `usual` compresses a chunk, also where it is given less than that."""
        self.rows = _compressor_of_chunks(hash_log=ROWS_TABLE_LOG)
        self.decompressor = zstandard.ZstdDecompressor()


def _compressor_of_chunks(**changed: int) -> zstandard.ZstdCompressor:
    parameters = zstandard.ZstdCompressionParameters.from_level(LEVEL, source_size=1 << 20, **changed)
    return zstandard.ZstdCompressor(compression_params=parameters)


def _codec() -> _Codec:
    """Return this thread's codec."""
    try:
        codec: _Codec = _local.codec
    except AttributeError:
        codec = _local.codec = _Codec()
    return codec


def _pays(plain_bytes: int, stored_bytes: int) -> bool:
    return stored_bytes * 10 <= plain_bytes * 9


class SampleHabit:
    """What the samples of one stream said: one that does not compress is asked ever more rarely.

    Parts of a stream may come in several threads: a word that is lost between two costs a sample.

    Video or Parquet is not asked at each chunk of a MiB; a stream that begins to
    compress, an archive of many files, is found out after at most
    `LONGEST_SKIP` chunks.  The first chunk of every stream is asked.  One behind a
    chunk that shrank to half is not: a sample would be 3 % of what it is spared.
    Behind such a chunk, and then now and again, it is found out whether the stream is of rows.
    """

    __slots__ = ("_losses", "_skips", "_uncompared", "has_rows", "trusts")

    def __init__(self) -> None:
        self._losses = 0
        self._skips = 0
        self._uncompared = 0
        self.trusts = False
        """Whether the next chunk is compressed without a sample."""
        self.has_rows = False
        """Whether the table for rows made less of the part that was compared."""

    def skips(self) -> bool:
        """Whether the next chunk is taken to be like the last one."""
        if self._skips == 0:
            return False
        self._skips -= 1
        return True

    def note(self, *, pays: bool) -> None:
        """Note what a sample said."""
        self._losses = 0 if pays else self._losses + 1
        self._skips = min((1 << self._losses) - 1, LONGEST_SKIP) if self._losses > 1 else 0

    def compares(self) -> bool:
        """Whether the tables are to be compared on this chunk; counts it."""
        self._uncompared -= 1
        if self._uncompared >= 0:
            return False
        self._uncompared = COMPARED_EVERY - 1
        return True

    def note_whole(self, plain_bytes: int, stored_bytes: int) -> None:
        """Note what became of a whole chunk."""
        self.trusts = stored_bytes * 2 <= plain_bytes


def _samples(pieces: Sequence[Buffer], plain_bytes: int) -> Iterator[memoryview]:
    """Yield slices of SAMPLE_BYTES, shorter where a piece ends: start, middle and end."""
    last = plain_bytes - SAMPLE_BYTES
    starts = [last * i // (SAMPLES - 1) for i in range(SAMPLES)]
    offset = 0
    for piece in pieces:
        end = offset + len(piece)
        while starts and starts[0] < end:
            start = starts.pop(0) - offset
            yield memoryview(piece)[start : start + SAMPLE_BYTES]
        offset = end


def _sample_pays(pieces: Sequence[Buffer], plain_bytes: int) -> bool:
    """Whether slices from start, middle and end promise the saving.

    All in one frame: each begun costs a table to clear (13 us in place of 16, Zen 4, 2026-11).
    """
    sample = b"".join(_samples(pieces, plain_bytes))
    return _pays(len(sample), len(_codec().usual.compress(sample)))


def encode_payload(
    pieces: Sequence[Buffer], plain_bytes: int, habit: SampleHabit | None = None
) -> tuple[int, Sequence[Buffer]]:
    """Return (encoding, payload) for a chunk's plain bytes, both in pieces."""
    if plain_bytes < WORTH_COMPRESSING_BYTES:
        return RAW, pieces
    if plain_bytes > 4 * SAMPLES * SAMPLE_BYTES and not (habit is not None and habit.trusts):
        if habit is not None and habit.skips():
            return RAW, pieces
        pays = _sample_pays(pieces, plain_bytes)
        if habit is not None:
            habit.note(pays=pays)
        if not pays:
            return RAW, pieces
    plain = _joined(pieces, plain_bytes)
    compressed = _compressor_for(plain, habit).compress(plain)
    if habit is not None:
        habit.note_whole(plain_bytes, len(compressed))
    return (ZSTD, (compressed,)) if _pays(plain_bytes, len(compressed)) else (RAW, pieces)


def _compressor_for(plain: Buffer, habit: SampleHabit | None) -> zstandard.ZstdCompressor:
    """Return what compresses a chunk: in a stream that compresses well, what its rows ask for."""
    codec = _codec()
    if habit is None or not habit.trusts or len(plain) <= 2 * COMPARED_BYTES:
        return codec.usual
    if habit.compares():
        part = memoryview(plain)[:COMPARED_BYTES]
        habit.has_rows = len(codec.rows.compress(part)) < len(codec.whole.compress(part))
    return codec.rows if habit.has_rows else codec.usual


def _joined(pieces: Sequence[Buffer], plain_bytes: int) -> Buffer:
    """Return the bytes in one piece, in memory that this thread uses again and again.

    zstd streams from pieces too, but copies them and is 14 % slower (1 MiB pieces, 2026-11).
    """
    if len(pieces) == 1:
        return pieces[0]
    buffer: bytearray = getattr(_local, "joined", bytearray())
    if len(buffer) < plain_bytes:
        buffer = _local.joined = bytearray(plain_bytes)
    view = memoryview(buffer)[:plain_bytes]
    offset = 0
    for piece in pieces:
        view[offset : offset + len(piece)] = piece
        offset += len(piece)
    return view


def decode_payload(encoding: int, payload: bytes, plain_bytes: int) -> bytes:
    """Return the plain bytes of a stored payload; raises Corrupt if it does not decode."""
    if encoding == RAW:
        found = len(payload)
    elif encoding == ZSTD:
        found = _frame_bytes(payload)
    else:
        raise Corrupt(f"chunk has encoding {encoding}, this release reads 0 (raw) and 1 (zstd)")
    if found != plain_bytes:
        raise Corrupt(f"a chunk of {plain_bytes} bytes is stored as {found}")
    if encoding == RAW:
        return payload
    try:
        return _codec().decompressor.decompress(payload)
    except zstandard.ZstdError as error:
        raise Corrupt(f"a compressed chunk does not decompress: {error}") from error


def _frame_bytes(payload: bytes) -> int:
    """Return the plain size a frame claims: a damaged one must not choose how much memory to take."""
    try:
        return zstandard.frame_content_size(payload)
    except zstandard.ZstdError as error:
        raise Corrupt(f"a compressed chunk has no frame: {error}") from error

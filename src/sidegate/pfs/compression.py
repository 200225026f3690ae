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

LONGEST_SKIP = 15
"""Chunks of a stream that go unasked at most, about 16 MiB."""

_local = threading.local()


def _codec() -> tuple[zstandard.ZstdCompressor, zstandard.ZstdDecompressor]:
    """Return this thread's codec: zstandard's objects are not thread-safe."""
    try:
        codec: tuple[zstandard.ZstdCompressor, zstandard.ZstdDecompressor] = _local.codec
    except AttributeError:
        codec = _local.codec = (zstandard.ZstdCompressor(level=LEVEL), zstandard.ZstdDecompressor())
    return codec


def _pays(plain_bytes: int, stored_bytes: int) -> bool:
    return stored_bytes * 10 <= plain_bytes * 9


class SampleHabit:
    """What the samples of one stream said: one that does not compress is asked ever more rarely.

    Video or Parquet is not asked at each chunk of a MiB; a stream that begins to
    compress, an archive of many files, is found out after at most
    `LONGEST_SKIP` chunks.  The first chunk of every stream is asked.  One behind a
    chunk that shrank to half is not: a sample would be 3 % of what it is spared.
    """

    __slots__ = ("_losses", "_skips", "trusts")

    def __init__(self) -> None:
        self._losses = 0
        self._skips = 0
        self.trusts = False
        """Whether the next chunk is compressed without a sample."""

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
    return _pays(len(sample), len(_codec()[0].compress(sample)))


def encode_payload(
    pieces: Sequence[Buffer], plain_bytes: int, habit: SampleHabit | None = None
) -> tuple[int, Sequence[Buffer]]:
    """Return (encoding, payload) for a chunk's plain bytes, both in pieces."""
    if plain_bytes > 4 * SAMPLES * SAMPLE_BYTES and not (habit is not None and habit.trusts):
        if habit is not None and habit.skips():
            return RAW, pieces
        pays = _sample_pays(pieces, plain_bytes)
        if habit is not None:
            habit.note(pays=pays)
        if not pays:
            return RAW, pieces
    compressed = _codec()[0].compress(_joined(pieces, plain_bytes))
    if habit is not None:
        habit.note_whole(plain_bytes, len(compressed))
    return (ZSTD, (compressed,)) if _pays(plain_bytes, len(compressed)) else (RAW, pieces)


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
        return _codec()[1].decompress(payload)
    except zstandard.ZstdError as error:
        raise Corrupt(f"a compressed chunk does not decompress: {error}") from error


def _frame_bytes(payload: bytes) -> int:
    """Return the plain size a frame claims: a damaged one must not choose how much memory to take."""
    try:
        return zstandard.frame_content_size(payload)
    except zstandard.ZstdError as error:
        raise Corrupt(f"a compressed chunk has no frame: {error}") from error

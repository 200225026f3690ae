"""Whether and how a chunk is compressed on disk.

A chunk stays raw unless zstd saves at least a tenth: raw chunks leave by
sendfile, and what is already compressed (Parquet) only costs time.
"""

from __future__ import annotations

import threading

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


def _sample_pays(view: memoryview) -> bool:
    """Whether slices from start, middle and end promise the saving."""
    compressor, _ = _codec()
    last = len(view) - SAMPLE_BYTES
    starts = [last * i // (SAMPLES - 1) for i in range(SAMPLES)]
    stored = sum(len(compressor.compress(view[start : start + SAMPLE_BYTES])) for start in starts)
    return _pays(SAMPLES * SAMPLE_BYTES, stored)


def encode_payload(plain: Buffer) -> tuple[int, Buffer]:
    """Return (encoding, payload) for a chunk's plain bytes."""
    view = memoryview(plain)
    if len(view) > 4 * SAMPLES * SAMPLE_BYTES and not _sample_pays(view):
        return RAW, plain
    compressed = _codec()[0].compress(view)
    return (ZSTD, compressed) if _pays(len(view), len(compressed)) else (RAW, plain)


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

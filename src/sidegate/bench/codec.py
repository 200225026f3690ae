"""How fast the codec itself is on what compresses, on one core: a ceiling."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

import zstandard

from sidegate.bench import plans
from sidegate.bench.cells import Cell
from sidegate.bench.goals import CODEC
from sidegate.bench.results import Result, Sample
from sidegate.bench.rounds import Settings
from sidegate.pfs.compression import LEVEL

CHUNK_BYTES: Final = 1 << 20
"""About as long as the chunks that the store cuts."""


def measure_codec(cells: Sequence[Cell], settings: Settings, core: int) -> list[Result]:
    """Measure what the cells with compressible bodies cost in the codec alone, on a core."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        return [_measure(cell, settings) for cell in cells if cell.compressible]
    finally:
        os.sched_setaffinity(0, ours)


def _measure(cell: Cell, settings: Settings) -> Result:
    body = plans.payload_of(cell, settings.scale).of(1)
    chunks = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
    compressor, decompressor = zstandard.ZstdCompressor(level=LEVEL), zstandard.ZstdDecompressor()
    encoded = [compressor.compress(chunk) for chunk in chunks]

    def compress() -> None:
        for chunk in chunks:
            compressor.compress(chunk)

    def decompress() -> None:
        for frame in encoded:
            decompressor.decompress(frame)

    work = compress if cell.operation == "put" else decompress
    result = Result(cell, CODEC, settings.scale, 1)
    result.samples = [_round(work, settings.duration_seconds) for _ in range(settings.rounds)]
    return result


def _round(work: Callable[[], None], duration_seconds: float) -> Sample:
    count, began, cpu_began = 0, time.perf_counter(), time.process_time()
    while count == 0 or time.perf_counter() - began < duration_seconds:
        work()
        count += 1
    return Sample(time.perf_counter() - began, count, cpu_seconds=time.process_time() - cpu_began)

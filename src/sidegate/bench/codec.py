"""How fast the codec itself is on what compresses: a ceiling.

It has rounds of its own between those of the servers, on their core: a machine's speed
drifts by more than what the servers differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import zstandard

from sidegate.bench import plans
from sidegate.bench.cells import Cell
from sidegate.bench.goals import CODEC
from sidegate.bench.placing import on_cores
from sidegate.bench.results import Result, Sample
from sidegate.bench.rounds import WARMING_SHARE, Ceiling, Settings
from sidegate.pfs.compression import LEVEL

T = TypeVar("T")

CHUNK_BYTES: Final = 1 << 20
"""About as long as the chunks that the store cuts."""


def codec_of(settings: Settings, core: int) -> Ceiling:
    """Return what makes the codec's side of cells with compressible bodies, on a core."""

    def side(cell: Cell) -> _Codec | None:
        return _Codec(cell, settings, core) if cell.compressible else None

    return side


class _Codec:
    """The codec in a cell: it compresses what is sent, or decompresses what is read."""

    def __init__(self, cell: Cell, settings: Settings, core: int) -> None:
        self._settings = settings
        self._core = core
        self._result = Result(cell, CODEC, settings.scale, 1)
        self._work: Callable[[], None] = _no_work

    def in_turn(self, step: Callable[[], T]) -> T:
        """Take a step on the servers' core."""
        with on_cores({self._core}):
            return step()

    def begin(self) -> bool:
        """Cut the body into chunks and warm up."""
        self._work = _work_of(self._result.cell, self._settings)
        _round(self._work, self._settings.duration_seconds * WARMING_SHARE)
        return True

    def round(self) -> None:
        """Go through the body again and again."""
        self._result.samples.append(_round(self._work, self._settings.duration_seconds))

    def end(self) -> None:
        """Have nothing to compare: zstd is trusted."""

    def close(self) -> None:
        """Let go of the chunks."""
        self._work = _no_work

    def found(self) -> Iterable[Result]:
        """Return how fast it was."""
        return (self._result,)


def _no_work() -> None:
    """Do nothing: what a side does before it begins and after its end."""


def _work_of(cell: Cell, settings: Settings) -> Callable[[], None]:
    body = plans.payload_of(cell, settings.scale).of(1)
    chunks = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
    compressor, decompressor = zstandard.ZstdCompressor(level=LEVEL), zstandard.ZstdDecompressor()

    def compress() -> None:
        for chunk in chunks:
            compressor.compress(chunk)

    if cell.operation == "put":
        return compress
    encoded = [compressor.compress(chunk) for chunk in chunks]

    def decompress() -> None:
        for frame in encoded:
            decompressor.decompress(frame)

    return decompress


def _round(work: Callable[[], None], duration_seconds: float) -> Sample:
    count, began, cpu_began = 0, time.perf_counter(), time.process_time()
    while count == 0 or time.perf_counter() - began < duration_seconds:
        work()
        count += 1
    return Sample(time.perf_counter() - began, count, cpu_seconds=time.process_time() - cpu_began)

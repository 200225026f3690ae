"""The data that is measured with: keys and contents, the same for every server.

Everything follows from fixed seeds, so that what comes back can be checked
without keeping it.  Random data is made different for each object by stamps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sidegate.errors import Invalid
from sidegate.native.exchange import Payload

SMALL_BYTES: Final = 4 << 10
PAGE_KEYS: Final = 1000
STAMP_EVERY_BYTES: Final = 64 << 10
"""Each chunk of a store that cuts by content (256 KiB at least) holds a stamp, so none is stored yet."""

SEED: Final = 20260101
LISTED_BODY: Final = b"sidegate bench\n"

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Scale:
    """How much data a run works with; `divisor` makes objects of 8 MiB and more smaller."""

    name: str
    small_objects: int = 1000
    listed_keys: int = 10_000
    large_bytes: int = 1 << 30
    divisor: int = 1
    many_keys: int = 1_000_000
    written_keys: int = 16_384
    round_bytes: int = 512 * MIB
    pool: int = 8192
    """How many different requests are rendered where the same would do: more than a cache would help."""

    def size(self, size_bytes: int) -> int:
        """Return what an object of that size measures at this scale."""
        return size_bytes // self.divisor if size_bytes >= 8 * MIB else size_bytes


SCALES: Final = {
    "full": Scale("full"),
    "small": Scale("small", 500, 2_000, 128 * MIB, 4, 20_000, 4096, 128 * MIB, 2048),
    "smoke": Scale("smoke", 40, 1_200, 8 * MIB, 16, 2_400, 256, 8 * MIB, 128),
}


def scale_named(name: str) -> Scale:
    """Return a scale; raises Invalid."""
    if name not in SCALES:
        raise Invalid(f"{name!r} is no scale", remedy=f"use one of {', '.join(SCALES)}")
    return SCALES[name]


@lru_cache(maxsize=8)
def incompressible(size_bytes: int) -> Payload:
    """Return random bodies of a size."""
    template = random.Random(SEED + size_bytes).randbytes(size_bytes)
    return Payload(template, tuple(range(0, size_bytes - 7, STAMP_EVERY_BYTES)))


@lru_cache(maxsize=2)
def measurements(size_bytes: int) -> Payload:
    """Return bodies of a size that are a CSV of measurements, about 45 bytes a row.

    Rows repeat after 8 MiB, further apart than a compressor looks back.
    """
    source = random.Random(SEED)
    lines = ["sample,station,taken,value,unit\n"]
    total = len(lines[0])
    while total < min(size_bytes, 8 * MIB):
        number = len(lines)
        line = (
            f"{number:08d},ST-{source.randrange(200):03d},2026-01-{number % 28 + 1:02d},"
            f"{source.gauss(50, 12):.4f},mg/l\n"
        )
        lines.append(line)
        total += len(line)
    block = "".join(lines).encode()
    template = (block * -(-size_bytes // len(block)))[:size_bytes]
    return Payload(template, tuple(range(0, size_bytes - 7, STAMP_EVERY_BYTES)))


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that a run loads before it measures: bodies of one payload, joined."""

    key: str
    payload: Payload
    serials: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Return its size."""
        return len(self.payload.template) * len(self.serials)

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes."""
        return (self.payload.of(serial) for serial in self.serials)

    def read(self, offset: int, end: int) -> bytes:
        """Return its bytes `offset` to `end` (exclusive)."""
        step = len(self.payload.template)
        first = offset // step
        numbers = self.serials[first : -(-end // step)]
        found = b"".join(self.payload.of(serial) for serial in numbers)
        return found[offset - first * step : end - first * step]


def small_object(number: int) -> Stored:
    """Return one of the small objects."""
    return Stored(f"small/{number:06d}.bin", incompressible(SMALL_BYTES), (number,))


def large_object(scale: Scale) -> Stored:
    """Return the object that ranges are read of, made of parts."""
    part_bytes = min(64 * MIB, scale.large_bytes)
    serials = tuple(range(1 << 32, (1 << 32) + scale.large_bytes // part_bytes))
    return Stored("large.bin", incompressible(part_bytes), serials)


def plain_object(size_bytes: int) -> Stored:
    """Return an object of random bytes that is read whole."""
    return Stored(f"plain-{size_bytes}.bin", incompressible(size_bytes), (1 << 33,))


def table_object(size_bytes: int) -> Stored:
    """Return an object that compresses well."""
    return Stored(f"table-{size_bytes}.csv", measurements(size_bytes), (1 << 34,))


def listed_key(number: int, count: int) -> str:
    """Return one of `count` keys to be listed, in 100 groups; numbers are in the order of keys."""
    return f"keys/group-{number * 100 // count:04d}/measurement-{number:07d}.csv"

"""Where a chunk may end: the limits, masks and table of the gear scan.

Both twins of `GearScanner` build on this module, so that an invalid rule is
refused alike and the table has one definition.  It knows nothing of data.
"""

from __future__ import annotations

import operator
import struct
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Final

from blake3 import blake3

from sidegate.errors import Invalid

# The lowest bit of the hash forgets a byte after one step, the highest after 64.
WINDOW_BYTES: Final = 64
# Normalised chunking, level 2: FastCDC (Xia et al., USENIX ATC 2016).
NORMALISATION_BITS: Final = 2
# Bit 63 stays out of every mask: it is spare for the shifted hash of the compiled twin.
HIGHEST_MASK_BIT: Final = 62
# The hash's low bits, which depend on the last 16 bytes, are those a vector unit can sum up for many
# positions at once.  So many bits of a mask are there; the others see the whole window.
LOW_BITS: Final = 16
LOW_MASK_BITS: Final = 10
# Odd, so that no two bytes have the same low bits; near 2**16 / golden ratio, so that neighbours lie apart.
LOW_FACTOR: Final = 40503
SMALLEST_AVERAGE_BYTES: Final = 16
LARGEST_CHUNK_BYTES: Final = 1 << 40

TABLE_SEED: Final = b"sidegate gear table v1"


@cache
def gear_table() -> tuple[int, ...]:
    """Return the 256 words of 64 bits that the gear hash adds.

    They are the first 2048 bytes of the BLAKE3 output of `TABLE_SEED`, read
    little endian, but for the low 16 bits of each: those are ((byte ^ 128) + 1) *
    LOW_FACTOR, mod 2**16; byte ^ 128 is the byte's signed value + 128, and no run of
    one byte has low bits with which a chunk may end.  The table is part of the
    store's format: another cuts elsewhere and loses deduplication against every
    older chunk.
    """
    words = struct.unpack("<256Q", blake3(TABLE_SEED).digest(length=2048))
    low = (1 << LOW_BITS) - 1
    return tuple((word & ~low) | (((byte ^ 128) + 1) * LOW_FACTOR & low) for byte, word in enumerate(words))


@dataclass(frozen=True, slots=True)
class CutRule:
    """The lengths between which content decides where a chunk ends.

    Requires 1 <= min <= average <= max <= 2**40 bytes, and an average that is
    a power of two of at least 16 bytes.  Raises Invalid when that is broken
    and TypeError for anything but integers.
    """

    min_bytes: int
    average_bytes: int
    max_bytes: int
    strict_mask: int = field(init=False)
    """The mask for chunks still shorter than the average."""
    loose_mask: int = field(init=False)
    """The mask for chunks of the average length and longer."""

    def __post_init__(self) -> None:
        average = operator.index(self.average_bytes)
        if average < SMALLEST_AVERAGE_BYTES or average & (average - 1):
            raise Invalid(
                f"an average chunk of {average} bytes is not possible",
                remedy=f"use a power of two of at least {SMALLEST_AVERAGE_BYTES} bytes",
                average_bytes=average,
            )
        smallest, largest = operator.index(self.min_bytes), operator.index(self.max_bytes)
        if not 1 <= smallest <= average <= largest <= LARGEST_CHUNK_BYTES:
            raise Invalid(
                f"chunk limits {smallest}, {average}, {largest} bytes are out of order",
                remedy=f"keep 1 <= min <= average <= max <= {LARGEST_CHUNK_BYTES}",
                min_bytes=smallest,
                average_bytes=average,
                max_bytes=largest,
            )
        bits = average.bit_length() - 1
        object.__setattr__(self, "strict_mask", _mask(bits + NORMALISATION_BITS))
        object.__setattr__(self, "loose_mask", _mask(bits - NORMALISATION_BITS))

    @property
    def unhashed_bytes(self) -> int:
        """How many first bytes of a chunk can never influence a cut."""
        return max(0, self.min_bytes - WINDOW_BYTES)


@lru_cache(maxsize=16, typed=True)
def cut_rule(min_bytes: int, average_bytes: int, max_bytes: int) -> CutRule:
    """Return the rule, the same one again: each upload asks for it.  Raises as `CutRule`."""
    return CutRule(min_bytes, average_bytes, max_bytes)


def _mask(bits: int) -> int:
    low = min(bits, LOW_MASK_BITS)
    return _ones(low, LOW_BITS) | _ones(bits - low, HIGHEST_MASK_BIT + 1)


def _ones(count: int, end: int) -> int:
    """Return a word with `count` one bits below bit `end`."""
    return ((1 << count) - 1) << (end - count)

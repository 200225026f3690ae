"""The rule of cuts as numbers; what it does to data is in tests/contract."""

from __future__ import annotations

import pytest

from sidegate.errors import Invalid
from sidegate.native.cut_rule import LOW_BITS, LOW_FACTOR, LOW_MASK_BITS, WINDOW_BYTES, CutRule, gear_table


def test_masks_lie_below_the_spare_bit() -> None:
    rule = CutRule(256 << 10, 1 << 20, 4 << 20)
    assert rule.strict_mask == 0x7FF800000000FFC0
    assert rule.loose_mask == 0x7F8000000000FFC0


@pytest.mark.parametrize("exponent", [4, 5, 8, 12, 13, 20, 32, 40])
def test_masks_have_two_bits_more_and_less(exponent: int) -> None:
    rule = CutRule(1, 1 << exponent, 1 << 40)
    assert rule.strict_mask.bit_count() == exponent + 2
    assert rule.loose_mask.bit_count() == exponent - 2
    for mask in (rule.strict_mask, rule.loose_mask):
        low, high = mask & (1 << LOW_BITS) - 1, mask >> LOW_BITS << LOW_BITS
        assert low.bit_count() == min(mask.bit_count(), LOW_MASK_BITS)
        assert low + (low & -low) == 1 << LOW_BITS, "contiguous from bit 15 downward"
        assert not high or high + (high & -high) == 1 << 63, "contiguous from bit 62 downward"


def test_no_run_of_one_byte_passes_the_low_bits() -> None:
    low_mask = CutRule(256 << 10, 1 << 20, 4 << 20).loose_mask & (1 << LOW_BITS) - 1
    for word in gear_table():
        assert sum(word << age for age in range(WINDOW_BYTES)) & low_mask


def test_low_bits_are_a_sum_over_16_bytes() -> None:
    table, data = gear_table(), bytes(range(0, 256, 4))
    hash_ = sum(table[byte] << age for age, byte in enumerate(data))
    lowest = sum(((byte ^ 128) + 1) << age for age, byte in enumerate(data[:16])) * LOW_FACTOR
    assert (hash_ - lowest) % (1 << LOW_BITS) == 0


@pytest.mark.parametrize(("min_bytes", "unhashed"), [(1, 0), (64, 0), (65, 1), (262144, 262080)])
def test_the_window_is_hashed_before_the_first_cut(min_bytes: int, unhashed: int) -> None:
    assert CutRule(min_bytes, 1 << 20, 1 << 22).unhashed_bytes == unhashed


def test_a_refusal_carries_the_numbers() -> None:
    with pytest.raises(Invalid, match="2048, 1024, 4096") as caught:
        CutRule(2048, 1024, 4096)
    assert caught.value.details == {"min_bytes": 2048, "average_bytes": 1024, "max_bytes": 4096}
    with pytest.raises(Invalid, match="1000 bytes") as caught:
        CutRule(1, 1000, 4096)
    assert caught.value.details == {"average_bytes": 1000}


def test_table_has_256_distinct_words() -> None:
    table = gear_table()
    assert len(set(table)) == len(table) == 256
    assert 0 < max(table) < 1 << 64

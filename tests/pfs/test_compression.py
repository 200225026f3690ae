from __future__ import annotations

import random

import pytest
import zstandard

from pfs.samples import noise
from sidegate.errors import Corrupt
from sidegate.pfs.compression import (
    COMPARED_EVERY,
    LEVEL,
    LONGEST_SKIP,
    RAW,
    SAMPLE_BYTES,
    WORTH_COMPRESSING_BYTES,
    ZSTD,
    SampleHabit,
    decode_payload,
    encode_payload,
)

TEXT = b"".join(b"%d,site-%d,normal\n" % (i, i % 7) for i in range(20_000))


def split(data: bytes, count: int) -> list[bytes]:
    step = len(data) // count + 1
    return [data[start : start + step] for start in range(0, len(data), step)]


@pytest.mark.parametrize(
    ("plain", "encoding"),
    [
        (b"", RAW),
        (b"x", RAW),
        (b"abc" * 1000, ZSTD),
        (bytes(WORTH_COMPRESSING_BYTES - 1), RAW),
        (bytes(WORTH_COMPRESSING_BYTES), ZSTD),
        (noise(1000), RAW),
        (noise(300_000), RAW),
        (TEXT, ZSTD),
        # Most of it is noise, so the saving stays below a tenth.
        (noise(19_000) + bytes(1000), RAW),
    ],
)
def test_a_chunk_is_compressed_where_it_pays(plain: bytes, encoding: int) -> None:
    for pieces in ((plain,), [plain[:10], plain[10:5000], plain[5000:]], [b"", *split(plain, 7), b""]):
        chosen, payload = encode_payload(pieces, len(plain))
        assert chosen == encoding
        stored = b"".join(payload)
        assert decode_payload(chosen, stored, len(plain)) == plain
        if encoding == ZSTD:
            assert len(stored) * 10 <= len(plain) * 9


def test_samples_come_from_start_middle_and_end() -> None:
    size = 16 * SAMPLE_BYTES
    hidden = noise(SAMPLE_BYTES) + bytes(3 * SAMPLE_BYTES)  # compressible where no sample looks
    plain = bytearray(noise(size, "outside"))
    plain[2 * SAMPLE_BYTES : 2 * SAMPLE_BYTES + len(hidden)] = hidden
    assert encode_payload((plain,), size)[0] == RAW
    assert encode_payload(split(bytes(plain), 5), size)[0] == RAW


def asked(habit: SampleHabit, answers: list[bool]) -> list[bool]:
    """Which chunks of a stream are asked when each would answer as told."""
    found = []
    for pays in answers:
        found.append(not habit.skips())
        if found[-1]:
            habit.note(pays=pays)
    return found


def test_a_stream_that_does_not_compress_is_asked_ever_more_rarely() -> None:
    found = asked(SampleHabit(), [False] * 200)
    assert found[:2] == [True, True]
    gaps = [len(gap) for gap in "".join("x" if one else "." for one in found).split("x")[1:-1]]
    assert gaps == sorted(gaps)
    assert max(gaps) == LONGEST_SKIP
    assert sum(found[100:]) <= 100 // LONGEST_SKIP


def test_a_stream_that_compresses_is_asked_at_each_chunk() -> None:
    assert all(asked(SampleHabit(), [True] * 50))


def test_one_chunk_that_pays_ends_the_habit() -> None:
    habit = SampleHabit()
    asked(habit, [False] * 60)
    found = asked(habit, [True] * 60)
    assert found.index(True) <= LONGEST_SKIP
    assert all(found[found.index(True) :])


def test_a_habit_decides_for_a_chunk() -> None:
    habit = SampleHabit()
    chunk = noise(300_000)
    for _ in range(3):
        assert encode_payload((chunk,), len(chunk), habit)[0] == RAW
    assert encode_payload((TEXT,), len(TEXT), habit)[0] == RAW, "not asked"
    assert encode_payload((TEXT,), len(TEXT), SampleHabit())[0] == ZSTD


def test_a_chunk_behind_one_that_shrank_to_half_needs_no_sample() -> None:
    size = 16 * SAMPLE_BYTES
    hidden = bytearray(TEXT[:size])
    for start in (0, (size - SAMPLE_BYTES) // 2, size - SAMPLE_BYTES):
        hidden[start : start + SAMPLE_BYTES] = noise(SAMPLE_BYTES, start)
    chunk = bytes(hidden)
    assert encode_payload((chunk,), size, SampleHabit())[0] == RAW, "the samples say no"
    habit = SampleHabit()
    encode_payload((TEXT,), len(TEXT), habit)
    encoding, payload = encode_payload((chunk,), size, habit)
    assert encoding == ZSTD
    assert decode_payload(ZSTD, b"".join(payload), size) == chunk


def test_a_stream_that_no_longer_compresses_is_asked_again() -> None:
    habit = SampleHabit()
    encode_payload((TEXT,), len(TEXT), habit)
    assert habit.trusts
    incompressible = noise(300_000)
    assert encode_payload((incompressible,), len(incompressible), habit)[0] == RAW
    assert not habit.trusts


def rows_of_measurements(count: int = 40_000) -> bytes:
    """Rows that differ in every field and are alike in form."""
    numbers = random.Random(7)
    return b"".join(
        b"%d,2024-03-%02d,site-%d,%d.%02d,normal\n"
        % (i, numbers.randrange(1, 29), numbers.randrange(40), numbers.randrange(900), numbers.randrange(100))
        for i in range(count)
    )


def recurring_words(count: int = 200_000) -> bytes:
    """Words that come again much later than a small table remembers."""
    numbers = random.Random(8)
    words = [b"".join(b"%x" % numbers.randrange(16) for _ in range(12)) for _ in range(3000)]
    return b" ".join(numbers.choices(words, k=count))


def stored_as_stream(chunk: bytes, count: int) -> list[bytes]:
    habit = SampleHabit()
    stored = []
    for _ in range(count):
        encoding, payload = encode_payload((chunk,), len(chunk), habit)
        assert encoding == ZSTD
        stored.append(b"".join(payload))
        assert decode_payload(ZSTD, stored[-1], len(chunk)) == chunk
    return stored


def test_a_stream_of_rows_is_stored_smaller_from_its_second_chunk_on() -> None:
    rows = rows_of_measurements()
    usual = len(zstandard.compress(rows, LEVEL))
    first, *later = stored_as_stream(rows, 3)
    assert len(first) == usual
    assert all(len(one) < usual for one in later)


def test_what_recurs_far_apart_keeps_the_usual_table() -> None:
    text = recurring_words()
    usual = zstandard.compress(text, LEVEL)
    assert stored_as_stream(text, 3) == [usual] * 3


def test_a_stream_that_turns_into_rows_is_found_out() -> None:
    habit = SampleHabit()
    text, rows = recurring_words(), rows_of_measurements()
    for chunk in (text, text):
        encode_payload((chunk,), len(chunk), habit)
    assert not habit.has_rows
    for _ in range(COMPARED_EVERY):
        encode_payload((rows,), len(rows), habit)
    assert habit.has_rows


@pytest.mark.parametrize("encoding", [RAW, ZSTD])
def test_another_size_than_expected_is_corrupt(encoding: int) -> None:
    payload = TEXT if encoding == RAW else zstandard.compress(TEXT)
    for expected in (0, len(TEXT) - 1, len(TEXT) + 1):
        with pytest.raises(Corrupt, match="is stored as"):
            decode_payload(encoding, payload, expected)


def test_a_frame_that_claims_a_giant_size_takes_no_memory() -> None:
    # Magic, descriptor with an 8-byte content size, window descriptor, then 1 EiB.
    giant = bytes.fromhex("28b52ffd c0 00") + (1 << 60).to_bytes(8, "little")
    with pytest.raises(Corrupt):
        decode_payload(ZSTD, giant, 1000)


def test_damage_is_corrupt_or_shows_in_the_bytes() -> None:
    payload = zstandard.compress(TEXT)
    for offset in range(0, len(payload), 97):
        damaged = bytearray(payload)
        damaged[offset] ^= 0x55
        try:
            plain = decode_payload(ZSTD, bytes(damaged), len(TEXT))
        except Corrupt:
            continue
        assert len(plain) == len(TEXT)
    for length in range(0, len(payload), 101):
        with pytest.raises(Corrupt):
            decode_payload(ZSTD, payload[:length], len(TEXT))


def test_an_unknown_encoding_is_corrupt() -> None:
    with pytest.raises(Corrupt, match="encoding 2"):
        decode_payload(2, b"abc", 3)

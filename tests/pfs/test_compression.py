from __future__ import annotations

import pytest
import zstandard

from pfs.samples import noise
from sidegate.errors import Corrupt
from sidegate.pfs.compression import RAW, SAMPLE_BYTES, ZSTD, decode_payload, encode_payload

TEXT = b"".join(b"%d,site-%d,normal\n" % (i, i % 7) for i in range(20_000))


@pytest.mark.parametrize(
    ("plain", "encoding"),
    [
        (b"", RAW),
        (b"x", RAW),
        (b"abc" * 1000, ZSTD),
        (noise(1000), RAW),
        (noise(300_000), RAW),
        (TEXT, ZSTD),
        # Most of it is noise, so the saving stays below a tenth.
        (noise(19_000) + bytes(1000), RAW),
    ],
)
def test_a_chunk_is_compressed_where_it_pays(plain: bytes, encoding: int) -> None:
    chosen, payload = encode_payload(plain)
    assert chosen == encoding
    assert decode_payload(chosen, bytes(payload), len(plain)) == plain
    if encoding == ZSTD:
        assert len(payload) * 10 <= len(plain) * 9


def test_samples_come_from_start_middle_and_end() -> None:
    size = 16 * SAMPLE_BYTES
    hidden = noise(SAMPLE_BYTES) + bytes(3 * SAMPLE_BYTES)  # compressible where no sample looks
    plain = bytearray(noise(size, "outside"))
    plain[2 * SAMPLE_BYTES : 2 * SAMPLE_BYTES + len(hidden)] = hidden
    assert encode_payload(plain)[0] == RAW


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

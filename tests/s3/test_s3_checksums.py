from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.s3.checksums import (
    ALGORITHMS,
    PartChecksum,
    composite_checksum,
    decode_digest,
    default_type,
    encode_digest,
    full_object_checksum,
    upload_checksum,
)


def checksum(name: str, data: bytes) -> str:
    hasher = ALGORITHMS[name].new()
    hasher.update(data)
    return encode_digest(hasher.digest())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # The check values of the CRC catalogue, and FIPS 180 by hashlib.
        ("crc32", "cbf43926"),
        ("crc32c", "e3069283"),
        ("crc64nvme", "ae8b14860a799888"),
        ("sha1", hashlib.sha1(b"123456789").hexdigest()),
        ("sha256", hashlib.sha256(b"123456789").hexdigest()),
    ],
)
def test_check_values(name: str, value: str) -> None:
    assert base64.b64decode(checksum(name, b"123456789")).hex() == value


@pytest.mark.parametrize(
    ("name", "data", "value"),
    [
        # As real clients sent them: boto3 an empty marker, pyarrow `abc` in a trailer.
        ("crc32", b"", "AAAAAA=="),
        ("crc64nvme", b"", "AAAAAAAAAAA="),
        ("crc64nvme", b"abc", "BeXKuz/B+us="),
    ],
)
def test_values_seen_on_the_wire(name: str, data: bytes, value: str) -> None:
    assert checksum(name, data) == value


@pytest.mark.parametrize("name", list(ALGORITHMS))
@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_blocks_make_no_difference(name: str, data: bytes, cut: int) -> None:
    hasher = ALGORITHMS[name].new()
    hasher.update(data[:cut])
    hasher.update(memoryview(data)[cut:])
    assert encode_digest(hasher.digest()) == checksum(name, data)
    assert len(hasher.digest()) == ALGORITHMS[name].digest_bytes


@pytest.mark.parametrize("name", ["crc32", "crc32c", "crc64nvme"])
@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=6))
def test_crcs_of_parts_join_to_the_crc_of_the_whole(name: str, parts: list[bytes]) -> None:
    known = [PartChecksum(checksum(name, part), len(part)) for part in parts]
    assert full_object_checksum(ALGORITHMS[name], known) == checksum(name, b"".join(parts))


def test_a_composite_checksum_is_that_of_the_digests() -> None:
    parts = [b"a" * 10, b"b"]
    known = [PartChecksum(checksum("sha256", part), len(part)) for part in parts]
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    expected = base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-2"
    assert composite_checksum(ALGORITHMS["sha256"], known) == expected
    assert upload_checksum(ALGORITHMS["sha256"], "COMPOSITE", known) == expected
    assert upload_checksum(ALGORITHMS["sha256"], "FULL_OBJECT", known) is None


def test_only_crc64nvme_is_full_object_by_default() -> None:
    kinds = {name: default_type(algorithm) for name, algorithm in ALGORITHMS.items()}
    assert kinds.pop("crc64nvme") == "FULL_OBJECT"
    assert set(kinds.values()) == {"COMPOSITE"}


@pytest.mark.parametrize("value", ["", "AAAA", "AAAAAA=", "AAAAAA==x", "****", "AAAAAAAAAAA=", "é"])
def test_malformed_digests(value: str) -> None:
    assert decode_digest(value, 4) is None

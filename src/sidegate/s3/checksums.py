"""Checksums that clients send: their names, values and combination.

Decides how each algorithm is computed, incrementally and from parts.  It does
not know where a value was sent.  Sources: Amazon S3 User Guide "Checking object
integrity"; CRCs come from isal and awscrt, SHA-256 from
`sidegate.native`, the rest from hashlib.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from awscrt.checksums import combine_crc32, combine_crc32c, combine_crc64nvme, crc32c, crc64nvme
from isal.isal_zlib import crc32

from sidegate.native import Sha256

BytesLike = bytes | bytearray | memoryview

COMPOSITE: Final = "COMPOSITE"
FULL_OBJECT: Final = "FULL_OBJECT"


class Hasher(Protocol):
    """An incremental digest, as hashlib's."""

    def update(self, data: BytesLike, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """Return the digest of all bytes taken so far."""


class CrcHasher:
    """A CRC with the interface of hashlib; the digest is big-endian."""

    __slots__ = ("_function", "_size_bytes", "_value")

    def __init__(self, function: Callable[[BytesLike, int], int], size_bytes: int) -> None:
        self._function = function
        self._size_bytes = size_bytes
        self._value = 0

    def update(self, data: BytesLike, /) -> None:
        """Take more bytes."""
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        """Return the CRC of all bytes taken so far."""
        return self._value.to_bytes(self._size_bytes, "big")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A checksum algorithm that S3 names.

    `name` is the end of x-amz-checksum-<name>, `xml_name` its element.
    `combine` joins the values of two neighbours, given the second's length in
    bytes; only CRCs can, so only they have full-object checksums of uploads in
    parts.
    """

    name: str
    xml_name: str
    digest_bytes: int
    new: Callable[[], Hasher]
    combine: Callable[[int, int, int], int] | None = None


def _new_crc32() -> Hasher:
    return CrcHasher(crc32, 4)


def _new_crc32c() -> Hasher:
    return CrcHasher(crc32c, 4)


def _new_crc64nvme() -> Hasher:
    return CrcHasher(crc64nvme, 8)


def _new_sha1() -> Hasher:
    return hashlib.sha1(usedforsecurity=False)


def new_md5() -> Hasher:
    """Return an MD5 hasher, for Content-MD5."""
    return hashlib.md5(usedforsecurity=False)


ALGORITHMS: Final[dict[str, Algorithm]] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("crc32", "ChecksumCRC32", 4, _new_crc32, combine_crc32),
        Algorithm("crc32c", "ChecksumCRC32C", 4, _new_crc32c, combine_crc32c),
        Algorithm("crc64nvme", "ChecksumCRC64NVME", 8, _new_crc64nvme, combine_crc64nvme),
        Algorithm("sha1", "ChecksumSHA1", 20, _new_sha1),
        Algorithm("sha256", "ChecksumSHA256", 32, Sha256),
    )
}
BY_XML_NAME: Final = {algorithm.xml_name: algorithm for algorithm in ALGORITHMS.values()}


def encode_digest(digest: bytes) -> str:
    """Return a digest as headers and XML carry it: base64."""
    return base64.b64encode(digest).decode("ascii")


def decode_digest(value: str, size_bytes: int) -> bytes | None:
    """Return the digest that a base64 text holds, or None when it is malformed."""
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) == size_bytes else None


@dataclass(frozen=True, slots=True)
class PartChecksum:
    """The checksum of one part, base64, and the part's size."""

    value: str
    size_bytes: int


def default_type(algorithm: Algorithm) -> str:
    """Return the type that an upload gets when its client names none.

    API_CreateMultipartUpload: COMPOSITE, except that CRC64NVME has only full
    objects.
    """
    return FULL_OBJECT if algorithm.name == "crc64nvme" else COMPOSITE


def composite_checksum(algorithm: Algorithm, parts: Sequence[PartChecksum]) -> str:
    """Return `<base64>-N`: the checksum of the parts' digests joined."""
    hasher = algorithm.new()
    for part in parts:
        hasher.update(base64.b64decode(part.value))
    return f"{encode_digest(hasher.digest())}-{len(parts)}"


def full_object_checksum(algorithm: Algorithm, parts: Sequence[PartChecksum]) -> str | None:
    """Return the checksum of the joined bytes, or None for what is no CRC."""
    if algorithm.combine is None:
        return None
    value = 0
    for part in parts:
        following = int.from_bytes(base64.b64decode(part.value), "big")
        value = algorithm.combine(value, following, part.size_bytes)
    return encode_digest(value.to_bytes(algorithm.digest_bytes, "big"))


def upload_checksum(algorithm: Algorithm, kind: str, parts: Sequence[PartChecksum]) -> str | None:
    """Return the checksum of an upload in parts of type `kind`, or None."""
    if kind == FULL_OBJECT:
        return full_object_checksum(algorithm, parts)
    return composite_checksum(algorithm, parts)

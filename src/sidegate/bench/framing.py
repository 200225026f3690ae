"""Bodies that carry a digest of themselves, as SDKs send them.

`sha256` is a header; `crc64nvme` is a trailer after an aws-chunked body.  Bodies
differ by a stamp, so the digests of a round are computed before it begins.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sidegate.bench.cells import Digest
from sidegate.native.exchange import Payload
from sidegate.s3.checksums import ALGORITHMS, encode_digest

CHUNK_BYTES: Final = 1 << 20
"""As botocore has it (httpchecksum.py, AwsChunkedWrapper: `_DEFAULT_CHUNK_SIZE`)."""

STREAMING: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_TRAILER: Final = "x-amz-checksum-crc64nvme"
_STAMP: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Digested:
    """What the digest of one body adds to its request."""

    headers: Mapping[str, str]
    payload_hash: str
    tail: bytes


class DigestBodies:
    """The bodies of an uploading cell, with their digests."""

    def __init__(self, digest: Digest, payload: Payload) -> None:
        self._digest = digest
        self.payload = payload
        self.framed = frame(payload) if digest == "crc64nvme" else payload
        """What is sent before the tail."""

    @property
    def sent_bytes(self) -> int:
        """Return the Content-Length of a request."""
        return len(self.framed.template) + (len(_tail(bytes(8))) if self._digest == "crc64nvme" else 0)

    def digests(self, first_serial: int, count: int) -> Iterator[Digested]:
        """Yield what the bodies with serials from `first_serial` need."""
        body = bytearray(self.payload.template)
        for serial in range(first_serial, first_serial + count):
            for offset in self.payload.stamps:
                _STAMP.pack_into(body, offset, serial)
            yield self._digested(body)

    def _digested(self, body: bytearray) -> Digested:
        if self._digest == "sha256":
            return Digested({}, hashlib.sha256(body).hexdigest(), b"")
        hasher = ALGORITHMS["crc64nvme"].new()
        hasher.update(body)
        headers = {
            "content-encoding": "aws-chunked",
            "x-amz-decoded-content-length": str(len(body)),
            "x-amz-trailer": _TRAILER,
            "x-amz-sdk-checksum-algorithm": "CRC64NVME",
        }
        return Digested(headers, STREAMING, _tail(hasher.digest()))


def frame(payload: Payload) -> Payload:
    """Return a payload in aws-chunked framing, up to the last chunk; stamps move along."""
    pieces: list[bytes] = []
    stamps: list[int] = []
    template, added = payload.template, 0
    for start in range(0, len(template), CHUNK_BYTES):
        chunk = template[start : start + CHUNK_BYTES]
        header = b"%x\r\n" % len(chunk)
        added += len(header)
        stamps += [offset + added for offset in payload.stamps if start <= offset < start + len(chunk)]
        pieces += [header, chunk, b"\r\n"]
        added += 2
    return Payload(b"".join(pieces), tuple(stamps))


def _tail(digest: bytes) -> bytes:
    return f"0\r\n{_TRAILER}:{encode_digest(digest)}\r\n\r\n".encode()

"""What the aws-chunked decoders tolerate, and how they say no.

Holds the limits, the error and the reading of one trailer line, shared by both
twins.  It knows nothing of S3 error codes, checksums or signatures: whether a
trailer is the right one is decided by whoever reads the payload.

The framing: AWS "Signature Calculations for the Authorization Header:
Transferring Payload in Multiple Chunks", and the page of the same name with
"Including Trailing Headers".
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from sidegate.errors import Invalid

# The longest header seen, 16 digits and a SigV4A signature of 144 characters, takes 180 bytes.
MAX_HEADER_LINE_BYTES: Final = 1024
# A section holds a checksum or two and a signature, below 300 bytes.
MAX_TRAILER_BYTES: Final = 8192
# Sixteen digits are 64 bits; a plausible size is for the caller to judge, from the declared length.
MAX_SIZE_DIGITS: Final = 16

_TRAILER_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # token: RFC 9110 section 5.6.2
_TRAILER_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")  # field-value: RFC 9110 section 5.5


class FramingKind(StrEnum):
    """In which way an aws-chunked body is malformed."""

    HEADER_TOO_LONG = "header_too_long"
    CHUNK_SIZE = "chunk_size"
    CHUNK_SIGNATURE = "chunk_signature"
    CHUNK_END = "chunk_end"
    UNEXPECTED_TRAILER = "unexpected_trailer"
    TRAILER = "trailer"
    TRAILERS_TOO_LONG = "trailers_too_long"
    DATA_AFTER_END = "data_after_end"
    TRUNCATED = "truncated"


_EXPLANATIONS: Final = {
    FramingKind.HEADER_TOO_LONG: f"a chunk header is longer than {MAX_HEADER_LINE_BYTES} bytes",
    FramingKind.CHUNK_SIZE: f"a chunk header is not 1 to {MAX_SIZE_DIGITS} hex digits, then ';' or CRLF",
    FramingKind.CHUNK_SIGNATURE: "a chunk header of a signed body has no chunk-signature",
    FramingKind.CHUNK_END: "the payload of a chunk is not followed by CRLF",
    FramingKind.UNEXPECTED_TRAILER: "the last chunk is followed by bytes though no trailer was declared",
    FramingKind.TRAILER: "a trailer line is not 'name:value'",
    FramingKind.TRAILERS_TOO_LONG: f"the trailers are longer than {MAX_TRAILER_BYTES} bytes",
    FramingKind.DATA_AFTER_END: "the body goes on after its end",
    FramingKind.TRUNCATED: "the body ends before its last chunk is complete",
}


class FramingError(Invalid):
    """An aws-chunked body is malformed.

    `kind` says how.  `offset` counts the encoded bytes that precede the byte
    which gave the fault away; neither depends on how the body was split.
    """

    def __init__(self, kind: FramingKind, offset: int) -> None:
        message = f"aws-chunked body, byte {offset}: {_EXPLANATIONS[kind]}"
        super().__init__(message, kind=kind.value, offset=offset)
        self.kind = kind
        self.offset = offset


def parse_trailer_line(line: bytes) -> tuple[str, str] | None:
    """Split `name:value` without its line end, or None when it is not one.

    The name is lower-cased, the value stripped of blanks on both sides and
    read as ISO 8859-1, which HTTP field values were before RFC 7230.
    """
    name, colon, value = line.partition(b":")
    if not (colon and _TRAILER_NAME.fullmatch(name) and _TRAILER_VALUE.fullmatch(value)):
        return None
    return name.decode("ascii").lower(), value.strip(b" \t").decode("iso-8859-1")

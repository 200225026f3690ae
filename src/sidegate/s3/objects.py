"""An object as response headers describe it.

Decides which headers an object's description becomes.  It does not know where
the description comes from nor which bytes are sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sidegate.s3.dates import format_http_date
from sidegate.s3.errors import HeaderList
from sidegate.s3.etag import format_etag

# What AWS answers for an object without one (API_PutObject).
DEFAULT_CONTENT_TYPE = "binary/octet-stream"

STORED_HEADERS = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")
"""Headers of a PUT that come back on GET and HEAD as they were given."""


# A header value that broke its line would let an object write headers of its own.
_NO_BREAKS = bytes.maketrans(b"\r\n\0", b"   ")


@dataclass(frozen=True, slots=True)
class ObjectMetadata:
    """What a client says of an object beside its bytes.

    `headers` are of STORED_HEADERS; `user` are the x-amz-meta-* headers without
    that prefix, names in lower case.
    """

    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    user: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ObjectDescription:
    """What the protocol needs to know of a stored object.

    `checksums` are (algorithm, base64) with algorithms in lower case; a value
    with `-N` at its end is composite.  `part_sizes_bytes` is empty unless the
    object was uploaded in parts.  Keep the description while the object does
    not change: its rendered headers stay with it.
    """

    size_bytes: int
    tag: str
    modified_us: int
    metadata: ObjectMetadata = ObjectMetadata()
    checksums: tuple[tuple[str, str], ...] = ()
    part_sizes_bytes: tuple[int, ...] = ()

    @cached_property
    def validators(self) -> tuple[tuple[bytes, bytes], ...]:
        """ETag and Last-Modified: all that a 304 repeats besides Cache-Control and Expires."""
        return (b"etag", format_etag(self.tag)), (b"last-modified", format_http_date(self.modified_us))

    @cached_property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers of a 200 without Content-Length and checksums."""
        metadata = self.metadata
        stored = [(b"content-type", _encode(metadata.content_type or DEFAULT_CONTENT_TYPE))]
        stored += [(_encode(name), _encode(value)) for name, value in metadata.headers]
        stored += [(b"x-amz-meta-" + _encode(name), _encode(value)) for name, value in metadata.user]
        return (*self.validators, (b"accept-ranges", b"bytes"), *stored)

    @cached_property
    def header_block(self) -> bytes:
        """`headers` as lines that each end in CRLF, rendered once for many answers."""
        lines = (name + b": " + value.translate(_NO_BREAKS) + b"\r\n" for name, value in self.headers)
        return b"".join(lines)

    @cached_property
    def checksum_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The checksums that a full-object 200 may show, or ().

        Composite values are left out: older C++ SDKs fail on them, and none is
        always safe (client study, section 4 rule 5).
        """
        full = [(name, value) for name, value in self.checksums if "-" not in value]
        return checksum_headers(full) if full else ()


def checksum_headers(
    checksums: list[tuple[str, str]] | tuple[tuple[str, str], ...], kind: str = "FULL_OBJECT"
) -> tuple[tuple[bytes, bytes], ...]:
    """Return x-amz-checksum-* headers and their x-amz-checksum-type."""
    headers = [(b"x-amz-checksum-" + _encode(name), _encode(value)) for name, value in checksums]
    return (*headers, (b"x-amz-checksum-type", kind.encode()))


def not_modified_headers(description: ObjectDescription) -> HeaderList:
    """Return the headers of a 304 (RFC 9110 section 15.4.5)."""
    kept = [item for item in description.headers if item[0] in (b"cache-control", b"expires")]
    return [*description.validators, *kept]


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

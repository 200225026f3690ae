"""The parts of an upload in columns: those a Complete names, and those that are stored.

Up to 10 000 parts are compared as one text, `1:tag,2:tag`, with no object for each.
"""

from __future__ import annotations

from typing import Final, NamedTuple

DECLARATIONS: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>',
    b'<?xml version="1.0" encoding="utf-8"?>',
    b"<?xml version='1.0' encoding='UTF-8'?>",
    b"<?xml version='1.0' encoding='utf-8'?>",
    b'<?xml version="1.0"?>',
)
ROOTS: Final = (
    b'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
    b"<CompleteMultipartUpload>",
)
ROOT_END: Final = b"</CompleteMultipartUpload>"
QUOTES: Final = (b'"', b"&quot;", b"&#34;")
"""How SDKs write what stands around a tag."""

MAX_NUMBER: Final = 10_000
"""Amazon S3 User Guide, "Amazon S3 multipart upload limits"."""


class NamedParts(NamedTuple):
    """The parts that a Complete names, by ascending number."""

    names: bytes
    """`number:tag` of each, with commas between; tags are letters, digits and `-`."""
    algorithm: bytes
    """The end of the elements `Checksum…` that each part has one of; empty where none has any."""
    checksums: bytes
    """The text of these elements, with line feeds between."""


class PartColumns(NamedTuple):
    """The parts that are stored, by number."""

    names: bytes
    """As those of `NamedParts`; a tag stands as it is."""
    tags: bytes
    """Each tag and a line feed."""
    sizes_bytes: list[int]
    attributes: dict[str, list[str]]
    """The values of those attributes that every part has."""
    extents: bytes
    """Those of all parts, one after the other, encoded as they are stored: extents, or for a list kept
    apart an entry of the node above it (docs/formats.md): its node, its size and the count of its extents."""
    lengths: list[int]
    """How many bytes of `extents` are of each part."""
    external: bytes
    """1 for each list that is kept apart, else 0."""
    counts: list[int]
    """Of extents."""
    content_hash: bytes | None
    """The file hash of the only part."""

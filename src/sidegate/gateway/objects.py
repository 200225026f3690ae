"""Objects and files: how what S3 says of an object is kept in a file record.

The store keeps attributes it does not read; this module alone gives them
their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from sidegate.pfs.files import Attributes, FileRecord
from sidegate.s3.objects import STORED_HEADERS, ObjectDescription, ObjectMetadata

_CONTENT_TYPE = "content-type"
_USER = "meta:"
_CHECKSUM = "checksum:"
_PART_SIZES = "part-sizes"


def attributes_of(
    metadata: ObjectMetadata,
    checksums: Iterable[tuple[str, str]] = (),
    part_sizes_bytes: Sequence[int] = (),
) -> Attributes:
    """Return the attributes that keep an object's metadata, sorted by name."""
    items = [(_USER + name, value) for name, value in metadata.user]
    items += metadata.headers
    items += [(_CHECKSUM + name, value) for name, value in checksums]
    if metadata.content_type is not None:
        items.append((_CONTENT_TYPE, metadata.content_type))
    if part_sizes_bytes:
        items.append((_PART_SIZES, _encode_sizes(part_sizes_bytes)))
    return tuple(sorted(items))


def metadata_of(record: FileRecord) -> ObjectMetadata:
    """Return the metadata that a record keeps."""
    attributes = record.attributes
    return ObjectMetadata(
        content_type=record.attribute(_CONTENT_TYPE),
        headers=tuple(item for item in attributes if item[0] in STORED_HEADERS),
        user=_with_prefix(attributes, _USER),
    )


def checksums_of(record: FileRecord) -> tuple[tuple[str, str], ...]:
    """Return the checksums that a record keeps, as (algorithm, base64)."""
    return _with_prefix(record.attributes, _CHECKSUM)


def checksum_columns(attributes: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return those of several records' attributes that are checksums, by algorithm."""
    return {
        name.removeprefix(_CHECKSUM): values
        for name, values in attributes.items()
        if name.startswith(_CHECKSUM)
    }


def part_sizes_of(record: FileRecord) -> tuple[int, ...]:
    """Return the sizes of the parts the object was uploaded in, () for one PUT."""
    value = record.attribute(_PART_SIZES)
    return _decode_sizes(value) if value is not None else ()


def describe(record: FileRecord) -> ObjectDescription:
    """Return what the protocol needs to know of a file."""
    return ObjectDescription(
        size_bytes=record.size_bytes,
        tag=record.tag,
        modified_us=record.modified_us,
        metadata=metadata_of(record),
        checksums=checksums_of(record),
        part_sizes_bytes=part_sizes_of(record),
    )


def _with_prefix(attributes: Attributes, prefix: str) -> tuple[tuple[str, str], ...]:
    return tuple((name[len(prefix) :], value) for name, value in attributes if name.startswith(prefix))


def _encode_sizes(sizes: Sequence[int]) -> str:
    """Return sizes as runs, `8388608x7,1234`: most uploads have two."""
    runs = [(size, len(list(equal))) for size, equal in groupby(sizes)]
    return ",".join(f"{size}x{count}" if count > 1 else str(size) for size, count in runs)


def _decode_sizes(value: str) -> tuple[int, ...]:
    sizes: list[int] = []
    for run in value.split(","):
        size, _, count = run.partition("x")
        sizes += [int(size)] * int(count or "1")
    return tuple(sizes)

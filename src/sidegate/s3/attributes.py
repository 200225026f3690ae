"""GetObjectAttributes: which attributes were asked, and their XML.

It does not know how an object is found.  Source: API_GetObjectAttributes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidegate.s3.errors import S3Error
from sidegate.s3.escaping import escape_text
from sidegate.s3.headers import Headers
from sidegate.s3.objects import ObjectDescription
from sidegate.s3.parameters import check_version
from sidegate.s3.responses import render_checksums, render_document
from sidegate.s3.target import Target

MAX_PARTS = 1000
_NAMES = frozenset(("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"))


@dataclass(frozen=True, slots=True)
class AttributesRequest:
    """A GetObjectAttributes; `names` as the API Reference spells them."""

    names: frozenset[str]
    after_part: int = 0
    max_parts: int = MAX_PARTS


def parse_attributes(target: Target, headers: Headers) -> AttributesRequest:
    """Read a GetObjectAttributes; raises S3Error InvalidArgument, NoSuchVersion.

    The header may be repeated, a list, or both.
    """
    check_version(target.query)
    raw = headers.joined(b"x-amz-object-attributes") or b""
    names = frozenset(name for name in raw.decode("latin-1").replace(",", " ").split() if name)
    if not names or not names <= _NAMES:
        raise S3Error("InvalidArgument", "Invalid attribute name specified.")
    return AttributesRequest(
        names,
        _number(headers, b"x-amz-part-number-marker", 0, 2**31 - 1),
        _number(headers, b"x-amz-max-parts", MAX_PARTS, MAX_PARTS),
    )


def render_attributes(request: AttributesRequest, description: ObjectDescription) -> bytes:
    """Return a GetObjectAttributesResponse; its ETag has no quotes, as on AWS."""
    parts = []
    if "ETag" in request.names:
        parts.append(f"<ETag>{escape_text(description.tag)}</ETag>")
    if "Checksum" in request.names:
        checksums = render_checksums(description.checksums, with_type=True)
        parts.append(f"<Checksum>{checksums}</Checksum>" if checksums else "")
    if "ObjectParts" in request.names and description.part_sizes_bytes:
        parts.append(_render_parts(request, description.part_sizes_bytes))
    if "StorageClass" in request.names:
        parts.append("<StorageClass>STANDARD</StorageClass>")
    if "ObjectSize" in request.names:
        parts.append(f"<ObjectSize>{description.size_bytes}</ObjectSize>")
    return render_document("GetObjectAttributesResponse", "".join(parts))


def _render_parts(request: AttributesRequest, sizes: tuple[int, ...]) -> str:
    numbered = list(enumerate(sizes, 1))[request.after_part :]
    shown = numbered[: request.max_parts]
    following = shown[-1][0] if shown else 0
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><Size>{size}</Size></Part>" for number, size in shown
    )
    return (
        f"<ObjectParts><PartsCount>{len(sizes)}</PartsCount>"
        f"<PartNumberMarker>{request.after_part}</PartNumberMarker>"
        f"<NextPartNumberMarker>{following}</NextPartNumberMarker><MaxParts>{request.max_parts}</MaxParts>"
        f"<IsTruncated>{str(len(numbered) > len(shown)).lower()}</IsTruncated>{parts}</ObjectParts>"
    )


def _number(headers: Headers, name: bytes, default: int, largest: int) -> int:
    value = headers.text(name)
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= 10):
        raise S3Error("InvalidArgument", fields={"ArgumentName": name.decode(), "ArgumentValue": value})
    return min(int(value), largest)

"""Multipart uploads: what each request of the family asks.

Decides parameters, which stored parts a Complete means, and the checksums of
the whole.  It does not know where uploads are kept.
Sources: API_CreateMultipartUpload, API_UploadPart, API_UploadPartCopy,
API_CompleteMultipartUpload, API_ListParts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sidegate.native.part_columns import PartColumns
from sidegate.s3.checksums import (
    ALGORITHMS,
    COMPOSITE,
    FULL_OBJECT,
    PartChecksum,
    default_type,
    upload_checksum,
)
from sidegate.s3.conditions import WriteConditions, parse_write_conditions
from sidegate.s3.documents import CompletedPart, CompletedParts, parse_complete
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.metadata import parse_metadata
from sidegate.s3.objects import ObjectMetadata
from sidegate.s3.parameters import parse_limit, parse_part_number, parse_upload_id
from sidegate.s3.ranges import parse_copy_range
from sidegate.s3.target import Target
from sidegate.s3.writing import CopySource, parse_copy_source

# Amazon S3 User Guide, "Amazon S3 multipart upload limits".
MINIMUM_PART_BYTES = 5 << 20
MAX_LISTED_PARTS = 1000


@dataclass(frozen=True, slots=True)
class CreateUploadRequest:
    """A CreateMultipartUpload; `algorithm` is a key of ALGORITHMS, or None."""

    metadata: ObjectMetadata
    algorithm: str | None
    checksum_type: str | None


@dataclass(frozen=True, slots=True)
class UploadPartRequest:
    """An UploadPart without its payload."""

    upload_id: str
    part_number: int


@dataclass(frozen=True, slots=True)
class CopyPartRequest:
    """An UploadPartCopy; `range` is the raw header, see `interval`."""

    upload_id: str
    part_number: int
    source: CopySource
    range: bytes | None

    def interval(self, source_size_bytes: int) -> tuple[int, int]:
        """Return (offset, end) in the source; raises S3Error InvalidArgument."""
        if self.range is None:
            return 0, source_size_bytes
        return parse_copy_range(self.range, source_size_bytes)


@dataclass(frozen=True, slots=True)
class CompleteUploadRequest:
    """A CompleteMultipartUpload; `checksums` and `size_bytes` speak of the whole object."""

    upload_id: str
    parts: CompletedParts
    conditions: WriteConditions | None
    checksums: tuple[tuple[str, str], ...] = ()
    checksum_type: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ListPartsRequest:
    """A ListParts: parts with numbers above `after_number`, `limit` at most."""

    upload_id: str
    after_number: int
    limit: int


class StoredPart(NamedTuple):
    """A part as it was uploaded; `checksums` as (algorithm, base64)."""

    number: int
    tag: str
    size_bytes: int
    modified_us: int
    checksums: tuple[tuple[str, str], ...] = ()


def parse_create_upload(target: Target, headers: Headers) -> CreateUploadRequest:
    """Read a CreateMultipartUpload.

    An algorithm we do not have is ignored.  Raises S3Error InvalidRequest for a
    type that the algorithm does not have, and as `parse_metadata`.
    """
    name = (headers.text(b"x-amz-checksum-algorithm") or "").strip().lower()
    algorithm = ALGORITHMS.get(name)
    kind = (headers.text(b"x-amz-checksum-type") or "").strip().upper() or None
    if kind not in (None, COMPOSITE, FULL_OBJECT):
        raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    if algorithm is not None:
        impossible = COMPOSITE if name == "crc64nvme" else None if algorithm.combine else FULL_OBJECT
        if kind is not None and kind == impossible:
            message = f"The {kind} checksum type cannot be used with the {name} checksum algorithm."
            raise S3Error("InvalidRequest", message)
        kind = kind or default_type(algorithm)
    return CreateUploadRequest(
        parse_metadata(headers), name if algorithm else None, kind if algorithm else None
    )


def parse_upload_part(target: Target, headers: Headers) -> UploadPartRequest:
    """Read an UploadPart; raises S3Error InvalidArgument, NoSuchUpload."""
    return UploadPartRequest(
        parse_upload_id(target.query), parse_part_number(target.query.get("partNumber", ""))
    )


def parse_copy_part(target: Target, headers: Headers) -> CopyPartRequest:
    """Read an UploadPartCopy; raises S3Error as `parse_copy_source`, InvalidArgument."""
    part = parse_upload_part(target, headers)
    source = parse_copy_source(headers)
    return CopyPartRequest(part.upload_id, part.part_number, source, headers.get(b"x-amz-copy-source-range"))


def parse_complete_upload(target: Target, headers: Headers, document: bytes) -> CompleteUploadRequest:
    """Read a CompleteMultipartUpload; raises S3Error as `parse_complete`.

    Its x-amz-checksum-* headers are the object's: decode the body with
    `ignore_checksums`.
    """
    size = headers.text(b"x-amz-mp-object-size")
    if size is not None and not (size.isascii() and size.isdigit() and len(size) < 20):
        raise S3Error("InvalidRequest", "Value for x-amz-mp-object-size header is invalid.")
    values = ((name, headers.text(f"x-amz-checksum-{name}".encode())) for name in ALGORITHMS)
    kind = (headers.text(b"x-amz-checksum-type") or "").strip().upper() or None
    return CompleteUploadRequest(
        parse_upload_id(target.query),
        parse_complete(document),
        parse_write_conditions(headers),
        tuple((name, value.strip()) for name, value in values if value),
        kind,
        None if size is None else int(size),
    )


def parse_abort_upload(target: Target, headers: Headers) -> str:
    """Return the id of the upload to abort; raises S3Error NoSuchUpload."""
    return parse_upload_id(target.query)


def parse_list_parts(target: Target, headers: Headers) -> ListPartsRequest:
    """Read a ListParts; raises S3Error InvalidArgument, NoSuchUpload."""
    return ListPartsRequest(
        parse_upload_id(target.query),
        parse_limit(target.query, "part-number-marker", MAX_PART_MARKER)
        if "part-number-marker" in target.query
        else 0,
        parse_limit(target.query, "max-parts", MAX_LISTED_PARTS),
    )


MAX_PART_MARKER = 2**31 - 1


def names_all(
    completed: CompletedParts,
    stored: PartColumns,
    checksums: Mapping[str, Sequence[str]],
    *,
    minimum_part_bytes: int = MINIMUM_PART_BYTES,
) -> bool:
    """Whether a Complete names all stored parts, as nearly all do, and nothing is wrong with it.

    Then `select_parts` would return all of them.  `checksums` are those that every stored
    part has, by algorithm.  False may also mean that it takes a closer look.
    """
    if completed.listed is not None or completed.names != stored.names:
        return False
    if completed.checksums is not None:
        algorithm, values = completed.checksums
        if algorithm not in checksums or "\n".join(checksums[algorithm]).encode() != values:
            return False
    return min(stored.sizes_bytes[:-1], default=minimum_part_bytes) >= minimum_part_bytes


def select_parts(
    completed: Sequence[CompletedPart],
    stored: Mapping[int, StoredPart],
    *,
    minimum_part_bytes: int = MINIMUM_PART_BYTES,
) -> list[StoredPart]:
    """Return the stored parts that a Complete names, in order.

    Sizes may differ and numbers may have gaps (trap 29).  Raises S3Error:
    InvalidPart for a missing part, another tag or another checksum;
    EntityTooSmall for a part below the minimum that is not the last.
    """
    chosen = []
    for part in completed:
        found = stored.get(part.number)
        if found is None or found.tag != part.tag or (part.checksums and not _checksums_agree(part, found)):
            raise S3Error("InvalidPart", fields={"PartNumber": str(part.number), "ETag": part.tag})
        chosen.append(found)
    for found in chosen[:-1]:
        if found.size_bytes < minimum_part_bytes:
            fields = {
                "ProposedSize": str(found.size_bytes),
                "MinSizeAllowed": str(minimum_part_bytes),
                "PartNumber": str(found.number),
            }
            raise S3Error("EntityTooSmall", fields=fields)
    return chosen


def object_checksums(
    request: CompleteUploadRequest,
    algorithm: str | None,
    checksum_type: str | None,
    sizes_bytes: Sequence[int],
    checksums: Mapping[str, Sequence[str]],
) -> tuple[tuple[str, str], ...]:
    """Return the checksums of the completed object, verified where the client sent them.

    `algorithm` and `checksum_type` are those of the upload's creation.  `checksums` are
    those that every part has, by algorithm; without one named at creation, CRCs are joined
    to full-object ones.  Raises S3Error: BadDigest for another checksum or type,
    InvalidRequest for another size.
    """
    total_bytes = sum(sizes_bytes)
    if request.size_bytes is not None and request.size_bytes != total_bytes:
        message = (
            f"The x-amz-mp-object-size {request.size_bytes} does not match what was uploaded: {total_bytes}."
        )
        raise S3Error("InvalidRequest", message)
    if request.checksum_type and checksum_type and request.checksum_type != checksum_type:
        raise S3Error("BadDigest", f"The upload's checksum type is {checksum_type}.")
    names = [algorithm] if algorithm else [name for name, known in ALGORITHMS.items() if known.combine]
    found = {}
    for name in names:
        if name not in checksums:
            continue
        parts = list(map(PartChecksum, checksums[name], sizes_bytes))
        value = upload_checksum(ALGORITHMS[name], checksum_type or FULL_OBJECT, parts)
        if value is not None:
            found[name] = value
    for name, sent in request.checksums:
        if name in found and not _same_checksum(sent, found[name]):
            fields = {"ExpectedDigest": sent, "CalculatedDigest": found[name]}
            raise S3Error("BadDigest", f"The {name.upper()} you specified did not match.", fields=fields)
    return tuple(found.items())


def _checksums_agree(part: CompletedPart, found: StoredPart) -> bool:
    """Whether what Complete says of a part is what was stored, where both know."""
    known = dict(found.checksums)
    return all(known.get(name, value) == value for name, value in part.checksums)


def _same_checksum(sent: str, computed: str) -> bool:
    # A composite value may be sent without its `-N`.
    return sent == computed or ("-" not in sent and computed.partition("-")[0] == sent)

"""Listings as XML: buckets, objects, uploads and parts.

Decides how a page is written.  It does not know how the page was collected.
Sources: API_ListBuckets, API_ListObjects, API_ListObjectsV2,
API_ListMultipartUploads, API_ListParts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sidegate.native import render_names, render_rows
from sidegate.s3.dates import format_iso_date
from sidegate.s3.escaping import Encoder, escape_text, select_encoder
from sidegate.s3.listing import ListQuery, Page, encode_token
from sidegate.s3.multipart import ListPartsRequest, StoredPart
from sidegate.s3.responses import OWNER, enclose_document, render_checksums, render_document
from sidegate.s3.upload_listing import UploadsPage, UploadsQuery

_OWNER = f"<Owner>{OWNER}</Owner>"

# Around key, date, tag and size.
_OBJECT = (
    b"<Contents><Key>",
    b"</Key><LastModified>",
    b"</LastModified><ETag>&quot;",
    b"&quot;</ETag><Size>",
    b"</Size><StorageClass>STANDARD</StorageClass></Contents>",
)
_OBJECT_WITH_OWNER = (
    *_OBJECT[:4],
    f"</Size>{_OWNER}<StorageClass>STANDARD</StorageClass></Contents>".encode(),
)
_COMMON_PREFIX = b"<CommonPrefixes><Prefix>", b"</Prefix></CommonPrefixes>"


def render_buckets(buckets: Iterable[tuple[str, int]]) -> bytes:
    """Return a ListAllMyBucketsResult of (name, creation time in microseconds)."""
    items = "".join(
        f"<Bucket><Name>{escape_text(name)}</Name><CreationDate>{format_iso_date(created_us)}</CreationDate></Bucket>"
        for name, created_us in buckets
    )
    return render_document("ListAllMyBucketsResult", f"{_OWNER}<Buckets>{items}</Buckets>")


def render_objects(bucket: str, query: ListQuery, page: Page) -> bytes:
    """Return the ListBucketResult of either version.

    Under encoding-type=url every name is percent-encoded and tokens are not.
    """
    encode = select_encoder(query.encode_url)
    parts = [f"<Name>{escape_text(bucket)}</Name><Prefix>{encode(query.prefix)}</Prefix>"]
    parts += (
        _version_1_fields(query, page, encode)
        if query.version == 1
        else _version_2_fields(query, page, encode)
    )
    parts.append(f"<MaxKeys>{query.max_keys}</MaxKeys>")
    parts += _common_fields(query.delimiter, query.encode_url, page.is_truncated, encode)
    texts = _OBJECT_WITH_OWNER if query.fetch_owner else _OBJECT
    pieces = [
        "".join(parts).encode(),
        render_rows(page.objects, texts, url=query.encode_url),
        render_names(page.common_prefixes, *_COMMON_PREFIX, url=query.encode_url),
    ]
    return enclose_document("ListBucketResult", pieces)


def render_uploads(bucket: str, query: UploadsQuery, page: UploadsPage) -> bytes:
    """Return a ListMultipartUploadsResult."""
    encode = select_encoder(query.encode_url)
    parts = [
        f"<Bucket>{escape_text(bucket)}</Bucket><KeyMarker>{encode(query.key_marker)}</KeyMarker>"
        f"<UploadIdMarker>{escape_text(query.upload_id_marker)}</UploadIdMarker>"
        f"<Prefix>{encode(query.prefix)}</Prefix><MaxUploads>{query.max_uploads}</MaxUploads>"
    ]
    if page.is_truncated:
        parts.append(f"<NextKeyMarker>{encode(page.next_key_marker)}</NextKeyMarker>")
        parts.append(f"<NextUploadIdMarker>{escape_text(page.next_upload_id_marker)}</NextUploadIdMarker>")
    parts += _common_fields(query.delimiter, query.encode_url, page.is_truncated, encode)
    parts += [
        f"<Upload><Key>{encode(upload.key)}</Key><UploadId>{escape_text(upload.upload_id)}</UploadId>"
        f"<Initiator>{OWNER}</Initiator>{_OWNER}<StorageClass>STANDARD</StorageClass>"
        f"<Initiated>{format_iso_date(upload.initiated_us)}</Initiated></Upload>"
        for upload in page.uploads
    ]
    parts += _common_prefixes(page.common_prefixes, encode)
    return render_document("ListMultipartUploadsResult", "".join(parts))


def render_parts(
    bucket: str,
    key: str,
    request: ListPartsRequest,
    parts: Sequence[StoredPart],
    algorithm: str | None = None,
    checksum_type: str | None = None,
) -> bytes:
    """Return a ListPartsResult; `parts` are all of the upload's, sorted by number."""
    following = [part for part in parts if part.number > request.after_number]
    shown = following[: request.limit]
    truncated = len(following) > len(shown) > 0
    next_marker = shown[-1].number if shown else 0
    fields = [
        f"<Bucket>{escape_text(bucket)}</Bucket><Key>{escape_text(key)}</Key>"
        f"<UploadId>{escape_text(request.upload_id)}</UploadId><Initiator>{OWNER}</Initiator>{_OWNER}"
        f"<StorageClass>STANDARD</StorageClass><PartNumberMarker>{request.after_number}</PartNumberMarker>"
        f"<NextPartNumberMarker>{next_marker}</NextPartNumberMarker><MaxParts>{request.limit}</MaxParts>"
        f"<IsTruncated>{str(truncated).lower()}</IsTruncated>"
    ]
    if algorithm is not None:
        fields.append(f"<ChecksumAlgorithm>{algorithm.upper()}</ChecksumAlgorithm>")
    if checksum_type is not None:
        fields.append(f"<ChecksumType>{checksum_type}</ChecksumType>")
    fields += [
        f"<Part><PartNumber>{part.number}</PartNumber><LastModified>{format_iso_date(part.modified_us)}"
        f"</LastModified><ETag>&quot;{part.tag}&quot;</ETag><Size>{part.size_bytes}</Size>"
        f"{render_checksums(part.checksums)}</Part>"
        for part in shown
    ]
    return render_document("ListPartsResult", "".join(fields))


def _version_1_fields(query: ListQuery, page: Page, encode: Encoder) -> list[str]:
    fields = [f"<Marker>{encode(query.marker)}</Marker>"]
    # API_ListObjects: "This element is returned only if you have the delimiter request parameter specified."
    if page.is_truncated and query.delimiter and page.last is not None:
        fields.append(f"<NextMarker>{encode(page.last.decode())}</NextMarker>")
    return fields


def _version_2_fields(query: ListQuery, page: Page, encode: Encoder) -> list[str]:
    fields = [f"<KeyCount>{page.objects.row_count + len(page.common_prefixes)}</KeyCount>"]
    if query.start_after is not None:
        fields.append(f"<StartAfter>{encode(query.start_after)}</StartAfter>")
    if query.token is not None:
        fields.append(f"<ContinuationToken>{escape_text(query.token)}</ContinuationToken>")
    if page.is_truncated and page.last is not None:
        fields.append(f"<NextContinuationToken>{encode_token(page.last)}</NextContinuationToken>")
    return fields


def _common_fields(delimiter: str, url: bool, truncated: bool, encode: Encoder) -> list[str]:
    fields = [f"<IsTruncated>{str(truncated).lower()}</IsTruncated>"]
    if delimiter:
        fields.append(f"<Delimiter>{encode(delimiter)}</Delimiter>")
    if url:
        fields.append("<EncodingType>url</EncodingType>")
    return fields


def _common_prefixes(prefixes: Iterable[str], encode: Encoder) -> list[str]:
    return [f"<CommonPrefixes><Prefix>{encode(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes]

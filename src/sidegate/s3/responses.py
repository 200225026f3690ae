"""Answers in XML other than listings.

Decides how each result is written.  It does not know how it came about.
Sources: the "Response Syntax" of each operation in the Amazon S3 API Reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sidegate.s3.checksums import ALGORITHMS, COMPOSITE, FULL_OBJECT
from sidegate.s3.dates import format_iso_date
from sidegate.s3.errors import S3Error
from sidegate.s3.escaping import escape_text, replace_forbidden_characters

CONTENT_TYPE: Final = b"application/xml"
NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
OWNER: Final = "<ID>sidegate</ID><DisplayName>sidegate</DisplayName>"
"""There are no accounts: everything has one owner."""

DEFAULT_REGION: Final = "us-east-1"

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def render_document(root: str, content: str) -> bytes:
    """Return a document in S3's namespace; `content` is XML already."""
    return enclose_document(root, (content.encode(),))


def enclose_document(root: str, pieces: Iterable[bytes]) -> bytes:
    """Return a document in S3's namespace; `pieces` are XML already, in UTF-8."""
    start, end = f'{_DECLARATION}<{root} xmlns="{NAMESPACE}">', f"</{root}>"
    return b"".join((start.encode(), *pieces, end.encode()))


def render_location(region: str) -> bytes:
    """Return a LocationConstraint, empty for us-east-1 (API_GetBucketLocation)."""
    return render_document("LocationConstraint", "" if region == DEFAULT_REGION else escape_text(region))


def render_create_upload(bucket: str, key: str, upload_id: str) -> bytes:
    """Return an InitiateMultipartUploadResult."""
    content = f"{_bucket_and_key(bucket, key)}<UploadId>{escape_text(upload_id)}</UploadId>"
    return render_document("InitiateMultipartUploadResult", content)


def render_complete_upload(
    location: str, bucket: str, key: str, tag: str, checksums: Sequence[tuple[str, str]] = ()
) -> bytes:
    """Return a CompleteMultipartUploadResult."""
    content = f"<Location>{escape_text(location)}</Location>{_bucket_and_key(bucket, key)}{_etag(tag)}"
    return render_document(
        "CompleteMultipartUploadResult", content + render_checksums(checksums, with_type=True)
    )


def render_copy_object(tag: str, modified_us: int, checksums: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return a CopyObjectResult."""
    content = f"<LastModified>{format_iso_date(modified_us)}</LastModified>{_etag(tag)}"
    return render_document("CopyObjectResult", content + render_checksums(checksums, with_type=True))


def render_copy_part(tag: str, modified_us: int, checksums: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return a CopyPartResult."""
    content = f"<LastModified>{format_iso_date(modified_us)}</LastModified>{_etag(tag)}"
    return render_document("CopyPartResult", content + render_checksums(checksums))


def render_delete(deleted: Iterable[str], refused: Iterable[tuple[str, S3Error]], *, quiet: bool) -> bytes:
    """Return a DeleteResult; a quiet one names only what was refused."""
    parts = [] if quiet else [f"<Deleted><Key>{_text(key)}</Key></Deleted>" for key in deleted]
    parts += [
        f"<Error><Key>{_text(key)}</Key><Code>{error.code}</Code><Message>{_text(str(error))}</Message></Error>"
        for key, error in refused
    ]
    return render_document("DeleteResult", "".join(parts))


def render_checksums(checksums: Sequence[tuple[str, str]], *, with_type: bool = False) -> str:
    """Return Checksum* elements of (algorithm, base64), with their type if asked."""
    elements = [
        f"<{ALGORITHMS[name].xml_name}>{escape_text(value)}</{ALGORITHMS[name].xml_name}>"
        for name, value in checksums
        if name in ALGORITHMS
    ]
    if elements and with_type:
        kind = COMPOSITE if any("-" in value for _, value in checksums) else FULL_OBJECT
        elements.append(f"<ChecksumType>{kind}</ChecksumType>")
    return "".join(elements)


def _bucket_and_key(bucket: str, key: str) -> str:
    return f"<Bucket>{escape_text(bucket)}</Bucket><Key>{escape_text(key)}</Key>"


def _etag(tag: str) -> str:
    return f"<ETag>&quot;{escape_text(tag)}&quot;</ETag>"


def _text(value: str) -> str:
    return escape_text(replace_forbidden_characters(value))

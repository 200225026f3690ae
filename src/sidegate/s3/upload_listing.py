"""Listings of multipart uploads: which uploads one page holds.

Decides markers and roll-up by delimiter.  Uploads are few, so the source is
simply all of them.  Source: API_ListMultipartUploads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sidegate.s3.listing import common_prefix, parse_encoding
from sidegate.s3.parameters import parse_limit
from sidegate.s3.target import Target

MAX_UPLOADS = 1000


@dataclass(frozen=True, slots=True)
class UploadEntry:
    """One open upload; `initiated_us` is when it was created."""

    key: str
    upload_id: str
    initiated_us: int


@dataclass(frozen=True, slots=True)
class UploadsQuery:
    """A ListMultipartUploads request."""

    prefix: str = ""
    delimiter: str = ""
    max_uploads: int = MAX_UPLOADS
    key_marker: str = ""
    upload_id_marker: str = ""
    encode_url: bool = False


@dataclass(frozen=True, slots=True)
class UploadsPage:
    """One page of uploads; the markers are "" unless it is truncated."""

    uploads: tuple[UploadEntry, ...]
    common_prefixes: tuple[str, ...]
    is_truncated: bool
    next_key_marker: str = ""
    next_upload_id_marker: str = ""


def parse_list_uploads(target: Target) -> UploadsQuery:
    """Read a ListMultipartUploads; raises S3Error InvalidArgument."""
    query = target.query
    key_marker = query.get("key-marker", "")
    return UploadsQuery(
        query.get("prefix", ""),
        query.get("delimiter", ""),
        parse_limit(query, "max-uploads", MAX_UPLOADS),
        key_marker,
        # "If key-marker is not specified, the upload-id-marker parameter is ignored."
        query.get("upload-id-marker", "") if key_marker else "",
        parse_encoding(query),
    )


def collect_uploads(query: UploadsQuery, uploads: Iterable[UploadEntry]) -> UploadsPage:
    """Return the page that a query asks for, sorted by key, then upload id.

    Without an upload-id-marker only greater keys follow the key marker; with
    one, also that key's uploads with greater ids.
    """
    if query.max_uploads == 0:
        return UploadsPage((), (), False)
    chosen: list[UploadEntry] = []
    prefixes: list[str] = []
    last = ("", "")
    for upload in sorted(uploads, key=lambda upload: (upload.key, upload.upload_id)):
        if not upload.key.startswith(query.prefix):
            continue
        rolled_up = common_prefix(upload.key, query.prefix, query.delimiter)
        if prefixes and rolled_up == prefixes[-1]:
            continue
        name = (upload.key, upload.upload_id) if rolled_up is None else (rolled_up, "")
        if not _is_after(name, query):
            continue
        if len(chosen) + len(prefixes) == query.max_uploads:
            return UploadsPage(tuple(chosen), tuple(prefixes), True, *last)
        last = name
        if rolled_up is None:
            chosen.append(upload)
        else:
            prefixes.append(rolled_up)
    return UploadsPage(tuple(chosen), tuple(prefixes), False)


def _is_after(name: tuple[str, str], query: UploadsQuery) -> bool:
    key, upload_id = name
    if key == query.key_marker and query.upload_id_marker:
        return upload_id > query.upload_id_marker
    return key > query.key_marker

"""The multipart family: create, parts, complete, abort, list.

A part is stored when it arrives; completing joins lists, whatever the size.
Completing again after the answer was lost gives the same answer (clients study,
headline 5).
"""

from __future__ import annotations

from typing import Any

from blake3 import blake3

from sidegate.errors import NotFound, SidegateError
from sidegate.gateway.context import Context, S3Request, find_writable, read_document, xml_response
from sidegate.gateway.objects import attributes_of, checksum_columns, checksums_of
from sidegate.gateway.receiving import Received, begin_upload, receive
from sidegate.gateway.writes import expectation, find_copy_source
from sidegate.http.message import Response
from sidegate.native import collect_parts
from sidegate.native.part_columns import PartColumns
from sidegate.pfs.files import FileRecord, decode_record
from sidegate.pfs.staged_writes import StagedFile
from sidegate.pfs.uploads import Part, Upload, Uploads, finish_upload, inline_count
from sidegate.pfs.views import WritableView
from sidegate.s3.errors import S3Error
from sidegate.s3.etag import format_etag
from sidegate.s3.listing_pages import render_parts, render_uploads
from sidegate.s3.multipart import (
    CompleteUploadRequest,
    StoredPart,
    names_all,
    object_checksums,
    parse_abort_upload,
    parse_complete_upload,
    parse_copy_part,
    parse_create_upload,
    parse_list_parts,
    parse_upload_part,
    select_parts,
)
from sidegate.s3.objects import ObjectMetadata
from sidegate.s3.responses import render_complete_upload, render_copy_part, render_create_upload
from sidegate.s3.upload_listing import UploadEntry, collect_uploads, parse_list_uploads


async def create_upload(context: Context, request: S3Request) -> Response:
    """Begin an upload; raises S3Error."""
    create = parse_create_upload(request.target, request.headers)
    metadata = create.metadata
    details = {
        "content_type": metadata.content_type,
        "headers": metadata.headers,
        "user": metadata.user,
        "algorithm": create.algorithm,
        "checksum_type": create.checksum_type,
    }

    view = await find_writable(context, request.bucket)
    upload = await context.writes.submit(context.store.uploads.creation(view.scope, request.key, details))
    headers = _algorithm_headers(create.algorithm, create.checksum_type)
    return xml_response(render_create_upload(request.bucket, request.key, upload.id), headers)


async def upload_part(context: Context, request: S3Request) -> Response:
    """Store one part; raises S3Error."""
    part = parse_upload_part(request.target, request.headers)
    upload = await _find_for_part(context, request, part.upload_id)
    algorithm = upload.details["algorithm"]

    def describe(received: Received) -> tuple[FileRecord, Received]:
        checksums = received.digests.computed if algorithm else received.digests.checksums
        record = context.store.record(
            received.extents,
            attributes=attributes_of(ObjectMetadata(), checksums),
            tag=received.digests.md5_hex if context.md5_tags else None,
            inline_count=inline_count(part.part_number),
        )
        return record, received

    wanted = (algorithm,) if algorithm else ()
    body = begin_upload(context, request, checksums=wanted, habit=upload.habit)
    record, received = await receive(context, body, describe)
    try:
        await context.writes.submit(context.store.uploads.part(upload.id, part.part_number, record))
    except NotFound:
        raise _no_such_upload(upload.id) from None
    return Response(200, [(b"etag", format_etag(record.tag)), *received.digests.echo_headers()])


async def copy_part(context: Context, request: S3Request) -> Response:
    """Store a part made of an object's range, by reference; raises S3Error."""
    part = parse_copy_part(request.target, request.headers)

    def work() -> FileRecord:
        upload = _find_open(context, request, part.upload_id)
        source = find_copy_source(context, part.source)
        offset, end = part.interval(source.size_bytes)
        record = context.store.sliced_record(source, offset, end, inline_count=inline_count(part.part_number))
        _put_part(context, upload.id, part.part_number, record)
        return record

    record = await context.run(work)
    return xml_response(render_copy_part(record.tag, record.modified_us))


async def complete_upload(context: Context, request: S3Request) -> Response:
    """Join the named parts into the object; raises S3Error."""
    view = await find_writable(context, request.bucket)
    document = await read_document(request, ignore_checksums=True)
    # One trip: this thread commits for whoever else is waiting, or another does so for it.
    result = await context.run(lambda: _complete(context, request, view, document))
    location = f"/{request.bucket}/{request.key}"
    checksums = [(name, value) for name, value in result["checksums"]]
    return xml_response(
        render_complete_upload(location, request.bucket, request.key, result["tag"], checksums)
    )


async def abort_upload(context: Context, request: S3Request) -> Response:
    """Forget an upload and its parts; raises S3Error NoSuchUpload."""
    upload_id = parse_abort_upload(request.target, request.headers)

    def work() -> None:
        context.bucket(request.bucket).writable()
        context.store.uploads.abort(_find_open(context, request, upload_id).id)

    await context.run(work)
    return Response(204)


async def list_parts(context: Context, request: S3Request) -> Response:
    """List an upload's parts; raises S3Error NoSuchUpload."""
    listing = parse_list_parts(request.target, request.headers)

    def work() -> tuple[Upload, list[Part]]:
        scope = context.bucket(request.bucket).upload_scope
        upload = _require_open(_find_in(context, request, listing.upload_id, scope))
        return upload, context.store.uploads.parts(upload.id)

    upload, parts = await context.run(work)
    algorithm, kind = upload.details["algorithm"], upload.details["checksum_type"]
    stored = [_stored_part(*part) for part in parts]
    return xml_response(render_parts(request.bucket, request.key, listing, stored, algorithm, kind))


async def list_uploads(context: Context, request: S3Request) -> Response:
    """List the bucket's open uploads; a read-only bucket has none."""
    query = parse_list_uploads(request.target)

    def work() -> list[UploadEntry]:
        scope = context.bucket(request.bucket).upload_scope
        uploads = context.store.uploads.unfinished(scope, query.prefix) if scope is not None else ()
        return [UploadEntry(upload.path, upload.id, upload.created_us) for upload in uploads]

    page = collect_uploads(query, await context.run(work))
    return xml_response(render_uploads(request.bucket, query, page))


def _complete(context: Context, request: S3Request, view: WritableView, document: bytes) -> dict[str, Any]:
    """Return the answer of this completion, or of the one that was first."""
    complete = parse_complete_upload(request.target, request.headers, document)
    # One that is remembered and over has no parts: what then fails is looked into below.
    upload = _recall(context, request, complete.upload_id, view.scope) or _find_in(
        context, request, complete.upload_id, view.scope
    )
    if upload.result is not None:
        return _same_answer(upload.result, complete)
    try:
        write, result = _joined(context, request, view, complete, upload)
        context.store.database.carry_out(write)
        context.store.uploads.forget(upload.id)
        return result
    except SidegateError:
        # A client that lost patience asks again while its first request still works.
        first = _find_in(context, request, complete.upload_id, view.scope).result
        if first is None:
            raise
        return _same_answer(first, complete)


def _same_answer(result: dict[str, Any], complete: CompleteUploadRequest) -> dict[str, Any]:
    """Return the first answer if it was to the same parts; raises S3Error NoSuchUpload."""
    if result["parts"] != _parts_digest(complete):
        raise _no_such_upload(complete.upload_id)
    return result


def _parts_digest(complete: CompleteUploadRequest) -> str:
    """Return what names the parts of a completion, in few bytes for however many."""
    return blake3(complete.parts.names).hexdigest(length=16)


def _joined(
    context: Context, request: S3Request, view: WritableView, complete: CompleteUploadRequest, upload: Upload
) -> tuple[StagedFile, dict[str, Any]]:
    parts = _chosen(complete, context.store.uploads, upload.id)
    details = upload.details
    checksums = object_checksums(
        complete,
        details["algorithm"],
        details["checksum_type"],
        parts.sizes_bytes,
        checksum_columns(parts.attributes),
    )
    metadata = ObjectMetadata(details["content_type"], _pairs(details["headers"]), _pairs(details["user"]))
    record = context.store.joined_record(
        parts, attributes=attributes_of(metadata, checksums, parts.sizes_bytes)
    )
    result = {
        "tag": record.tag,
        "checksums": [list(item) for item in checksums],
        "parts": _parts_digest(complete),
    }
    write = StagedFile(
        view,
        request.key,
        record,
        expectation(complete.conditions),
        lambda connection: finish_upload(connection, upload.id, result),
    )
    return write, result


def _chosen(complete: CompleteUploadRequest, uploads: Uploads, upload_id: str) -> PartColumns:
    """Return those of the stored parts that are named; raises S3Error."""
    remembered = uploads.remembered_columns(upload_id)
    if remembered is not None and names_all(
        complete.parts, remembered, checksum_columns(remembered.attributes)
    ):
        return remembered
    rows = uploads.part_rows(upload_id)
    stored = collect_parts(rows)
    if names_all(complete.parts, stored, checksum_columns(stored.attributes)):
        return stored
    by_number = {number: _stored_part(number, decode_record(data)) for number, data in rows}
    chosen = {part.number for part in select_parts(complete.parts.parts(), by_number)}
    return collect_parts([row for row in rows if row[0] in chosen])


def _find(context: Context, request: S3Request, upload_id: str) -> Upload:
    """Return an upload of this bucket, which is writable, and key, completed or not."""
    return _find_in(context, request, upload_id, context.bucket(request.bucket).writable().scope)


def _find_in(context: Context, request: S3Request, upload_id: str, scope: str | None) -> Upload:
    try:
        upload = context.store.uploads.get(upload_id)
    except NotFound:
        raise _no_such_upload(upload_id) from None
    if not _is_meant(upload, request, scope):
        raise _no_such_upload(upload_id)
    return upload


def _is_meant(upload: Upload, request: S3Request, scope: str | None) -> bool:
    """Whether an upload is of this bucket and key: an id says nothing of them."""
    return upload.scope == scope and upload.path == request.key


def _find_open(context: Context, request: S3Request, upload_id: str) -> Upload:
    return _require_open(_find(context, request, upload_id))


async def _find_for_part(context: Context, request: S3Request, upload_id: str) -> Upload:
    """Return an open upload; one that is remembered may be over, which shows when the part is added."""
    bucket = context.namespace.peek(request.bucket)
    upload = _recall(context, request, upload_id, bucket.writable().scope) if bucket is not None else None
    if upload is not None:
        return upload
    return await context.run(lambda: _find_open(context, request, upload_id))


def _recall(context: Context, request: S3Request, upload_id: str, scope: str) -> Upload | None:
    """Return an upload of this bucket and key that was open when last seen, if it is remembered."""
    upload = context.store.uploads.recall(upload_id)
    return upload if upload is not None and _is_meant(upload, request, scope) else None


def _require_open(upload: Upload) -> Upload:
    if upload.result is not None:
        raise _no_such_upload(upload.id)
    return upload


def _put_part(context: Context, upload_id: str, number: int, record: FileRecord) -> None:
    try:
        context.store.uploads.put_part(upload_id, number, record)
    except NotFound:
        raise _no_such_upload(upload_id) from None


def _stored_part(number: int, record: FileRecord) -> StoredPart:
    checksums = checksums_of(record) if record.attributes else ()
    return StoredPart(number, record.tag, record.size_bytes, record.modified_us, checksums)


def _algorithm_headers(algorithm: str | None, kind: str | None) -> tuple[tuple[bytes, bytes], ...]:
    if algorithm is None or kind is None:
        return ()
    return (
        (b"x-amz-checksum-algorithm", algorithm.upper().encode()),
        (b"x-amz-checksum-type", kind.encode()),
    )


def _pairs(items: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in items)


def _no_such_upload(upload_id: str) -> S3Error:
    return S3Error("NoSuchUpload", fields={"UploadId": upload_id})

"""PutObject, CopyObject, DeleteObject and DeleteObjects.

Whether a bucket may be written is decided before the body is read, so a refused
upload costs none of it; conditions are decided in the transaction that makes
the write visible.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from sidegate.errors import SidegateError
from sidegate.gateway.context import Context, S3Request, find_writable, read_document, xml_response
from sidegate.gateway.errors import as_s3_error
from sidegate.gateway.objects import attributes_of, checksums_of, part_sizes_of
from sidegate.gateway.receiving import Received, Upload, begin_upload, receive
from sidegate.gateway.small_bodies import is_small, read_whole, verify
from sidegate.http.message import Response
from sidegate.pfs.files import FileRecord
from sidegate.pfs.staged_writes import (
    Expectation,
    SmallFile,
    StagedCopy,
    StagedFile,
    StagedRemoval,
    StagedWrite,
)
from sidegate.pfs.views import WritableView
from sidegate.s3.conditions import WriteConditions, check_copy_conditions, parse_delete_conditions
from sidegate.s3.documents import DeleteDocument, parse_delete
from sidegate.s3.errors import S3Error
from sidegate.s3.etag import format_etag
from sidegate.s3.names import check_key
from sidegate.s3.objects import ObjectMetadata
from sidegate.s3.payload import PayloadDigests
from sidegate.s3.responses import render_copy_object, render_delete
from sidegate.s3.writing import CopySource, parse_copy, parse_put


async def put_object(context: Context, request: S3Request) -> Response:
    """Store one object; raises S3Error."""
    put = parse_put(request.target, request.headers)
    view = await find_writable(context, request.bucket)
    upload = begin_upload(context, request)
    target = PutTarget(view, request.key, put.metadata, expectation(put.conditions))
    whole = request.body.take_whole() if is_small(request.body.length) else None
    if whole is not None:
        tag, digests = await _store_small(context, upload, target, whole)
    else:
        tag, digests = await receive_object(context, upload, target)
    return Response(200, [(b"etag", format_etag(tag)), *digests.echo_headers()])


class PutTarget(NamedTuple):
    """Where an upload goes, what is kept with it, and on what condition."""

    view: WritableView
    key: str
    metadata: ObjectMetadata
    expect: Expectation | None = None


async def receive_object(context: Context, upload: Upload, target: PutTarget) -> tuple[str, PayloadDigests]:
    """Store an upload that is still arriving; return its tag.  Raises S3Error, BodyTruncated."""
    # A client may be slow, and its upload holds the quiet time.
    with context.activity.writing(target.view.scope):
        if is_small(upload.body.length):
            return await _store_small(context, upload, target, await read_whole(upload.body))
        return await _store_large(context, upload, target)


async def _store_small(
    context: Context, upload: Upload, target: PutTarget, whole: bytes
) -> tuple[str, PayloadDigests]:
    plain, digests = verify(upload, whole)
    write = SmallFile(
        target.view,
        target.key,
        plain,
        chunks=context.store.chunks,
        attributes=attributes_of(target.metadata, digests.checksums),
        tag=digests.md5_hex if context.md5_tags else None,
        expect=target.expect,
    )
    return await context.writes.submit(write), digests


async def _store_large(context: Context, upload: Upload, target: PutTarget) -> tuple[str, PayloadDigests]:
    def describe(received: Received) -> tuple[FileRecord, PayloadDigests]:
        digests = received.digests
        record = context.store.record(
            received.extents,
            attributes=attributes_of(target.metadata, digests.checksums),
            tag=digests.md5_hex if context.md5_tags else None,
        )
        return record, digests

    record, digests = await receive(context, upload, describe)
    await context.writes.submit(StagedFile(target.view, target.key, record, target.expect))
    return record.tag, digests


async def copy_object(context: Context, request: S3Request) -> Response:
    """Copy by reference: no byte is read or written; raises S3Error."""
    copy = parse_copy(request.target, request.headers)
    view = await find_writable(context, request.bucket)

    def make(found: FileRecord | None) -> FileRecord:
        source = check_copy_source(copy.source, found)
        attributes = source.attributes
        if copy.metadata is not None:
            attributes = attributes_of(copy.metadata, checksums_of(source), part_sizes_of(source))
        return replace(source, modified_us=context.store.clock(), attributes=attributes)

    expect = expectation(copy.conditions)
    known = context.namespace.peek(copy.source.bucket)
    if known is not None and known.upload_scope == view.scope:
        write: StagedWrite[FileRecord] = StagedCopy(view, request.key, copy.source.key, make, expect)
    else:
        record = await context.run(lambda: make(look_up_source(context, copy.source)))
        write = StagedFile(view, request.key, record, expect)
    record = await context.writes.submit(write)
    return xml_response(render_copy_object(record.tag, record.modified_us, checksums_of(record)))


def find_copy_source(context: Context, source: CopySource) -> FileRecord:
    """Return the file that a copy reads; raises S3Error.

    Copying within `out` is a rename and shows no data, so it needs no right to
    read.
    """
    return check_copy_source(source, look_up_source(context, source))


def look_up_source(context: Context, source: CopySource) -> FileRecord | None:
    """Return what a copy would read, None where nothing is."""
    return context.bucket(source.bucket).files.get(source.key)


def check_copy_source(source: CopySource, record: FileRecord | None) -> FileRecord:
    """Return the record if there is one that the copy's conditions allow; raises S3Error."""
    if record is None:
        raise S3Error("NoSuchKey", fields={"Key": source.key})
    check_copy_conditions(source.conditions, record.tag, record.modified_us)
    return record


async def delete_object(context: Context, request: S3Request) -> Response:
    """Remove one object; one that is not there is fine where nothing is expected of it (API_DeleteObject)."""
    expect = expectation(parse_delete_conditions(request.headers))
    view = await find_writable(context, request.bucket)
    for _, error in await context.writes.submit(StagedRemoval(view, [(request.key, expect)])):
        raise error
    return Response(204)


async def delete_objects(context: Context, request: S3Request) -> Response:
    """Remove up to 1000 objects; refusals are told per key (API_DeleteObjects)."""
    view = await find_writable(context, request.bucket)
    document = parse_delete(await read_document(request))
    refused = _refusals(document)
    refused_keys = {key for key, _ in refused}
    wanted = [
        (entry.key, expectation(entry.conditions)) for entry in document.keys if entry.key not in refused_keys
    ]
    failed = await context.writes.submit(StagedRemoval(view, wanted))
    refused += [(key, as_s3_error(error)) for key, error in failed]
    refused_keys = {key for key, _ in refused}
    deleted = [key for key, _ in wanted if key not in refused_keys]
    return xml_response(render_delete(deleted, refused, quiet=document.quiet))


def _refusals(document: DeleteDocument) -> list[tuple[str, S3Error]]:
    refused = []
    for entry in document.keys:
        if entry.refusal is not None:
            refused.append((entry.key, entry.refusal))
            continue
        try:
            check_key(entry.key)
        except SidegateError as error:
            refused.append((entry.key, as_s3_error(error)))
    return refused


def expectation(conditions: WriteConditions | None) -> Expectation | None:
    """Return the conditions of a write as a check on what is there."""
    if conditions is None:
        return None
    return lambda current: conditions.check(current.tag if current is not None else None)

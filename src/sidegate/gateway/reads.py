"""GetObject, HeadObject and GetObjectAttributes.

Committed objects that are in memory are answered at once; everything else is
looked up in a thread.  Raw chunks leave as places in pack files, compressed
ones are decompressed in a thread, one ahead of the network at most.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidegate.gateway.buckets import Bucket
from sidegate.gateway.context import Context, S3Request, xml_response
from sidegate.gateway.objects import describe
from sidegate.gateway.outflow import Outflow
from sidegate.gateway.resolved import ResolvedObject, resolve
from sidegate.http.message import FileSegment, Response, Segment
from sidegate.pfs.layout import RawSlice, Slice
from sidegate.s3.attributes import parse_attributes, render_attributes
from sidegate.s3.errors import S3Error
from sidegate.s3.operations import Operation
from sidegate.s3.reading import answer_read, parse_read

SMALL_BYTES = 32 << 10
"""Up to here a raw body is read and sent with the head in one write: as fast as
sendfile at 32 KiB, a third slower at 64 KiB (measured, docs/performance.md)."""


def answer_from_memory(context: Context, request: S3Request) -> Response | None:
    """Answer a read whose bucket and object are in memory, else return None."""
    bucket = context.namespace.peek(request.bucket)
    resolved = bucket.recall(context.resolved, request.key) if bucket is not None else None
    return _respond(context, request, resolved) if resolved is not None else None


async def read_object(context: Context, request: S3Request) -> Response:
    """Answer GetObject or HeadObject; raises S3Error."""
    resolved = await context.run(lambda: find_object(context, request))
    return _respond(context, request, resolved)


async def get_attributes(context: Context, request: S3Request) -> Response:
    """Answer GetObjectAttributes: metadata only, so also for a write-only bucket."""
    wanted = parse_attributes(request.target, request.headers)

    def find() -> ResolvedObject:
        bucket = context.bucket(request.bucket)
        return _find(context, bucket, request.key, data=False)

    description = (await context.run(find)).description
    return xml_response(render_attributes(wanted, description), description.validators[1:])


def find_object(context: Context, request: S3Request) -> ResolvedObject:
    """Return the object of a read; raises S3Error NoSuchBucket, NoSuchKey, AccessDenied."""
    bucket = context.bucket(request.bucket)
    data = request.operation is Operation.GET_OBJECT
    resolved = _find(context, bucket, request.key, data=data)
    if data:
        bucket.check_read(request.key)
    return resolved


def _find(context: Context, bucket: Bucket, key: str, *, data: bool) -> ResolvedObject:
    found = bucket.find(key)
    if found is None:
        raise S3Error("NoSuchKey", fields={"Key": key})
    record, source = found
    if source is None and not data:
        return ResolvedObject(
            record, describe(record), None
        )  # kept nowhere: where its chunks lie is not asked
    resolved = resolve(context.store, record)
    if source is not None:
        context.resolved.put(source, key, resolved)
    return resolved


def _respond(context: Context, request: S3Request, resolved: ResolvedObject) -> Response:
    answer = answer_read(parse_read(request.target, request.headers), resolved.description)
    length = answer.end - answer.offset
    block = answer.described.header_block if answer.described is not None else b""
    response = Response(answer.status, answer.more, raw_headers=block)
    if request.operation is Operation.HEAD_OBJECT:
        response.length = length
    elif answer.status != 304:
        _attach_body(context, response, resolved, answer.offset, answer.end)
    return response


def _attach_body(
    context: Context, response: Response, resolved: ResolvedObject, offset: int, end: int
) -> None:
    layout = resolved.layout
    length = end - offset
    if layout is not None and layout.raw and length <= SMALL_BYTES:
        response.body = layout.read_raw(offset, end)
        return
    response.length = length
    if layout is None:
        slices = context.store.slices(resolved.record, offset, end)
        response.segments = Outflow(context, slices, blocking=True).segments()
    elif layout.raw:
        response.segments = raw_segments(layout.slices(offset, end))
    else:
        response.segments = Outflow(context, layout.slices(offset, end), blocking=False).segments()


def raw_segments(slices: Iterator[Slice]) -> Iterator[Segment]:
    """Yield raw slices as file segments; the slice keeps its file open meanwhile."""
    for piece in slices:
        if isinstance(piece, RawSlice):
            yield FileSegment(piece.pack.fd, piece.offset, piece.length)
        else:
            yield piece.read()

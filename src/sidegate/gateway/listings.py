"""ListBuckets, ListObjects and ListObjectsV2."""

from __future__ import annotations

from collections.abc import Iterator

from sidegate.gateway.context import Context, S3Request, xml_response
from sidegate.http.message import Response
from sidegate.pfs.files import decode_summary
from sidegate.pfs.views import FileView
from sidegate.s3.listing import Entry, Source, collect_page, parse_list
from sidegate.s3.listing_pages import render_buckets, render_objects


async def list_buckets(context: Context, request: S3Request) -> Response:
    """Answer ListBuckets, sorted by name."""
    return xml_response(render_buckets(await context.run(context.namespace.list)))


async def list_objects(context: Context, request: S3Request) -> Response:
    """Answer either version of ListObjects; raises S3Error."""
    query = parse_list(request.operation, request.target)

    def work() -> bytes:
        files = context.namespace.get(request.bucket).files
        return render_objects(request.bucket, query, collect_page(query, entries_of(files)))

    return xml_response(await context.run(work))


def entries_of(files: FileView) -> Source[Entry]:
    """Return a bucket's files as a seekable source of entries."""

    def entries_after(after: str, *, inclusive: bool) -> Iterator[Entry]:
        for key, data in files.rows(after):
            path = key.decode()
            if inclusive or path != after:
                yield Entry(path, *decode_summary(data))

    return entries_after

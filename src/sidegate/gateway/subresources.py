"""The small operations: bucket heads and locations, ACLs, policies, tags.

There are no ACLs, policies, tags or versions here; each question has the answer
that a bucket without them gives (clients study, section 8).
"""

from __future__ import annotations

from sidegate.gateway.context import Context, S3Request, read_document, xml_response
from sidegate.http.message import Response
from sidegate.s3.documents import check_document
from sidegate.s3.errors import S3Error
from sidegate.s3.responses import CONTENT_TYPE, DEFAULT_REGION, render_location
from sidegate.s3.subresources import answer_subresource


async def head_bucket(context: Context, request: S3Request) -> Response:
    """Answer whether the bucket exists."""
    await context.run(lambda: context.bucket(request.bucket))
    return Response(200, [(b"x-amz-bucket-region", DEFAULT_REGION.encode())])


async def get_location(context: Context, request: S3Request) -> Response:
    """Answer GetBucketLocation: every bucket is in the same region."""
    await context.run(lambda: context.bucket(request.bucket))
    return xml_response(render_location(DEFAULT_REGION))


async def create_bucket(context: Context, request: S3Request) -> Response:
    """Make a bucket where the namespace allows it; its configuration is ignored."""
    check_document(await read_document(request))
    await context.run(lambda: context.namespace.create(request.bucket))
    return Response(200, [(b"location", b"/" + request.bucket.encode())])


async def delete_bucket(context: Context, request: S3Request) -> Response:
    """Remove a bucket where the namespace allows it."""
    await context.run(lambda: context.namespace.delete(request.bucket))
    return Response(204)


async def list_versions(context: Context, request: S3Request) -> Response:
    """Refuse ListObjectVersions: versions are commits, not object versions."""
    await context.run(lambda: context.bucket(request.bucket))
    raise S3Error(
        "NotImplemented",
        "Object versions are not listed: each version of a bucket is a commit.",
        remedy="read a commit through the bucket COMMIT.BRANCH.REPO of `sidegate serve`",
    )


async def answer(context: Context, request: S3Request) -> Response:
    """Answer a sub-resource that is the same for every bucket or object."""

    def check_existence() -> None:
        bucket = context.bucket(request.bucket)
        if request.method != "GET":
            bucket.writable()
        if request.target.key is not None and bucket.files.get(request.key) is None:
            raise S3Error("NoSuchKey", fields={"Key": request.key})

    await context.run(check_existence)
    if request.method == "PUT":
        check_document(await read_document(request))
    status, document = answer_subresource(request.operation)
    return Response(status, [(b"content-type", CONTENT_TYPE)] if document else [], document)

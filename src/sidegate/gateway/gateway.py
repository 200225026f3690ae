"""The gateway: an HTTP handler that speaks S3 over a namespace of buckets.

Understands a request, carries it out through the operation table, and turns
every error into what an S3 client can read.
"""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache

from sidegate.errors import SidegateError
from sidegate.gateway import listings, reads, subresources, uploads, writes
from sidegate.gateway.authorization import Authorize
from sidegate.gateway.context import Context, S3Request
from sidegate.gateway.errors import as_s3_error, rejection_error
from sidegate.gateway.put_shortcut import PutShortcut
from sidegate.gateway.shortcut import REQUEST_ID_NAME, ReadShortcut
from sidegate.http.errors import BodyTruncated, Reason
from sidegate.http.message import NO_BODY, Request, Response
from sidegate.s3.errors import S3Error, render_error
from sidegate.s3.headers import Headers
from sidegate.s3.operations import Operation, identify
from sidegate.s3.responses import CONTENT_TYPE
from sidegate.s3.subresources import is_subresource
from sidegate.s3.target import parse_target

HEALTH_TARGET = b"/-/health"
"""No bucket can have this name: `-` is no valid repo or input."""

WORKER_HEADER = b"x-sidegate-worker"

_log = logging.getLogger(__name__)

Handler = Callable[[Context, S3Request], Awaitable[Response]]

_O = Operation

HANDLERS: Mapping[Operation, Handler] = {
    _O.LIST_BUCKETS: listings.list_buckets,
    _O.HEAD_BUCKET: subresources.head_bucket,
    _O.CREATE_BUCKET: subresources.create_bucket,
    _O.DELETE_BUCKET: subresources.delete_bucket,
    _O.GET_BUCKET_LOCATION: subresources.get_location,
    _O.LIST_OBJECTS: listings.list_objects,
    _O.LIST_OBJECTS_V2: listings.list_objects,
    _O.LIST_OBJECT_VERSIONS: subresources.list_versions,
    _O.LIST_MULTIPART_UPLOADS: uploads.list_uploads,
    _O.DELETE_OBJECTS: writes.delete_objects,
    _O.GET_OBJECT: reads.read_object,
    _O.HEAD_OBJECT: reads.read_object,
    _O.GET_OBJECT_ATTRIBUTES: reads.get_attributes,
    _O.PUT_OBJECT: writes.put_object,
    _O.COPY_OBJECT: writes.copy_object,
    _O.DELETE_OBJECT: writes.delete_object,
    _O.CREATE_MULTIPART_UPLOAD: uploads.create_upload,
    _O.UPLOAD_PART: uploads.upload_part,
    _O.UPLOAD_PART_COPY: uploads.copy_part,
    _O.COMPLETE_MULTIPART_UPLOAD: uploads.complete_upload,
    _O.ABORT_MULTIPART_UPLOAD: uploads.abort_upload,
    _O.LIST_PARTS: uploads.list_parts,
} | {operation: subresources.answer for operation in Operation if is_subresource(operation)}

# Clients name the same few objects again and again, in ranges and conditions.
_remembered_target = lru_cache(maxsize=4096)(parse_target)
_REMEMBERED_BYTES = 512
"""Longer targets are parsed each time: whoever sends them need not be known.  As many different ones as are
remembered take 58 MiB where each is names of two letters, the worst there is (CPython 3.11, 2026-11)."""

FROM_MEMORY: Mapping[Operation, Callable[[Context, S3Request], Response | None]] = {
    _O.GET_OBJECT: reads.answer_from_memory,
    _O.HEAD_OBJECT: reads.answer_from_memory,
    _O.LIST_OBJECTS: listings.list_from_memory,
    _O.LIST_OBJECTS_V2: listings.list_from_memory,
}


class Gateway:
    """One namespace served over HTTP; give `handle`, `reject` and `shortcut` to a server."""

    def __init__(
        self,
        context: Context,
        *,
        base_domains: tuple[str, ...] = (),
        authorize: Authorize | None = None,
        worker: str | None = None,
    ) -> None:
        """`worker` names this process to whoever asks for its health."""
        self._context = context
        self._health_headers = [(b"content-type", b"text/plain")]
        if worker is not None:
            self._health_headers.append((WORKER_HEADER, worker.encode()))
        self._base_domains = base_domains
        self._authorize = authorize
        self._traffic = context.namespace.traffic
        self._request_prefix = secrets.token_hex(6)
        self._next_number = itertools.count(1).__next__
        self.shortcut: ReadShortcut | None = None
        """Where keys are verified, every request takes the way that verifies them."""
        if authorize is None:
            common = (context, base_domains, self._request_prefix.encode(), self._next_number)
            self.shortcut = ReadShortcut(*common, PutShortcut(*common, self._refuse_put))

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request: at once when memory can, else by a coroutine."""
        if request.target == HEALTH_TARGET:
            return Response(200, list(self._health_headers), b"ok\n")
        understood = None
        try:
            understood = self._understand(request)
            from_memory = FROM_MEMORY.get(understood.operation)
            if from_memory is not None:
                response = from_memory(self._context, understood)
                if response is not None:
                    return self._finished(response, understood)
        except SidegateError as error:
            return self._refusal(error, request, understood)
        return self._carry_out(understood, request)

    def reject(self, status: int, reason: Reason) -> Response:
        """Answer what HTTP could not take as a request."""
        return self._rendered(rejection_error(reason), "")

    def _understand(self, request: Request) -> S3Request:
        host = request.header(b"host") if self._base_domains else None
        size_bytes = len(request.target) if host is None else len(request.target) + len(host)
        parse = _remembered_target if size_bytes <= _REMEMBERED_BYTES else parse_target
        target = parse(request.target, host, self._base_domains)
        headers = Headers(request.headers)
        if self._authorize is not None:
            self._authorize(request, target, headers)
        operation = identify(request.method, target, headers)
        return S3Request(operation, request.method, target, headers, request.body)

    async def _carry_out(self, understood: S3Request, request: Request) -> Response:
        try:
            handler = HANDLERS[understood.operation]
            return self._finished(await handler(self._context, understood), understood)
        except BodyTruncated:
            raise
        except SidegateError as error:
            return self._refusal(error, request, understood)

    def _refusal(self, error: SidegateError, request: Request, understood: S3Request | None) -> Response:
        refusal = as_s3_error(error)
        if self._traffic is not None and understood is not None:
            target = understood.target
            self._traffic.count_refusal(understood.operation, target.bucket, target.key, refusal)
        if refusal.status >= 500 and refusal.code != "SlowDown" and not isinstance(error, S3Error):
            _log.error("%s %s: %s", request.method, request.target.decode("latin-1"), error)
        resource = request.target.partition(b"?")[0].decode("latin-1")
        return self._rendered(refusal, resource, head=request.method == "HEAD")

    def _refuse_put(self, error: SidegateError, head: bytes) -> Response:
        """Answer a PUT of the shortcut that could not be stored."""
        _, target, _ = head.split(b" ", 2)
        lines = [line.partition(b":") for line in head.split(b"\r\n")[1:-2]]
        headers = [(name.lower(), value.strip()) for name, _, value in lines]
        request = Request("PUT", target, "1.1", headers, NO_BODY, "")
        return self._refusal(error, request, self._understand(request))

    def _rendered(self, error: S3Error, resource: str, *, head: bool = False) -> Response:
        request_id = self._next_request_id()
        headers = [(REQUEST_ID_NAME, request_id.encode()), *error.headers]
        if error.status == 304:
            return Response(304, headers)
        headers.append((b"content-type", CONTENT_TYPE))
        body = render_error(error, resource, request_id)
        if head:
            return Response(error.status, headers, length=len(body))
        return Response(error.status, headers, body)

    def _finished(self, response: Response, understood: S3Request) -> Response:
        if self._traffic is not None:
            counts = self._traffic.by_name.get(understood.target.bucket)
            if counts is not None:
                counts.count_answer(understood.operation, understood.key, response)
        line = b"%b: %b\r\n" % (REQUEST_ID_NAME, self._next_request_id().encode())
        response.raw_headers = line + response.raw_headers
        return response

    def _next_request_id(self) -> str:
        return f"{self._request_prefix}{self._next_number():010x}"

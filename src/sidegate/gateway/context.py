"""What every request handler of a gateway shares, and the request itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from sidegate.gateway.activity import Activity
from sidegate.gateway.buckets import Bucket
from sidegate.gateway.namespace import Namespace
from sidegate.gateway.resolved import ResolvedCache
from sidegate.gateway.threads import Opening, WorkThreads
from sidegate.gateway.write_queue import WriteQueue
from sidegate.http.budget import Budget
from sidegate.http.limits import Limits
from sidegate.http.message import Body, Response
from sidegate.pfs.store import Store
from sidegate.pfs.views import WritableView
from sidegate.s3.documents import MAX_DOCUMENT_BYTES
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.operations import Operation
from sidegate.s3.payload import decode_document
from sidegate.s3.responses import CONTENT_TYPE
from sidegate.s3.target import Target

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """A gateway's parts; one per running gateway."""

    store: Store
    namespace: Namespace
    threads: WorkThreads
    heavy_threads: WorkThreads
    """For what keeps a core busy, and may wait for it."""

    resolved: ResolvedCache = field(default_factory=ResolvedCache)
    activity: Activity = field(default_factory=Activity)
    budget: Budget = field(default_factory=lambda: Budget(Limits().in_flight_bytes))
    """The server's, for bytes in flight."""
    md5_tags: bool = False
    """Compute MD5 for every object and use it as its tag (`etag=md5`)."""

    writes: WriteQueue = field(init=False)
    """Where changes of the catalog go that share transactions."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "writes", WriteQueue(self.store.database))
        self.store.chunks.packs.add_rememberer(self.resolved)

    def bucket(self, name: str) -> Bucket:
        """Return a bucket, known or looked up, which may wait; raises S3Error NoSuchBucket."""
        return self.namespace.peek(name) or self.namespace.get(name)

    async def run(self, function: Callable[[], T]) -> T:
        """Run work that waits for disk or catalog in a thread."""
        return await self.threads.run(function)

    async def run_heavy(
        self, function: Callable[[], T], *, gathers: bool = False, opening: Opening | None = None
    ) -> T:
        """Run work on many bytes in a thread that leaves the core to others.

        What comes of work that `gathers` may be told with that of others: what
        they write then shares a transaction.  What `opening` returns is hashed
        before the work, with that of other work that waits.
        """
        return await self.heavy_threads.run(function, gathers=gathers, opening=opening)


async def find_writable(context: Context, bucket: str) -> WritableView:
    """Return where writes into a bucket go; raises S3Error."""
    known = context.namespace.peek(bucket)
    if known is not None:
        return known.writable()
    return await context.run(lambda: context.namespace.get(bucket).writable())


class S3Request(NamedTuple):
    """One request, understood but not yet carried out."""

    operation: Operation
    method: str
    target: Target
    headers: Headers
    body: Body

    @property
    def bucket(self) -> str:
        """The bucket's name; only for operations that have one."""
        return self.target.bucket or ""

    @property
    def key(self) -> str:
        """The object's key; only for operations that have one."""
        return self.target.key or ""


async def read_document(request: S3Request, *, ignore_checksums: bool = False) -> bytes:
    """Read a small body whole and verify it; raises S3Error.

    MaxMessageLengthExceeded beyond what any S3 document needs.
    """
    blocks = bytearray()
    while block := await request.body.read():
        blocks += block
        if len(blocks) > MAX_DOCUMENT_BYTES:
            raise S3Error("MaxMessageLengthExceeded")
    return decode_document(request.headers, bytes(blocks), ignore_checksums=ignore_checksums)


def xml_response(body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Response:
    """Return a 200 with an XML body."""
    return Response(200, [(b"content-type", CONTENT_TYPE), *headers], body)

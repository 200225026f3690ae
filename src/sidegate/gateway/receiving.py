"""Receiving an upload: from blocks of a body to stored extents.

A block is taken out of its framing, digested, cut, hashed and written by one
thread while the next one arrives.  A small body makes one trip to a thread,
which also does what follows (`store`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sidegate.gateway.context import Context, S3Request
from sidegate.pfs.cutting import ChunkCutter
from sidegate.pfs.extents import Extent
from sidegate.s3.errors import S3Error
from sidegate.s3.payload import PayloadDecoder, PayloadDigests

T = TypeVar("T")

MAX_OBJECT_BYTES = 50 << 40
"""API_PutObject and multipart limits: an object is at most 50 TB; we count in TiB."""


@dataclass(frozen=True, slots=True)
class Received:
    """A body that is stored and verified, but belongs to nothing yet."""

    extents: tuple[Extent, ...]
    digests: PayloadDigests


async def receive(
    context: Context, request: S3Request, store: Callable[[Received], T], *, checksums: tuple[str, ...] = ()
) -> T:
    """Read, verify and store the body, then return what `store` makes of it.

    `store` runs in the same thread as the last block, only when everything
    held.  Raises S3Error for what the client did wrong, BodyTruncated when it
    went away; what was stored until then is garbage.
    """
    check_length(request)
    decoder = PayloadDecoder.from_headers(
        request.headers, request.body.length, md5=context.md5_tags, checksums=checksums
    )
    cutter = context.store.cutter()
    traffic = context.namespace.traffic
    counts = traffic.by_name.get(request.bucket) if traffic is not None else None
    whole = request.body.take_whole()
    blocks: list[bytes | memoryview] = [whole] if whole else []
    last = whole is not None
    while not last:
        before = decoder.decoded_bytes
        blocks, last = await request.body.read_here()
        if not last:
            await context.run(_feeding(decoder, cutter, blocks))
            if counts is not None:
                counts.received_bytes += decoder.decoded_bytes - before
            for block in cutter.free_blocks():
                request.body.recycle(block)
    before = decoder.decoded_bytes
    result = await context.run(lambda: store(_finish(decoder, cutter, blocks)))
    if counts is not None:
        counts.received_bytes += decoder.decoded_bytes - before
    for block in cutter.free_blocks():
        request.body.recycle(block)
    return result


def check_length(request: S3Request) -> None:
    """Raise S3Error when nobody said how long the body is, or it is too long."""
    headers = request.headers
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        raise S3Error("MissingContentLength")
    if request.body.length is not None and request.body.length > MAX_OBJECT_BYTES:
        raise S3Error("EntityTooLarge", fields={"ProposedSize": str(request.body.length)})


def _feeding(
    decoder: PayloadDecoder, cutter: ChunkCutter, blocks: list[bytes | memoryview]
) -> Callable[[], None]:
    def feed() -> None:
        for block in blocks:
            cutter.take(memoryview(decoder.feed(block)), block)

    return feed


def _finish(decoder: PayloadDecoder, cutter: ChunkCutter, blocks: list[bytes | memoryview]) -> Received:
    _feeding(decoder, cutter, blocks)()
    digests = decoder.finish()
    return Received(cutter.finish(), digests)

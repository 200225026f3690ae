"""Small uploads: read whole, verified on the loop, stored with their group.

A body that is shorter than any cut is one chunk, so there is nothing to cut and
no thread to ask; the catalog's writer hashes and stores it together with all
that came in the meantime.
"""

from __future__ import annotations

from sidegate.gateway.context import Context, S3Request
from sidegate.gateway.receiving import check_length
from sidegate.pfs.cutting import MIN_BYTES
from sidegate.pfs.ids import Buffer
from sidegate.s3.payload import PayloadDecoder, PayloadDigests

SMALL_BYTES = 64 << 10
"""Bodies up to this are taken whole: SHA-256 of one takes 36 us (1.8 GB/s, Zen 4, 2026-11)."""

assert SMALL_BYTES < MIN_BYTES, "a small body is one chunk"


async def receive_small(context: Context, request: S3Request) -> tuple[Buffer, PayloadDigests] | None:
    """Read and verify a small body; None, with nothing read, for one that is not.

    Raises S3Error for what the client did wrong, BodyTruncated when it went away.
    """
    check_length(request)
    body = request.body
    if body.length is None or body.length > SMALL_BYTES:
        return None
    decoder = PayloadDecoder.from_headers(request.headers, body.length, md5=context.md5_tags)
    whole = body.take_whole()
    if whole is None:
        whole = await _read(request)
    plain = decoder.feed(whole)
    digests = decoder.finish()
    traffic = context.namespace.traffic
    counts = traffic.by_name.get(request.bucket) if traffic is not None else None
    if counts is not None:
        counts.received_bytes += decoder.decoded_bytes
    return plain, digests


async def _read(request: S3Request) -> bytes:
    blocks = bytearray()
    while block := await request.body.read():
        blocks += block
        request.body.recycle(block)
    return bytes(blocks)

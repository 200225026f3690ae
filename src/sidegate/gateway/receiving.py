"""Receiving an upload: from blocks of a body to stored extents.

A block is taken out of its framing, digested, cut, hashed and written by one
thread while the next one arrives.  A small body makes one trip to a thread,
which also does what follows (`store`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from sidegate.gateway.context import Context, S3Request
from sidegate.gateway.hashing import HashStep
from sidegate.gateway.traffic import BucketTraffic
from sidegate.http.message import Body
from sidegate.pfs.compression import SampleHabit
from sidegate.pfs.cutting import ChunkCutter
from sidegate.pfs.extents import Extent
from sidegate.s3.errors import S3Error
from sidegate.s3.payload import PayloadDecoder, PayloadDigests
from sidegate.scheduling import give_way

T = TypeVar("T")

MAX_OBJECT_BYTES = 50 << 40
"""API_PutObject and multipart limits: an object is at most 50 TB; we count in TiB."""


class Upload(NamedTuple):
    """A body on its way in, what it must hold to, and where it is counted."""

    body: Body
    decoder: PayloadDecoder
    counts: BucketTraffic | None
    habit: SampleHabit | None = None
    """That of the stream that the body is a part of."""


@dataclass(frozen=True, slots=True)
class Received:
    """A body that is stored and verified, but belongs to nothing yet."""

    extents: tuple[Extent, ...]
    digests: PayloadDigests


def begin_upload(
    context: Context,
    request: S3Request,
    *,
    checksums: tuple[str, ...] = (),
    habit: SampleHabit | None = None,
) -> Upload:
    """Return the upload that a request brings, nothing of it read yet.  Raises S3Error."""
    check_length(request)
    decoder = PayloadDecoder.from_headers(
        request.headers, request.body.length, md5=context.md5_tags, checksums=checksums
    )
    traffic = context.namespace.traffic
    counts = traffic.by_name.get(request.bucket) if traffic is not None else None
    return Upload(request.body, decoder, counts, habit)


async def receive(context: Context, upload: Upload, store: Callable[[Received], T]) -> T:
    """Read, verify and store the body, then return what `store` makes of it.

    `store` runs in the same thread as the last block, only when everything
    held; others wait for that thread, so it must not wait for a commit.
    Raises S3Error for what the client did wrong, BodyTruncated when it went
    away; what was stored until then is garbage.
    """
    body, decoder, counts, habit = upload
    cutter = context.store.cutter(habit)
    intake = _Intake(decoder, cutter)
    blocks: list[bytes | memoryview] = []
    last = False
    try:
        while not last:
            blocks, last = await body.read_here()
            if not last:
                crowded, body.crowded = body.crowded, False
                await context.run_heavy(
                    partial(intake.feed, blocks, crowded=crowded), opening=intake.opening(blocks)
                )
                if counts is not None:
                    counts.received_bytes += intake.news_bytes()
                for block in cutter.free_blocks():
                    body.recycle(block)
        result = await context.run_heavy(
            lambda: store(intake.finish(blocks)), last=True, opening=intake.opening(blocks)
        )
    except Exception:
        # Not when cancelled: a thread may still be at work.
        cutter.close()
        raise
    if counts is not None:
        counts.received_bytes += intake.news_bytes()
    for block in cutter.free_blocks():
        body.recycle(block)
    return result


def check_length(request: S3Request) -> None:
    """Raise S3Error when nobody said how long the body is, or it is too long."""
    headers = request.headers
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        raise S3Error("MissingContentLength")
    if request.body.length is not None and request.body.length > MAX_OBJECT_BYTES:
        raise S3Error("EntityTooLarge", fields={"ProposedSize": str(request.body.length)})


class _Intake:
    """One upload on its way from blocks to extents; used by one thread at a time."""

    def __init__(self, decoder: PayloadDecoder, cutter: ChunkCutter) -> None:
        self._decoder = decoder
        self._cutter = cutter
        self._told_bytes = 0
        # Payload of blocks that are out of their framing and digested, but not yet cut.
        self._opened: list[memoryview] = []

    def opening(self, blocks: list[bytes | memoryview]) -> Callable[[], HashStep] | None:
        """Return what comes before `feed`, where hashing together with other bodies costs less."""
        sha256 = self._decoder.sha256
        if sha256 is None or not blocks:
            return None

        def open_blocks() -> HashStep:
            self._opened = [memoryview(self._decoder.open(block)) for block in blocks]
            return HashStep(sha256, self._opened)

        return open_blocks

    def feed(self, blocks: list[bytes | memoryview], *, crowded: bool = False) -> None:
        """Verify and cut what has come; keep none of it in memory where it is crowded."""
        opened, self._opened = self._opened, []
        for number, block in enumerate(blocks):
            if opened:
                payload = opened[number]
            else:
                payload = memoryview(self._decoder.feed(block))
                give_way()
            self._cutter.take(payload, block)
        if crowded:
            self._cutter.spill()

    def finish(self, blocks: list[bytes | memoryview]) -> Received:
        """Take the last of it; raises S3Error unless all of it is as the client said."""
        self.feed(blocks)
        digests = self._decoder.finish()
        return Received(self._cutter.finish(), digests)

    def news_bytes(self) -> int:
        """Return how much payload was found since the last call."""
        told, self._told_bytes = self._told_bytes, self._decoder.decoded_bytes
        return self._told_bytes - told

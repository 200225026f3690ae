"""Receiving an upload: from blocks of a body to stored extents.

A block is taken out of its framing, digested, cut, hashed and written by one
thread while the next one arrives, or the thread takes the next one from the
socket when it has done with the last (`http.pulling`).  A small body makes one
trip to a thread, which also does what follows (`store`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from sidegate.gateway.context import Context, S3Request
from sidegate.gateway.hashing import HashStep
from sidegate.gateway.traffic import BucketTraffic
from sidegate.http.message import Body
from sidegate.http.pulling import Pull
from sidegate.pfs.compression import SampleHabit
from sidegate.pfs.cutting import ChunkCutter
from sidegate.pfs.extents import Extent
from sidegate.s3.errors import S3Error
from sidegate.s3.payload import PayloadDecoder, PayloadDigests
from sidegate.scheduling import give_way, quick_answers

T = TypeVar("T")

PULLED_COUNT = 8
"""Blocks that are pulled in one go, so that a part of 8 MiB takes one: with four it cost 3 to 5 % more
(four connections, Zen 4, 2026-11).  They keep a core for 5 ms, others that want it apart."""

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
    intake = _Intake(decoder, cutter, store)
    pull = _begin_pull(context, upload)
    try:
        while not intake.results:
            step = await _next_step(context, upload, pull)
            await _carry_out(context, body, intake, step)
            if counts is not None:
                counts.received_bytes += intake.news_bytes()
            for block in cutter.free_blocks():
                body.recycle(block)
            pull = _begin_pull(context, upload) if step.pull is not None and step.pull.goes_on else None
    except Exception:
        # Not when cancelled: a thread may still be at work.
        cutter.close()
        for block in cutter.free_blocks():
            body.recycle(block)
        raise
    return intake.results[0]


class _Step(NamedTuple):
    """What a thread is to do of an upload in one go."""

    blocks: list[bytes | memoryview]
    """What the connection has received."""
    last: bool
    """Whether nothing follows them."""
    pull: Pull | None
    """What receives more, which may be the last of it."""
    crowded: bool
    """Whether no block may be kept."""


def _begin_pull(context: Context, upload: Upload) -> Pull | None:
    """Have what follows received by a thread, if it can be.

    While a thread is free, it stores one block as the loop receives the next, on another core
    where there is one.  And not where bodies are hashed together: until a few blocks of each are here,
    the first have left the caches (8 MiB with SHA-256, four connections: 11 % more, Zen 4, 2026-11).
    But while quick answers are given the loop has better to do.
    """
    pays = context.heavy_threads.are_busy and upload.decoder.sha256 is None
    return upload.body.begin_pull() if pays or quick_answers.are_expected() else None


async def _next_step(context: Context, upload: Upload, pull: Pull | None) -> _Step:
    """Return what is to be done next; waits for blocks unless more can be pulled at once."""
    body = upload.body
    blocks: list[bytes | memoryview] = []
    last = False
    if pull is None:
        blocks, last = await body.read_here()
        pull = None if last else _begin_pull(context, upload)
    crowded, body.crowded = body.crowded, False
    return _Step(blocks, last, pull, crowded)


async def _carry_out(context: Context, body: Body, intake: _Intake[Any], step: _Step) -> None:
    try:
        await context.run_heavy(
            partial(intake.take, step),
            gathers=step.last or step.pull is not None,
            opening=intake.opening(step),
        )
    except asyncio.CancelledError:
        if step.pull is not None:
            step.pull.abandon()  # a thread may be at work
        raise
    except BaseException:
        _end_pull(body, step)
        raise
    _end_pull(body, step)


def _end_pull(body: Body, step: _Step) -> None:
    if step.pull is not None:
        body.end_pull(step.pull)


def check_length(request: S3Request) -> None:
    """Raise S3Error when nobody said how long the body is, or it is too long."""
    headers = request.headers
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        raise S3Error("MissingContentLength")
    if request.body.length is not None and request.body.length > MAX_OBJECT_BYTES:
        raise S3Error("EntityTooLarge", fields={"ProposedSize": str(request.body.length)})


class _Intake(Generic[T]):
    """One upload on its way from blocks to extents; used by one thread at a time."""

    def __init__(self, decoder: PayloadDecoder, cutter: ChunkCutter, store: Callable[[Received], T]) -> None:
        self._decoder = decoder
        self._cutter = cutter
        self._store = store
        self._told_bytes = 0
        # Payload of a step's blocks that is out of its framing and digested, but not yet cut.
        self._opened: list[memoryview] = []
        self.results: list[T] = []
        """What `store` made of the whole of it, in the end."""

    def opening(self, step: _Step) -> Callable[[], HashStep] | None:
        """Return what comes before `take`, where hashing together with other bodies costs less."""
        sha256 = self._decoder.sha256
        if sha256 is None or not step.blocks:
            return None

        def open_blocks() -> HashStep:
            self._opened = [memoryview(self._decoder.open(block)) for block in step.blocks]
            return HashStep(sha256, self._opened)

        return open_blocks

    def take(self, step: _Step) -> None:
        """Verify and cut what has come, and finish when that was all.

        Raises S3Error unless all is as the client said.
        """
        with step.pull or nullcontext():
            self._cut(step)
        if step.last or (step.pull is not None and not step.pull.remaining_bytes):
            digests = self._decoder.finish()
            self.results.append(self._store(Received(self._cutter.finish(), digests)))
        elif step.crowded:
            self._cutter.spill()

    def _cut(self, step: _Step) -> None:
        opened, self._opened = self._opened, []
        if opened:
            for payload, block in zip(opened, step.blocks, strict=True):
                self._cutter.take(payload, block)
        else:
            self._open_and_cut(step.blocks)
        if step.pull is not None:
            self._open_and_cut(self._arriving(step.pull))

    def _open_and_cut(self, blocks: Iterable[bytes | memoryview]) -> None:
        """Cut what is in each block before the next is looked at, or received."""
        for block in blocks:
            payload = memoryview(self._decoder.feed(block))
            give_way()
            self._cutter.take(payload, block)

    def _arriving(self, pull: Pull) -> Iterator[bytes | memoryview]:
        for _ in range(PULLED_COUNT):
            pull.reuse(self._cutter.free_blocks())
            block = pull.next_block()
            if block is None:
                return
            yield block
        pull.reuse(self._cutter.free_blocks())

    def news_bytes(self) -> int:
        """Return how much payload was found since the last call."""
        told, self._told_bytes = self._told_bytes, self._decoder.decoded_bytes
        return self._told_bytes - told

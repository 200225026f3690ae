"""Sources of segments: framing them as chunks, closing them unread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import cast

from sidegate.http.message import FileSegment, Segment, Segments

_LAST_CHUNK = b"0\r\n\r\n"


def is_async(segments: Segments) -> bool:
    """Whether the source must be awaited."""
    return hasattr(segments, "__anext__")


def chunk_segments(segments: Segments) -> Segments:
    """Frame each segment as one chunk (RFC 9112 section 7.1)."""
    if is_async(segments):
        return _chunk_async(cast("AsyncIterator[Segment]", segments))
    return _chunk_sync(cast("Iterator[Segment]", segments))


def close_unused(segments: Segments | None, loop: asyncio.AbstractEventLoop) -> None:
    """Close a source that will not be read."""
    if segments is None:
        return
    if hasattr(segments, "aclose"):
        loop.create_task(segments.aclose())
    elif hasattr(segments, "close"):
        segments.close()


def _frame(segment: Segment) -> list[Segment]:
    size = segment.length if isinstance(segment, FileSegment) else len(segment)
    # A chunk of no bytes would be the last one.
    return [b"%x\r\n" % size, segment, b"\r\n"] if size else []


def _chunk_sync(segments: Iterator[Segment]) -> Iterator[Segment]:
    try:
        for segment in segments:
            yield from _frame(segment)
    finally:
        if hasattr(segments, "close"):
            segments.close()
    yield _LAST_CHUNK


async def _chunk_async(segments: AsyncIterator[Segment]) -> AsyncIterator[Segment]:
    try:
        async for segment in segments:
            for part in _frame(segment):
                yield part
    finally:
        if hasattr(segments, "aclose"):
            await segments.aclose()
    yield _LAST_CHUNK

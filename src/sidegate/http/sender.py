"""The sending half of a connection: segments out, no faster than they leave.

Decides how each segment goes (with the transport, or by sendfile past it),
waits when the peer is slow, and counts: a source that ends early or late
never looks like a complete response.  Responses, heads and requests are
`connection`'s business.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import cast

from sidegate.http.errors import SegmentTruncated
from sidegate.http.file_pipe import SharedPipe
from sidegate.http.message import FileSegment, Segment, Segments
from sidegate.http.raw_socket import PIPE_MIN_BYTES, SENDFILE_UNSUPPORTED, RawSocket
from sidegate.http.turns import SHORT_BYTES, turn_bytes
from sidegate.native import send_behind_head

# Below, one pread and one write are cheaper than the calls around sendfile (measured 2026-11).
SENDFILE_MIN_BYTES = 16 * 1024
# sendfile from inside a page costs three times as much: 60 against 21 us for 64 KiB (measured 2026-11).
PAGE_BYTES = 4096
COPY_BYTES = 256 * 1024
# Up to here one copy is cheaper than a second buffer for the kernel to gather.
JOIN_BYTES = 64 * 1024


class Sender:
    """Sends one response's segments at a time over a transport.

    `done(error)` is called once for each `send`: with None when every byte
    was handed over, else with what stopped it.  By then the source is closed.
    """

    __slots__ = (
        "_copies",
        "_done",
        "_failure",
        "_file",
        "_head",
        "_loop",
        "_pipe",
        "_raw",
        "_raw_bytes",
        "_remaining",
        "_source",
        "_task",
        "_transport",
        "_turn_bytes",
        "_waiter",
        "begun",
        "paused",
        "sent_bytes",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        pipe: SharedPipe,
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._pipe = pipe
        # Whether the transport's buffer is too full (or must be empty first).
        self.paused = False
        # Counts what went past the transport; only ever grows.
        self.sent_bytes = 0
        # Whether any byte of the current response has left.
        self.begun = False
        self._raw: RawSocket | None = None
        # TLS cannot be bypassed, and neither can a transport without a socket.
        plain = (
            transport.get_extra_info("sslcontext") is None and transport.get_extra_info("socket") is not None
        )
        self._copies = not (plain and hasattr(os, "sendfile"))
        self._source: Iterator[Segment] | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._done: Callable[[BaseException | None], None] | None = None
        self._head = b""
        self._remaining: int | None = None
        self._turn_bytes = 0
        self._raw_bytes = memoryview(b"")
        self._file: FileSegment | None = None
        # What `send_file` met, for `finish_file` to report.
        self._failure: Exception | None = None

    def send(
        self,
        head: bytes,
        segments: Segments,
        length: int | None,
        done: Callable[[BaseException | None], None],
    ) -> None:
        """Send a head and segments of `length` bytes altogether.

        `length` None: as many as there are.  The head waits for the first
        segment, so that nothing has left if that one cannot be made.
        """
        self._head = head
        self._remaining = length
        self.begun = False
        self._done = done
        self._turn_bytes = turn_bytes()
        if hasattr(segments, "__anext__"):
            self._task = self._loop.create_task(self._pump(cast("AsyncIterator[Segment]", segments)))
            self._task.add_done_callback(self._pumped)
        else:
            self._source = segments
            self._advance()

    def send_file(self, head: bytes, file: FileSegment) -> bool:
        """Send a head and one part of a file: in one call if the peer keeps up.

        Returns whether all of it has left.  If not, `finish_file` must follow.
        """
        fd, offset, length = file
        raw = self._raw
        self.begun = False
        self._turn_bytes = SHORT_BYTES if length <= SHORT_BYTES else turn_bytes()
        if (
            raw is None
            or self._copies
            or length < SENDFILE_MIN_BYTES
            or self._transport.get_write_buffer_size()
        ):
            self._head, self._remaining, self._source = head, length, iter((file,))
            return False
        copied = -offset % PAGE_BYTES
        pages = length - copied
        # What is long goes through the pipe, in turns.
        at_once = pages if pages < PIPE_MIN_BYTES else 0
        count = send_behind_head(raw.fd, head, fd, offset, copied, at_once)
        self.begun = count > 0
        self.sent_bytes += count
        sent = count - len(head)
        if sent == length:
            return True
        try:
            if sent == copied and not at_once:
                rest = self._send_pages(raw, fd, offset + copied, pages)
                if rest is None:
                    return True
                self._raw_bytes, self._file = memoryview(b""), rest
            else:
                done = max(sent, 0)
                self._begin_rest(head[count:], FileSegment(fd, offset + done, length - done))
        except (OSError, SegmentTruncated) as error:
            self._failure = error
            return False
        self._remaining, self._source = 0, iter(())
        return False

    def _begin_rest(self, head: bytes, rest: FileSegment) -> None:
        """Go on where `send_file` had to stop."""
        self._head = head
        self._begin_file(rest, min(-rest.offset % PAGE_BYTES, rest.length))

    def finish_file(self, done: Callable[[BaseException | None], None]) -> None:
        """Send the rest of what `send_file` began; `done` as for `send`."""
        self._done = done
        failure, self._failure = self._failure, None
        if failure is None:
            self._advance()
        else:
            self._finish(failure)

    @property
    def waits_for_peer(self) -> bool:
        """Whether only the peer's reading lets us go on."""
        return self.paused or (self._raw is not None and self._raw.waiting)

    def pause(self) -> None:
        """Called by the transport when its buffer is full."""
        self.paused = True

    def resume(self) -> None:
        """Called by the transport when its buffer is (nearly) empty."""
        self.paused = False
        if self._file is not None:
            self._transport.set_write_buffer_limits()
        self._continue()

    def close(self, error: BaseException) -> None:
        """Stop for good: the connection is lost."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        self._file = None
        if self._task is not None:
            self._task.cancel()
        elif self._source is not None:
            self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        source, self._source = self._source, None
        self._file = None
        if self._raw is not None:
            self._raw.stop_waiting()
        if error is not None and source is not None and hasattr(source, "close"):
            source.close()
        done, self._done = self._done, None
        if done is not None:
            done(error)

    # Where the segments come from.

    def _advance(self) -> None:
        try:
            while self._source is not None and self._flush():
                segment = next(self._source, None)
                if segment is None:
                    self._end_source()
                    break
                self._push(segment)
            else:
                return
        except Exception as error:  # noqa: BLE001 - a source may raise anything; the owner decides
            self._finish(error)
        else:
            self._finish(None)

    async def _pump(self, source: AsyncIterator[Segment]) -> None:
        try:
            async for segment in source:
                self._push(segment)
                while not self._flush():
                    self._waiter = self._loop.create_future()
                    await self._waiter
            self._end_source()
        finally:
            self._waiter = None
            if hasattr(source, "aclose"):
                await source.aclose()

    def _pumped(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._finish(asyncio.CancelledError() if task.cancelled() else task.exception())

    def _continue(self) -> None:
        self._turn_bytes = turn_bytes()
        if self._source is not None:
            self._advance()
        elif self._waiter is not None and not self._waiter.done():
            try:
                if self._flush():
                    self._waiter.set_result(None)
            except Exception as error:  # noqa: BLE001 - belongs to the task that waits
                self._waiter.set_exception(error)

    def _end_source(self) -> None:
        if self._remaining:
            raise SegmentTruncated(
                f"the source ended {self._remaining} bytes early", missing_bytes=self._remaining
            )
        if self._head:
            self._write(b"")

    # How each one leaves.

    def _push(self, segment: Segment) -> None:
        """Begin one segment; `_flush` says when there is room for the next."""
        if self._transport.is_closing():
            raise ConnectionAbortedError("the connection was closed")
        size = segment.length if isinstance(segment, FileSegment) else len(segment)
        if self._remaining is not None:
            self._remaining -= size
            if self._remaining < 0:
                raise SegmentTruncated(f"the source goes on {-self._remaining} bytes too far")
        if not isinstance(segment, FileSegment):
            self._write(segment)
        elif self._copies:
            self._file = segment
        elif size >= SENDFILE_MIN_BYTES:
            self._begin_file(segment, -segment.offset % PAGE_BYTES)
        elif self._remaining:
            # Held back for what follows (MSG_MORE), so there must be something that follows.
            self._begin_file(segment, size)
        else:
            self._write(_read_exactly(segment.fd, segment.offset, size))

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        self.begun = True
        self._turn_bytes -= len(data)
        head, self._head = self._head, b""
        if not head:
            self._transport.write(data)
        elif len(data) <= JOIN_BYTES:
            self._transport.write(head + data)
        else:
            self._transport.writelines((head, data))

    def _begin_file(self, segment: FileSegment, read_bytes: int) -> None:
        """Have the head leave with the first `read_bytes` of a segment, the rest by sendfile."""
        fd, offset, length = segment
        head, self._head = self._head, b""
        if read_bytes:
            head += _read_exactly(fd, offset, read_bytes)
        self._raw_bytes = memoryview(head)
        self._file = FileSegment(fd, offset + read_bytes, length - read_bytes)

    def _flush(self) -> bool:
        """Send what can be sent now; whether the next segment may come."""
        if self._file is not None and not self.paused:
            if self._copies:
                self._copy_file(self._file)
            else:
                self._send_file(self._file)
        if self._file is not None or self.paused:
            return False
        if self._turn_bytes <= 0:
            self._loop.call_soon(self._continue)
            return False
        return True

    def _send_file(self, segment: FileSegment) -> None:
        if self._transport.get_write_buffer_size():
            # Has the transport report when it is empty, not merely emptier: it calls pause() now.
            self._transport.set_write_buffer_limits(high=0)
            return
        raw = self._raw
        if raw is None:
            raw = self._raw = RawSocket(self._transport, self._loop, self._pipe)
        self.begun = True
        while self._raw_bytes:
            count = raw.send_more(self._raw_bytes)
            if not count:
                raw.wait(self._continue)
                return
            self.sent_bytes += count
            self._raw_bytes = self._raw_bytes[count:]
        self._file = self._send_pages(raw, *segment)
        if self._file is None:
            raw.stop_waiting()
        elif self._copies or self._turn_bytes <= 0:
            raw.stop_waiting()
            self._loop.call_soon(self._continue)
        else:
            raw.wait(self._continue)

    def _send_pages(self, raw: RawSocket, fd: int, start: int, length: int) -> FileSegment | None:
        """Send what fits of a file; return what is left of it.

        Where the first call shows that sendfile cannot do it, `_copies` is set.
        """
        offset = start
        while length and self._turn_bytes > 0:
            # To a page boundary, where the next turn begins.
            to_boundary = -(offset + self._turn_bytes) % PAGE_BYTES
            try:
                sent = raw.send_file(fd, offset, min(length, self._turn_bytes + to_boundary))
            except OSError as error:
                if error.errno not in SENDFILE_UNSUPPORTED or offset != start:
                    raise
                self._copies = True
                break
            if sent is None:
                break
            if sent == 0:
                raise SegmentTruncated(
                    f"the file ends at {offset}, {length} bytes early", missing_bytes=length
                )
            self.sent_bytes += sent
            self._turn_bytes -= sent
            offset += sent
            length -= sent
        return FileSegment(fd, offset, length) if length else None

    def _copy_file(self, segment: FileSegment) -> None:
        fd, offset, length = segment
        while length and not self.paused:
            count = min(length, COPY_BYTES)
            self._write(_read_exactly(fd, offset, count))
            offset += count
            length -= count
        self._file = FileSegment(fd, offset, length) if length else None


def _read_exactly(fd: int, offset: int, length: int) -> bytes:
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            missing = length - len(data)
            raise SegmentTruncated(f"the file ends {missing} bytes early", missing_bytes=missing)
        data += more
    return data

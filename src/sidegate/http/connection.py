"""One connection: requests are answered in order, then it ends well.

Joins the receiving half (`intake`) and the sending half (`sender`): decides
which request is next, what its response's head says, what becomes of an
unread body, and when a silent peer has had its time.  Handlers are called
from here and nowhere else.

When the peer vanishes, a handler's task goes on: it may be committing what
it has read.  Its Body.read raises and its response is dropped.  A task that
only sends is cancelled at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from enum import Enum
from typing import TYPE_CHECKING, cast

from sidegate.http.body import BodyState, IncomingBody
from sidegate.http.errors import STATUS, BodyTruncated, Reason, Rejected, SegmentTruncated
from sidegate.http.head import BODILESS_STATUS, CONTINUE
from sidegate.http.intake import Intake
from sidegate.http.message import NO_BODY, Handler, Request, Response, Segments
from sidegate.http.patience import Patience, Wait
from sidegate.http.rejection import plain_rejection
from sidegate.http.segments import chunk_segments, close_unused
from sidegate.http.sender import JOIN_BYTES, Sender

if TYPE_CHECKING:
    from sidegate.http.service import Service

_log = logging.getLogger("sidegate.http")


class Phase(Enum):
    """Where a connection stands, apart from the request in hand."""

    OPEN = "requests are taken"
    DRAINING = "the rest of an unread body is dropped before the next request"
    LINGERING = "our side is shut; the peer may finish sending and read our answer"
    CLOSING = "what is buffered still leaves"
    CLOSED = "gone"


class Connection(asyncio.BufferedProtocol):
    """The asyncio protocol of one accepted socket."""

    __slots__ = (
        "_closes",
        "_current",
        "_dispatching",
        "_drained_bytes",
        "_ended",
        "_fallback",
        "_handler",
        "_intake",
        "_patience",
        "_phase",
        "_reading",
        "_received_bytes",
        "_response",
        "_sender",
        "_service",
        "_task",
        "_transport",
    )

    _transport: asyncio.Transport
    _intake: Intake
    _sender: Sender
    _handler: Handler

    def __init__(self, service: Service) -> None:
        self._service = service
        self._phase = Phase.OPEN
        self._current: Request | None = None
        self._response: Response | None = None
        # The response that was made because another could not be.
        self._fallback: Response | None = None
        # Whether the connection ends with the current response.
        self._closes = False
        # Whether `_dispatch` is at work further up the stack.
        self._dispatching = False
        # Whether the transport is asked for bytes, and whether it has said that there are no more.
        self._reading = True
        self._ended = False
        self._received_bytes = 0
        self._drained_bytes = 0
        self._patience = Patience()
        # The handler's own task, while there is one.
        self._task: asyncio.Task[None] | None = None

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once, when the socket is accepted."""
        # uvloop's transports are not registered as asyncio.Transport.
        self._transport = transport = cast("asyncio.Transport", transport)
        service = self._service
        self._sender = Sender(transport, service.loop)
        peer = _render_address(transport.get_extra_info("peername"))
        self._intake = Intake(self, service.parsers, service.limits, service.pool, service.receive_view, peer)
        handler = service.admit(self)
        if handler is None:
            transport.abort()
        else:
            self._handler = handler

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by the transport for room to receive into."""
        return self._intake.window or self._intake.open_window()

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the transport when bytes are in that room."""
        intake = self._intake
        intake.received(nbytes)
        self._received_bytes += nbytes
        if self._phase is Phase.OPEN:
            if self._current is None:
                self._dispatch()
            if self._reading and (intake.full or (self._current is not None and intake.arrived)):
                self._reading = False
                self._transport.pause_reading()
        elif self._phase is Phase.DRAINING:
            self._drain(nbytes)

    def eof_received(self) -> bool:
        """Called by the transport when the peer will send no more."""
        self._ended = True
        self._intake.end(Reason.PEER_GONE)
        if self._phase is Phase.OPEN and (self._current is not None or self._intake.arrived):
            # A peer may shut its side and still want the answer.
            return True
        self._close()
        return True

    def pause_writing(self) -> None:
        """Called by the transport when its buffer is full."""
        self._sender.pause()

    def resume_writing(self) -> None:
        """Called by the transport when there is room again."""
        self._sender.resume()
        if self._current is None:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once, when the socket is closed, whoever closed it."""
        self._phase = Phase.CLOSED
        self._service.forget(self)
        self._intake.close()
        self._sender.close(exc or ConnectionResetError("the peer is gone"))

    # What a request body calls.

    def body_wanted(self) -> None:
        """Let the body come, and say so to a peer that waits for it."""
        body = self._intake.body
        if body is None:
            return
        if body.expects_continue and self._phase is Phase.OPEN and self._response is None:
            body.expects_continue = False
            self._transport.write(CONTINUE)
        self._resume_reading()

    def body_taken(self) -> None:
        """There is room for another block."""
        if not self._reading:
            self._resume_reading()

    def _resume_reading(self) -> None:
        if self._reading or self._intake.full or self._ended or self._transport.is_closing():
            return
        if self._current is not None and self._intake.arrived:
            return
        self._reading = True
        self._transport.resume_reading()

    # Requests, one after the other.

    def _dispatch(self) -> None:
        """Begin requests until one takes its time or none is left."""
        intake = self._intake
        self._dispatching = True
        try:
            while self._phase is Phase.OPEN and self._current is None and not self._sender.paused:
                if intake.arrived:
                    self._begin(intake.arrived.popleft())
                elif intake.rejection is not None:
                    self._refuse(intake.rejection)
                elif self._ended:
                    self._close()
                else:
                    return
        finally:
            self._dispatching = False

    def _next(self) -> None:
        """Go on after a response that took its time."""
        if self._dispatching:
            return
        self._dispatch()
        if not self._reading:
            self._resume_reading()

    def _refuse(self, rejected: Rejected) -> None:
        _log.info("refused a request: %s", rejected)
        self._current = Request("GET", b"", "1.1", [], NO_BODY, "", keep_alive=False)
        self._respond(self._rejection(rejected.reason))

    def _begin(self, request: Request) -> None:
        self._current = request
        try:
            answer = self._handler(request)
        except Exception as error:  # noqa: BLE001 - a handler's bug must not end the connection
            self._respond(self._failure(error))
            return
        if type(answer) is Response:
            self._respond(answer)
        else:
            awaitable = cast("Awaitable[Response]", answer)
            self._task = self._service.create_task(self._await_answer(awaitable))

    async def _await_answer(self, answer: Awaitable[Response]) -> None:
        try:
            response = await answer
        except asyncio.CancelledError as error:
            task = self._task
            if task is None or task.cancelling():
                self._cut()
                raise
            response = self._failure(error)
        except Exception as error:  # noqa: BLE001 - as in _begin
            response = self._failure(error)
        finally:
            self._task = None
        self._respond(response)

    def _failure(self, error: BaseException) -> Response:
        if isinstance(error, BodyTruncated):
            self._closes = True
            return self._rejection(error.reason)
        request = self._current
        name = b"" if request is None else b"%b %b" % (request.method.encode(), request.target)
        _log.error("no response could be made for %r", name, exc_info=error)
        return self._rejection(Reason.HANDLER_FAILED)

    def _rejection(self, reason: Reason) -> Response:
        status = STATUS[reason]
        try:
            response = self._service.reject(status, reason)
        except Exception:  # noqa: BLE001 - a hook's bug must not silence the server
            _log.exception("the reject hook failed for %s", reason)
            response = plain_rejection(status, reason)
        self._fallback = response
        return response

    # Responses.

    def _respond(self, response: Response) -> None:
        request = self._current
        self._response = response
        if request is None or self._phase is not Phase.OPEN or self._transport.is_closing():
            close_unused(response.segments, self._service.loop)
            self._sent(ConnectionResetError("the peer is gone"), begun=True)
            return
        if (
            not request.keep_alive
            or self._service.draining
            or (request.body is not NO_BODY and self._must_close(request))
        ):
            self._closes = True
        try:
            if response.segments is not None:
                self._stream(request, response, response.segments)
                return
            self._write(request, response)
        except Exception as error:  # noqa: BLE001 - whatever a handler put in, the answer is 500
            close_unused(response.segments, self._service.loop)
            self._sent(error, begun=False)
            return
        self._sent(None, begun=True)

    def _write(self, request: Request, response: Response) -> None:
        body = response.body
        length = response.length
        if length is None:
            length = len(body)
            if not length and response.status == 304:
                length = None
        if request.method == "HEAD" or response.status in BODILESS_STATUS:
            body = b""
        elif length != len(body):
            raise SegmentTruncated(f"a body of {len(body)} bytes was announced as {length}")
        head = self._service.renderer.render(response, length, self._connection_line(request))
        if len(body) <= JOIN_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    def _stream(self, request: Request, response: Response, segments: Segments) -> None:
        length = response.length
        lines = b""
        if length is None:
            if request.version == "1.1":
                lines = b"Transfer-Encoding: chunked\r\n"
            else:
                self._closes = True
        lines += self._connection_line(request)
        head = self._service.renderer.render(response, length, lines)
        if request.method == "HEAD" or response.status in BODILESS_STATUS:
            close_unused(segments, self._service.loop)
            segments, length = iter(()), 0
        elif length is None and request.version == "1.1":
            segments = chunk_segments(segments)
        self._sender.send(head, segments, length, self._streamed)

    def _connection_line(self, request: Request) -> bytes:
        if self._closes:
            return b"Connection: close\r\n"
        return b"" if request.version == "1.1" else b"Connection: keep-alive\r\n"

    def _must_close(self, request: Request) -> bool:
        """Whether what is unread of a body rules out another request."""
        body = request.body
        if isinstance(body, IncomingBody) and body.state is BodyState.FAILED:
            return True
        if self._intake.body is None or self._intake.body is not body:
            return False
        if self._intake.body.expects_continue:
            # The peer may or may not send the body now (RFC 9110 section 10.1.1).
            self._intake.body.abandon()
            return True
        unread = self._intake.owes(body)
        return unread is not None and unread > self._service.limits.drain_bytes

    def _streamed(self, error: BaseException | None) -> None:
        self._sent(error, begun=self._sender.begun)

    def _sent(self, error: BaseException | None, *, begun: bool) -> None:
        """Account for a response that has left, or never will."""
        response, self._response = self._response, None
        if response is not None and response.on_sent is not None:
            try:
                response.on_sent(error is None)
            except Exception:  # noqa: BLE001 - the response has left; only its owner has a bug
                _log.exception("on_sent failed")
        if error is None:
            self._finish()
        elif isinstance(error, (ConnectionError, asyncio.CancelledError)) or self._transport.is_closing():
            # The peer went away: nobody's fault.
            self._cut()
        elif begun or response is self._fallback or self._current is None:
            _log.error("a response was cut short", exc_info=error)
            self._cut()
        else:
            self._respond(self._failure(error))

    def _finish(self) -> None:
        request, self._current = self._current, None
        self._fallback = None
        if self._closes:
            self._close()
        elif request is not None and request.body is self._intake.body:
            self._phase = Phase.DRAINING
            self._drained_bytes = 0
            self._intake.discard()
            self._resume_reading()
        elif not self._dispatching:
            self._next()

    # Endings.

    def _cut(self) -> None:
        """End the connection so that the peer cannot take it for a good end."""
        self._current = None
        if self._phase is not Phase.CLOSED:
            self._phase = Phase.CLOSING
        self._transport.abort()

    def _drain(self, count: int) -> None:
        self._drained_bytes += count
        if self._intake.rejection is not None or self._drained_bytes > self._service.limits.drain_bytes:
            self._close()
        elif self._intake.body is None:
            self._phase = Phase.OPEN
            self._next()

    def _close(self) -> None:
        """End the connection so that the peer gets what was sent.

        Closing a socket with unread bytes in it resets the connection, and
        the peer may lose our last response: then only our side is shut, and
        what comes is dropped for a while.
        """
        if self._phase in (Phase.CLOSING, Phase.CLOSED):
            return
        unread = self._intake.body is not None or self._intake.rejection is not None
        if self._phase is Phase.LINGERING or self._ended or not unread:
            self._phase = Phase.CLOSING
            self._transport.close()
            return
        self._phase = Phase.LINGERING
        self._intake.end(Reason.ABANDONED)
        try:
            self._transport.write_eof()
        except OSError:
            self._transport.abort()
            return
        self._resume_reading()

    def begin_drain(self) -> None:
        """End now if idle, else with the response to the request in hand."""
        if self._phase is Phase.DRAINING or self._waiting_for() is Wait.REQUEST:
            self._close()

    def abort(self) -> None:
        """End at once, whatever is under way."""
        self._transport.abort()

    # Time-outs.

    def check(self) -> None:
        """Called at each sweep: has the peer been silent for too long?"""
        service = self._service
        wait = self._waiting_for()
        waited = self._patience.waited(service.tick, wait, self._progress_of(wait))
        if wait is not Wait.NOTHING and waited >= service.patience[wait]:
            self._give_up(wait)

    def _waiting_for(self) -> Wait:
        if self._phase is not Phase.OPEN:
            return _PHASE_WAITS[self._phase]
        if self._sender.waits_for_peer:
            return Wait.READING
        if self._current is None:
            return Wait.HEAD if self._intake.head_begun else Wait.REQUEST
        body = self._intake.body
        if body is not None and self._reading and not body.expects_continue:
            return Wait.BODY
        return Wait.NOTHING

    def _progress_of(self, wait: Wait) -> int:
        """A number that changes whenever the peer has done something."""
        if wait is Wait.HEAD:
            # A head has a time of its own, however it trickles in.
            return self._intake.head_count
        if wait in (Wait.DRAIN, Wait.LINGER):
            return 0
        return self._received_bytes + self._sender.sent_bytes - self._transport.get_write_buffer_size()

    def _give_up(self, wait: Wait) -> None:
        if wait is Wait.HEAD:
            self._intake.refuse(Rejected(Reason.HEAD_TIMEOUT, "a head did not arrive in time"))
            self._next()
        elif wait is Wait.BODY:
            self._intake.end(Reason.BODY_TIMEOUT)
        elif wait is Wait.READING:
            self._cut()
        else:
            self._close()


_PHASE_WAITS = {
    Phase.DRAINING: Wait.DRAIN,
    Phase.LINGERING: Wait.LINGER,
    Phase.CLOSING: Wait.READING,
    Phase.CLOSED: Wait.NOTHING,
}


def _render_address(address: object) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return str(address or "")

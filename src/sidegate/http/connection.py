"""One connection: requests are answered in order, then it ends well.

Joins the receiving half (`intake`) and the sending half (`sender`): decides
which request is next, what its response's head says, what becomes of an
unread body, and when a silent peer has had its time.  Handlers are called
from here and nowhere else; what needs none is the business of
`plain_connection`.

When the peer vanishes, a handler's task goes on: it may be committing what
it has read.  Its Body.read raises and its response is dropped.  A task that
only sends is cancelled at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import cast

from sidegate.http.body import BodyState, IncomingBody
from sidegate.http.errors import Reason, Rejected
from sidegate.http.head import CONTINUE
from sidegate.http.intake import Intake
from sidegate.http.low_water import LowWaterMark
from sidegate.http.message import AWAITED_NO_BODY, NO_BODY, Body, Handler, Request, Response
from sidegate.http.patience import Patience, Wait
from sidegate.http.peer import render_address
from sidegate.http.phases import PHASE_WAITS, Phase
from sidegate.http.pulling import Pull
from sidegate.http.responder import Responder
from sidegate.http.sender import Sender
from sidegate.http.service import Service
from sidegate.scheduling import quick_answers

_log = logging.getLogger("sidegate.http")


class Connection(asyncio.BufferedProtocol):
    """The asyncio protocol of one accepted socket."""

    __slots__ = (
        "_current",
        "_dispatching",
        "_drained_bytes",
        "_ended",
        "_handler",
        "_intake",
        "_mark",
        "_patience",
        "_phase",
        "_reading",
        "_received_bytes",
        "_responder",
        "_sender",
        "_service",
        "_transport",
    )

    _transport: asyncio.Transport
    _intake: Intake
    _sender: Sender
    _responder: Responder
    _handler: Handler

    def __init__(self, service: Service) -> None:
        self._service = service
        self._phase = Phase.OPEN
        self._current: Request | None = None
        # Whether `_dispatch` is at work further up the stack.
        self._dispatching = False
        # Whether the transport is asked for bytes, and whether it has said that there are no more.
        self._reading = True
        self._ended = False
        self._received_bytes = 0
        self._drained_bytes = 0
        self._patience = Patience()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once, when the socket is accepted."""
        # uvloop's transports are not registered as asyncio.Transport.
        self._transport = transport = cast("asyncio.Transport", transport)
        service = self._service
        self._mark = LowWaterMark(transport)
        self._sender = Sender(transport, service.loop, service.pipe)
        self._responder = Responder(self, service, transport, self._sender)
        peer = render_address(transport.get_extra_info("peername"))
        self._intake = Intake(self, service, peer)
        handler = service.admit(self)
        if handler is None:
            transport.abort()
        else:
            self._serve(handler)

    def _serve(self, handler: Handler) -> None:
        self._handler = handler

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by the transport for room to receive into."""
        return self._intake.window or self._intake.open_window()

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the transport when bytes are in that room."""
        self._take_received(nbytes, 0)

    def _take_received(self, count: int, start: int) -> None:
        """Take what is in the room, up to `count`; what precedes `start` was taken elsewhere."""
        intake = self._intake
        self._received_bytes += count
        intake.received(count, start)
        self._mark.expect(intake.owed_bytes)
        if self._phase is Phase.OPEN:
            if self._current is None:
                self._dispatch()
            self._pause_if_full()
        elif self._phase is Phase.DRAINING:
            self._drain(count)

    def _pause_if_full(self) -> None:
        intake = self._intake
        if (intake.arrived or intake.body is not None) and self._reading and intake.full:
            self._reading = False
            self._transport.pause_reading()

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
        self._mark.close()
        self._intake.close()
        self._sender.close(exc or ConnectionResetError("the peer is gone"))

    # What a request body calls.

    def body_wanted(self) -> None:
        """Let the body come, and say so to a peer that waits for it."""
        body = self._intake.body
        if body is None:
            return
        if body.expects_continue and self._phase is Phase.OPEN:
            body.expects_continue = False
            self._transport.write(CONTINUE)
        self._resume_reading()

    def body_taken(self) -> None:
        """There is room for another block."""
        if not self._reading:
            self._resume_reading()

    def body_lent(self) -> Pull | None:
        """Let a thread receive, and read nothing meanwhile."""
        usual = self._phase is Phase.OPEN and not (self._ended or self._transport.is_closing())
        pull = self._intake.lend(self._transport) if usual else None
        if pull is not None and self._reading:
            self._reading = False
            self._transport.pause_reading()
        return pull

    def body_returned(self, pull: Pull) -> None:
        """Go on where a thread has ceased to receive."""
        self._received_bytes += self._intake.take_back(pull)
        self._mark.expect(self._intake.owed_bytes)
        if not pull.goes_on:
            self._resume_reading()

    def body_granted(self) -> None:
        """There is memory for what comes."""
        self._mark.lower()
        self._intake.granted()
        self._resume_reading()

    def body_gives_way(self) -> None:
        """Others wait for memory."""
        self._mark.lower()
        self._intake.give_way()

    def _resume_reading(self) -> None:
        if self._reading or self._intake.full or self._ended or self._transport.is_closing():
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
                else:
                    if self._ended or (self._service.draining and not intake.head_begun):
                        self._close()
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
        self._responder.reject(self._current, rejected.reason, closes=True)

    def _begin(self, request: Request) -> None:
        self._current = request
        if request.body is AWAITED_NO_BODY:
            self._transport.write(CONTINUE)
        try:
            answer = self._handler(request)
        except Exception as error:  # noqa: BLE001 - a handler's bug must not end the connection
            self._fail(error)
            if isinstance(request.body, IncomingBody):
                self._release(request.body)
            return
        if type(answer) is Response:
            if answer.segments is None:
                quick_answers.given = True
            bodiless = request.body is NO_BODY and request.keep_alive and not self._service.draining
            closes = not bodiless and self._must_close(request)
            if isinstance(request.body, IncomingBody):
                self._release(request.body)
            self._responder.respond(request, answer, closes=closes)
        else:
            awaitable = cast("Awaitable[Response]", answer)
            self._service.create_task(self._await_answer(awaitable, request.body))

    async def _await_answer(self, answer: Awaitable[Response], body: Body) -> None:
        try:
            response = await answer
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                self.cut()
                raise
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - as in _begin
            self._fail(error)
        else:
            self._respond(response)
        finally:
            if isinstance(body, IncomingBody):
                self._release(body)

    def _release(self, body: IncomingBody) -> None:
        """Keep nothing of a body that nobody reads any more, also of what is still to come."""
        if body is self._intake.body:
            self._intake.discard()
        else:
            body.abandon()

    # Responses.

    def _respond(self, response: Response) -> None:
        request = self._current
        if request is None or self._phase is not Phase.OPEN or self._transport.is_closing():
            self._responder.drop(response)
            self.cut()
            return
        self._responder.respond(request, response, closes=self._must_close(request))

    def _fail(self, error: BaseException) -> None:
        request = self._current
        if request is None or self._phase is not Phase.OPEN or self._transport.is_closing():
            self.cut()
            return
        self._responder.fail(request, error, closes=self._must_close(request))

    def _must_close(self, request: Request) -> bool:
        """Whether there can be no request after this one."""
        if not request.keep_alive or self._service.draining:
            return True
        body = request.body
        if body is NO_BODY or not isinstance(body, IncomingBody) or body.state is BodyState.FINISHED:
            return False
        if body.state is BodyState.FAILED or (self._intake.lent and body is self._intake.body):
            return True
        if body.expects_continue:
            # The peer may or may not send the body now (RFC 9110 section 10.1.1).
            return True
        unread = self._intake.owes(body)
        return unread is not None and unread > self._service.limits.drain_bytes

    def responded(self, *, closes: bool) -> None:
        """Called by the responder when a response has left."""
        request, self._current = self._current, None
        if closes:
            self._close()
        elif request is not None and request.body is self._intake.body:
            self._phase = Phase.DRAINING
            self._drained_bytes = 0
            self._intake.discard()
            self._resume_reading()
        elif not self._dispatching:
            self._next()

    def cut(self) -> None:
        """End the connection so that the peer cannot take it for a good end."""
        self._current = None
        if self._phase is not Phase.CLOSED:
            self._phase = Phase.CLOSING
        self._transport.abort()

    # Endings.

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
        unread = self._intake.body is not None or self._intake.broken
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
        if waited:
            self._mark.lower()
        if wait is not Wait.NOTHING and waited >= service.patience[wait]:
            self._give_up(wait)

    def _waiting_for(self) -> Wait:
        if self._phase is not Phase.OPEN:
            return PHASE_WAITS[self._phase]
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
            self.cut()
        else:
            self._close()

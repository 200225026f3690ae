"""One response at a time: its head, its way out, and the account of it.

Decides what the framing lines of a head say and what becomes of a response
that cannot be made, or not be finished: before its first byte it is
replaced, after it the connection is cut, so that no client takes a part for
the whole.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from sidegate.http.errors import BodyTruncated, Reason, SegmentTruncated
from sidegate.http.head import BODILESS_STATUS
from sidegate.http.message import Request, Response, Segments
from sidegate.http.segments import chunk_segments, close_unused
from sidegate.http.sender import JOIN_BYTES, Sender
from sidegate.http.service import Service
from sidegate.http.shortcut import FileAnswer, StreamedAnswer

# Stands for the response of a shortcut, which wants to hear nothing of its end.
_UNREPORTED = Response(200)

_log = logging.getLogger("sidegate.http")


class ResponderOwner(Protocol):
    """The connection, as its responder sees it."""

    def responded(self, *, closes: bool) -> None:
        """The response has left; `closes`: it was announced as the last one."""
        ...

    def cut(self) -> None:
        """The response cannot be finished: end the connection at once."""
        ...


class Responder:
    """Answers one request after the other on a transport."""

    __slots__ = (
        "_closes",
        "_fallback",
        "_keeper",
        "_owner",
        "_request",
        "_response",
        "_sender",
        "_service",
        "_transport",
    )

    _request: Request
    _response: Response

    def __init__(
        self, owner: ResponderOwner, service: Service, transport: asyncio.Transport, sender: Sender
    ) -> None:
        self._owner = owner
        self._service = service
        self._transport = transport
        self._sender = sender
        self._closes = False
        # The response that was made because another could not be.
        self._fallback: Response | None = None
        # What keeps a file open while it is sent.
        self._keeper: object = None

    def respond(self, request: Request, response: Response, *, closes: bool) -> None:
        """Send a response; `closes`: it is the last on this connection."""
        line = b""
        if closes:
            line = b"Connection: close\r\n"
        elif request.version != "1.1":
            line = b"Connection: keep-alive\r\n"
        body = response.body
        try:
            if response.segments is not None:
                self._stream(request, response, response.segments, line, closes=closes)
                return
            length = len(body)
            if request.method == "HEAD" or response.status in BODILESS_STATUS:
                body = b""
            elif response.length is not None and response.length != length:
                raise SegmentTruncated(f"a body of {length} bytes was announced as {response.length}")
            if response.length is not None:
                length = response.length
            if len(body) <= JOIN_BYTES:
                answer = self._service.renderer.render(response, length, line, body)
                body = b""
            else:
                answer = self._service.renderer.render(response, length, line)
        except Exception as error:  # noqa: BLE001 - whatever a handler put in, the answer is 500
            close_unused(response.segments, self._service.loop)
            _report(response, complete=False)
            self._replace(request, response, error, closes=closes)
            return
        if body:
            self._transport.writelines((answer, body))
        else:
            self._transport.write(answer)
        if response.on_sent is not None:
            _report(response, complete=True)
        self._owner.responded(closes=closes)

    def stream(self, request: Request, answer: FileAnswer | StreamedAnswer) -> None:
        """Send what a shortcut answered, or what is left of it; more requests may follow."""
        self._request = request
        self._response = _UNREPORTED
        self._closes = False
        if isinstance(answer, FileAnswer):
            self._keeper = answer.keeper
            self._sender.finish_file(self._streamed)
        else:
            self._sender.send(answer.head, answer.segments, answer.length, self._streamed)

    def fail(self, request: Request, error: BaseException, *, closes: bool) -> None:
        """Answer for a handler that raised."""
        if isinstance(error, BodyTruncated):
            reason = error.reason
            closes = True
        else:
            reason = Reason.HANDLER_FAILED
            _log.error("no response to %s %r", request.method, request.target, exc_info=error)
        self.reject(request, reason, closes=closes)

    def reject(self, request: Request, reason: Reason, *, closes: bool) -> None:
        """Answer with what the reject hook makes of a reason."""
        self._fallback = self._service.rejection(reason)
        self.respond(request, self._fallback, closes=closes)

    def drop(self, response: Response) -> None:
        """Account for a response that nobody is there to get."""
        close_unused(response.segments, self._service.loop)
        _report(response, complete=False)

    def _stream(
        self, request: Request, response: Response, segments: Segments, line: bytes, *, closes: bool
    ) -> None:
        length = response.length
        if length is None:
            if request.version == "1.1":
                line += b"Transfer-Encoding: chunked\r\n"
            else:
                closes, line = True, b"Connection: close\r\n"
        head = self._service.renderer.render(response, length, line)
        if request.method == "HEAD" or response.status in BODILESS_STATUS:
            close_unused(segments, self._service.loop)
            segments, length = iter(()), 0
        elif length is None and request.version == "1.1":
            segments = chunk_segments(segments)
        self._request = request
        self._response = response
        self._closes = closes
        self._sender.send(head, segments, length, self._streamed)

    def _streamed(self, error: BaseException | None) -> None:
        response = self._response
        self._keeper = None
        _report(response, complete=error is None)
        if error is None:
            self._owner.responded(closes=self._closes)
        elif self._transport.is_closing() or (self._sender.begun and isinstance(error, ConnectionError)):
            # The peer went away: nobody's fault.
            self._owner.cut()
        elif self._sender.begun:
            _log.error("a response was cut short: %r", self._request.target, exc_info=error)
            self._owner.cut()
        else:
            self._replace(self._request, response, error, closes=self._closes)

    def _replace(self, request: Request, response: Response, error: BaseException, *, closes: bool) -> None:
        if response is self._fallback:
            _log.error("the reject hook's response cannot be sent", exc_info=error)
            self._owner.cut()
        else:
            self.fail(request, error, closes=closes)


def _report(response: Response, *, complete: bool) -> None:
    if response.on_sent is None:
        return
    try:
        response.on_sent(complete)
    except Exception:  # noqa: BLE001 - the response has left; only its owner has a bug
        _log.exception("on_sent failed")

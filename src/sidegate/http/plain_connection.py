"""A connection whose plain requests go past parser and handler.

Decides when the shortcuts are asked: a plain request begins exactly where the
last one ended, nothing else is in hand, and the server takes requests.  What
they leave goes to the parser from its first byte.  A plain PUT whose body is
still to come is received as any other body; only who reads it is another.
"""

from __future__ import annotations

import logging
from typing import cast

from sidegate.http.connection import Connection
from sidegate.http.message import NO_BODY, Handler, Request, Response
from sidegate.http.phases import Phase
from sidegate.http.plain_puts import STORING, PlainPuts, render_stored
from sidegate.http.service import Service
from sidegate.http.shortcut import FileAnswer, Found, Outcome, Shortcut, StreamedAnswer
from sidegate.scheduling import quick_answers

_log = logging.getLogger("sidegate.http")


class PlainConnection(Connection):
    """The asyncio protocol of one accepted socket, with the short ways."""

    __slots__ = ("_shortcut",)

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._shortcut: Shortcut | None = None

    def _serve(self, handler: Handler) -> None:
        super()._serve(handler)
        # Who refuses all must be asked.
        if handler is self._service.handler:
            self._shortcut = self._service.shortcut

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the transport when bytes are in that room."""
        taken = 0
        if self._intake.fresh and self._shortcut is not None and self._current is None:
            taken = self._take_plain(self._shortcut, nbytes)
            if taken == nbytes:
                self._received_bytes += nbytes
                return
        self._take_received(nbytes, taken)

    def _take_plain(self, shortcut: Shortcut, end: int) -> int:
        """Take the plain requests at the start of the receive buffer; return where they end.

        There is no request in hand and no other has arrived.
        """
        service = self._service
        scan, opening = service.scan_head, service.renderer.opening
        start = 0
        self._dispatching = True
        try:
            while start < end and self._current is None and not (self._sender.paused or service.draining):
                try:
                    found = scan(start, end)
                    if found is None:
                        start = self._take_put(start, end)
                        break
                    answer = shortcut.answer(found, opening)
                except Exception:  # noqa: BLE001 - the handler is asked, and answers for it
                    _log.exception("a shortcut failed")
                    break
                if answer is None:
                    break
                start = found[0]
                self._intake.head_count += 1
                if type(answer) is bytes:
                    quick_answers.given = True
                    self._transport.write(answer)
                elif type(answer) is not FileAnswer or not self._sender.send_file(answer.head, answer.file):
                    self._stream(found[2], cast("FileAnswer | StreamedAnswer", answer))
        except Exception:  # noqa: BLE001 - a part may have left, and the next answer must not follow it
            _log.exception("the answer of a shortcut could not be sent")
            self.cut()
        finally:
            self._dispatching = False
        return start

    def _stream(self, path: str, answer: FileAnswer | StreamedAnswer) -> None:
        request = self._current = Request("GET", path.encode(), "1.1", [], NO_BODY, "")
        self._responder.stream(request, answer)

    # Plain PUTs.

    def _take_put(self, start: int, end: int) -> int:
        """Begin to store a plain PUT; return where what is here of it ends, `start` if there is none."""
        puts = self._service.puts
        found = puts.scan(start, end) if puts is not None else None
        if puts is None or found is None:
            return start
        stop: int = found[0] + found[5]
        if stop > end:
            return end if self._receive_put(puts, found, start, end) else start
        if not puts.take(found, start, self._stored):
            return start
        self._intake.head_count += 1
        self._current = STORING
        return stop

    def _receive_put(self, puts: PlainPuts, found: Found, start: int, end: int) -> bool:
        """Begin to receive a plain PUT whose body is still to come; whether it is one."""
        store = puts.receiver(found, start)
        if store is None:
            return False
        body = self._intake.begin_body(found[5], found[0], end, expects_continue=found[-1] is not None)
        self._current = Request("PUT", found[2].encode(), "1.1", [], body, "")
        self._service.create_task(self._await_answer(store(body), body))
        self._mark.expect(self._intake.owed_bytes)
        self._pause_if_full()
        return True

    def _stored(self, outcome: Outcome) -> None:
        """Answer a plain PUT that came whole."""
        service = self._service
        if service.puts is not None:
            service.puts.ended()
        usual = self._phase is Phase.OPEN and not (service.draining or self._transport.is_closing())
        if isinstance(outcome, BaseException):
            self._fail(outcome)
        elif isinstance(outcome, Response):
            self._respond(outcome)
        elif usual:
            self._current = None
            self._transport.write(render_stored(service.renderer, outcome))
            self._next()
        else:
            self._respond(Response(200, raw_headers=outcome))

"""The process over the workers of one server: accepts, hands over, restarts, drains.

Each connection goes to the worker that has the fewest.  A worker that dies is
replaced; what was handed to it and not yet taken waits in its channel for the next
one.  Knows nothing of what workers do: how one is started is handed in.
"""

from __future__ import annotations

import logging
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

from sidegate.errors import Unavailable
from sidegate.http.handover import channel_pair, hand_over, hear_ready
from sidegate.http.loopback import prefer_unpaced
from sidegate.http.tally import Tally

TAKEN, ENDED = 0, 1
"""Columns of a worker's row: connections it took from its channel, and those that have ended."""

COLUMNS = 2

STABLE_SECONDS = 30.0
"""A worker that lived as long is replaced at once; others wait longer each time."""

FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.1, 10.0

MARGIN_SECONDS = 5.0
"""What a worker may take beyond its grace to close its store before it is killed."""

POLL_SECONDS = 0.1
"""How late the end of a worker is noticed by a thread that gets no signals."""

TWICE_SECONDS = 0.5
"""Signals closer together are one: timeout(1) tells a process and then its group."""

_RETRY_SECONDS = 0.02
_ACCEPTS_PER_TURN = 64
_TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGHUP)
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_log = logging.getLogger("sidegate.http")

BACKLOG = 1024

StartWorker = Callable[[int, socket.socket], subprocess.Popen[bytes]]
"""Starts worker N, from 1 on, which serves what comes over the channel."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Return a socket on each address of `host`, all on one port (0: any); raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((info[0], info[4]) for info in found):
            taken = listeners[0].getsockname()[1] if listeners else port
            listener = socket.create_server((address[0], taken, *address[2:]), family=family, backlog=BACKLOG)
            listener.setblocking(False)
            # Accepted sockets inherit it; a response is never worth waiting to fill a packet.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            prefer_unpaced(listener)
            listeners.append(listener)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def restart_delay_seconds(deaths: int) -> float:
    """Return how long to wait after as many deaths in a row, each of a young worker."""
    return min(FIRST_DELAY_SECONDS * 2 ** (deaths - 2), LONGEST_DELAY_SECONDS) if deaths > 1 else 0.0


class _Worker:
    """One place for a worker, whichever process is in it."""

    def __init__(self, number: int, row: memoryview) -> None:
        self.number = number
        self.channel, self.far_end = channel_pair()
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.started_seconds = 0.0
        self.restart_seconds = 0.0
        self.deaths = 0
        self._row = row
        self._passed = 0
        self._passed_ever = 0

    @property
    def preference(self) -> tuple[bool, int, int]:
        """What sorts first gets the next connection; among equals the one that had the fewest so far."""
        return not self.ready, self.load, self._passed_ever

    @property
    def load(self) -> int:
        """How many connections it has or will find in its channel."""
        return self._passed - int(self._row[ENDED])

    def offer(self, connection: socket.socket) -> bool:
        """Hand a connection over; False if there is no room."""
        if not hand_over(self.channel, connection):
            return False
        self._passed += 1
        self._passed_ever += 1
        return True

    def forget_taken(self) -> None:
        """Count only what still lies in the channel: the rest died with its process."""
        self._passed -= int(self._row[TAKEN])

    def close(self) -> None:
        self.channel.close()
        self.far_end.close()


class Supervisor:
    """Serves listening sockets through worker processes, on one thread."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        start: StartWorker,
        tally: Tally,
        *,
        grace_seconds: float,
        signals: bool = True,
        on_death: Callable[[int], None] = lambda number: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes over `listeners`; starts one worker for each row of `tally`.

        The first columns of a row are `TAKEN` and `ENDED`, the others are the worker's own.
        `on_death` gets the number of a worker that ended unasked, before it is
        replaced.  With `signals` it belongs to the main thread, and SIGINT, SIGTERM
        and SIGHUP stop it as `stop` does.
        """
        self._listeners = listeners
        self._start = start
        self._tally = tally
        self._grace_seconds = grace_seconds
        self._heeds_signals = signals
        self._on_death = on_death
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._asked_seconds: float | None = None
        self._hurried = False
        self._held: socket.socket | None = None
        self._wakeup, self._write_end = channel_pair()
        self._workers = [_Worker(number, row) for number, row in enumerate(tally.rows, 1)]

    def stop(self) -> None:
        """Let `run` drain and return; from any thread, and any number of times."""
        with suppress(OSError):  # it has ended
            self._write_end.send(bytes([signal.SIGTERM]))

    def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until told to stop, then drain; a second signal cuts that short.

        `on_ready` is called once every worker serves.  Raises Unavailable when
        one ends before it could.
        """
        with self._signals():
            self._selector.register(self._wakeup, selectors.EVENT_READ, self._hear_signals)
            try:
                for worker in self._workers:
                    self._launch(worker)
                    self._selector.register(worker.channel, selectors.EVENT_READ, self._hearing(worker))
                if self._await_ready():
                    on_ready()
                    self._listen()
                    self._serve()
            finally:
                self._end()

    # -- while serving -----------------------------------------------------

    def _await_ready(self) -> bool:
        """Return once all serve, False when asked to stop before; raises Unavailable."""
        while self._asked_seconds is None and not all(worker.ready for worker in self._workers):
            self._turn(self._patience_seconds())
            for worker in self._workers:
                code = worker.process.poll() if worker.process is not None else None
                if code is not None and self._asked_seconds is None:
                    raise Unavailable(
                        f"worker {worker.number} could not serve: its process {_describe_end(code)}",
                        remedy="what it said stands above; --workers 1 serves without worker processes",
                    )
        return self._asked_seconds is None

    def _serve(self) -> None:
        while self._asked_seconds is None:
            self._turn(self._patience_seconds())
            self._reap()
            self._revive()
            if self._held is not None and self._place(self._held):
                self._held = None
                self._listen()

    def _turn(self, timeout_seconds: float | None) -> None:
        for key, _ in self._selector.select(timeout_seconds):
            key.data()

    def _patience_seconds(self) -> float | None:
        """Return when something is due that no descriptor announces."""
        waits = [w.restart_seconds - self._clock() for w in self._workers if w.process is None]
        if self._held is not None:
            waits.append(_RETRY_SECONDS)
        if not self._heeds_signals:
            waits.append(POLL_SECONDS)
        return max(0.0, min(waits)) if waits else None

    def _listen(self) -> None:
        for listener in self._listeners:
            self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, listener))

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            if self._held is not None:
                return
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                _log.warning("cannot accept a connection: %s", error.strerror or error)
                time.sleep(_RETRY_SECONDS)  # out of descriptors or memory: it stays in the backlog
                return
            if not self._place(connection):
                # Every channel is full: the backlog holds the rest.
                self._held = connection
                for one in self._listeners:
                    self._selector.unregister(one)

    def _place(self, connection: socket.socket) -> bool:
        """Give a connection to the worker with the fewest; one that is starting comes last."""
        for worker in sorted(self._workers, key=lambda worker: worker.preference):
            if worker.offer(connection):
                connection.close()
                return True
        return False

    def _hearing(self, worker: _Worker) -> Callable[[], None]:
        def hear() -> None:
            worker.ready = hear_ready(worker.channel) or worker.ready

        return hear

    # -- the lives of workers ------------------------------------------------

    def _launch(self, worker: _Worker) -> None:
        worker.started_seconds = self._clock()
        # What a terminal sends to all its processes is for the supervisor to act on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _TERMINAL_SIGNALS)
        try:
            worker.process = self._start(worker.number, worker.far_end)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _reap(self) -> None:
        for worker in self._workers:
            if worker.process is None or (code := worker.process.poll()) is None:
                continue
            now = self._clock()
            if now - worker.started_seconds >= STABLE_SECONDS:
                worker.deaths = 0
            worker.deaths += 1
            delay = restart_delay_seconds(worker.deaths)
            _log.warning(
                "worker %d (process %d) %s; another one starts%s",
                worker.number,
                worker.process.pid,
                _describe_end(code),
                f" in {delay:g} s" if delay else "",
            )
            worker.process, worker.ready = None, False
            worker.restart_seconds = now + delay
            worker.forget_taken()
            self._tally.clear(worker.number - 1)
            self._on_death(worker.number)

    def _revive(self) -> None:
        for worker in self._workers:
            if worker.process is None and worker.restart_seconds <= self._clock():
                try:
                    self._launch(worker)
                except OSError as error:
                    worker.deaths += 1
                    worker.restart_seconds = self._clock() + restart_delay_seconds(worker.deaths)
                    _log.warning("cannot start worker %d: %s", worker.number, error.strerror or error)

    def _end(self) -> None:
        """Let the workers finish what they have in hand, kill those that do not end."""
        for key in list(self._selector.get_map().values()):
            if key.data != self._hear_signals:
                self._selector.unregister(key.fileobj)
        for listener in self._listeners:
            listener.close()
        if self._held is not None:
            self._held.close()
        for worker in self._workers:
            worker.close()  # its end is what tells a worker to stop
        deadline = self._clock() + self._grace_seconds + MARGIN_SECONDS
        while any(w.process is not None and w.process.poll() is None for w in self._workers):
            left = deadline - self._clock()
            if left <= 0 or self._hurried:
                break
            self._turn(left if self._heeds_signals else min(left, POLL_SECONDS))
        for worker in self._workers:
            if worker.process is not None:
                if worker.process.poll() is None:
                    _log.warning("worker %d did not end in time and is killed", worker.number)
                    worker.process.kill()
                worker.process.wait()
        self._selector.close()

    # -- signals -------------------------------------------------------------

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn signals into bytes on a socket, so that none is missed between two waits."""
        before = {}
        if self._heeds_signals:
            fd_before = signal.set_wakeup_fd(self._write_end.fileno(), warn_on_full_buffer=False)
            for number in (*_STOP_SIGNALS, signal.SIGCHLD):
                if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGCHLD:  # nohup
                    before[number] = signal.signal(number, _note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if self._heeds_signals:
                signal.set_wakeup_fd(fd_before)
            self._wakeup.close()
            self._write_end.close()

    def _hear_signals(self) -> None:
        try:
            numbers = self._wakeup.recv(4096)
        except BlockingIOError:
            return
        if not any(number in _STOP_SIGNALS for number in numbers):
            return
        now = self._clock()
        if self._asked_seconds is None:
            self._asked_seconds = now
        elif now - self._asked_seconds > TWICE_SECONDS:
            self._hurried = True


def _note(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the number is on the socket already."""


def _describe_end(code: int) -> str:
    """Say in words how a process ended (subprocess: negative is a signal)."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"

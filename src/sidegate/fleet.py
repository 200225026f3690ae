"""Worker processes of a gateway: what they are told, how they start, what they report.

`sidegate serve` has a fleet on its main thread, a job's sidecar may have one in a thread
beside the job; both do what must happen once in the process that has the fleet.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from sidegate.descriptors import raise_descriptor_limit
from sidegate.gateway.activity import CELLS, Activity, SharedActivity
from sidegate.gateway.authorization import require_keys
from sidegate.gateway.general import GeneralNamespace
from sidegate.gateway.namespace import Namespace
from sidegate.gateway.serving import Elsewhere, Options, running_gateway
from sidegate.gateway.session import JobSession
from sidegate.gateway.traffic import Traffic
from sidegate.http import loops
from sidegate.http.handover import Adoption
from sidegate.http.supervisor import COLUMNS, ENDED, TAKEN, Supervisor, listen
from sidegate.http.tally import Tally
from sidegate.pfs.ids import CommitId
from sidegate.pfs.store import Durability, Store

SWITCH_INTERVAL_SECONDS = 0.0005
"""How long a thread that hashes may keep the loop waiting for the GIL; Python's
default of 5 ms is a hundred requests."""

REPORT_SECONDS = 0.25
"""How old the traffic may be that a person is shown."""


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """The view of a job that workers serve; see `JobSession`."""

    inputs: Mapping[str, str]
    staging: str | None
    pipeline: str
    own_reads: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What every worker of a fleet serves; without a `session` the whole store."""

    directory: str
    durability: Durability
    base_domains: Sequence[str]
    loop: str
    parser: str
    md5_tags: bool
    grace_seconds: float
    access_keys: Mapping[str, str] | None = None
    session: SessionOrder | None = None

    def encode(self) -> bytes:
        """Return the order as it is handed to a worker."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, text: str) -> Order:
        """Return what `encode` was given."""
        values = json.loads(text)
        session = values.pop("session")
        return cls(**values, session=SessionOrder(**session) if session is not None else None)


def tune_process() -> None:
    """Keep the loop responsive beside threads, and give it descriptors."""
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    raise_descriptor_limit()


# -- in the process that has the fleet ------------------------------------------


def make_tally(count: int) -> Tally:
    """Return the common memory of a supervisor and its workers."""
    return Tally.create(count, COLUMNS + CELLS)


def shared_activity(tally: Tally) -> SharedActivity:
    """Return what the workers are receiving."""
    return SharedActivity([row[COLUMNS:] for row in tally.rows])


def supervise(
    store: Store,
    order: Order,
    listeners: Sequence[socket.socket],
    tally: Tally,
    *,
    signals: bool = True,
    on_report: Callable[[int], None] | None = None,
) -> Supervisor:
    """Return the supervisor of as many workers as the tally has rows, to be run.

    `on_report` gets a descriptor for each process: what it reports, to be read and closed.
    """

    def start(number: int, channel: socket.socket) -> subprocess.Popen[bytes]:
        if on_report is None:
            return _start(number, channel, tally, order, -1)
        read_end, write_end = os.pipe()
        try:
            process = _start(number, channel, tally, order, write_end)
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        on_report(read_end)
        return process

    return Supervisor(
        listeners,
        start,
        tally,
        grace_seconds=order.grace_seconds,
        signals=signals,
        on_death=lambda _: store.changes.tell_all(),
    )


def _start(
    number: int, channel: socket.socket, tally: Tally, order: Order, report_fd: int
) -> subprocess.Popen[bytes]:
    descriptors = [channel.fileno(), tally.fd, report_fd]
    # -P: what lies in the current folder is nobody's module.
    words = [sys.executable, "-P", "-m", "sidegate.worker", str(number), str(len(tally.rows))]
    process = subprocess.Popen(
        [*words, *map(str, descriptors)],
        stdin=subprocess.PIPE,
        pass_fds=[fd for fd in descriptors if fd >= 0],
    )
    if process.stdin is not None:
        # Not among the arguments, which anyone on the machine may read: it holds the keys.
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(order.encode())
    return process


class SessionFleet:
    """The workers of one job attempt, beside it; they serve when the constructor returns."""

    def __init__(self, store: Store, order: Order, count: int, traffic: Traffic) -> None:
        """What the workers count is added to `traffic`.  Raises Unavailable when one cannot serve."""
        listeners = listen("127.0.0.1", 0)
        host, port = listeners[0].getsockname()
        self.endpoint = f"http://{host}:{port}"
        self._traffic = traffic
        self._lock = threading.Lock()
        self._readers: list[threading.Thread] = []
        self._tally = make_tally(count)
        self._supervisor = supervise(
            store, order, listeners, self._tally, signals=False, on_report=self._listen_to
        )
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self.close()
            raise self._error

    def close(self) -> None:
        """Let the workers finish and end, and count what they did; safe to call twice."""
        if not self._thread.is_alive() and not self._readers:
            return
        self._supervisor.stop()
        self._thread.join()
        for reader in self._readers:
            reader.join()
        self._readers.clear()
        self._tally.close()

    def _run(self) -> None:
        try:
            self._supervisor.run(self._ready.set)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._error = error
        finally:
            self._ready.set()

    def _listen_to(self, report_fd: int) -> None:
        reader = threading.Thread(target=self._read, args=(report_fd,), name="traffic", daemon=True)
        self._readers.append(reader)
        reader.start()

    def _read(self, report_fd: int) -> None:
        with os.fdopen(report_fd, "rb") as reports:
            for line in reports:
                if line.endswith(b"\n"):  # else its writer was killed
                    with self._lock:
                        self._traffic.add(json.loads(line))


# -- in a worker -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker process was started with: who it is, and its descriptors; no reports: -1."""

    number: int
    count: int
    channel: socket.socket
    tally_fd: int
    report_fd: int


def serve_as_worker(place: Place, order_text: str, environment: Mapping[str, str]) -> None:
    """Serve what the supervisor hands over, until it ends or SIGTERM comes; see `worker`."""
    order = Order.decode(order_text)
    tune_process()
    row = Tally(place.tally_fd, place.count, COLUMNS + CELLS).rows[place.number - 1]
    with Store.open(Path(order.directory), durability=order.durability) as store:
        namespace = _namespace(store, order.session)
        served = _serve(store, order, namespace, place, row, environment)
        loops.run(served, order.loop)


def _namespace(store: Store, session: SessionOrder | None) -> Namespace:
    if session is None:
        return GeneralNamespace(store)
    return JobSession(
        store,
        {name: store.commits.get(CommitId(commit)) for name, commit in session.inputs.items()},
        store.stagings.get(session.staging) if session.staging is not None else None,
        pipeline=session.pipeline,
        own_reads=session.own_reads,
    )


async def _serve(
    store: Store,
    order: Order,
    namespace: Namespace,
    place: Place,
    row: memoryview,
    environment: Mapping[str, str],
) -> None:
    def count(column: int) -> None:
        row[column] += 1

    options = Options(
        base_domains=tuple(order.base_domains),
        authorize=require_keys(order.access_keys, store.clock) if order.access_keys else None,
        loop=order.loop,
        parser=order.parser,
        md5_tags=order.md5_tags,
        grace_seconds=order.grace_seconds,
        worker=str(place.number),
        environment=environment,
    )
    accepted = Elsewhere(partial(count, ENDED))
    activity = Activity(row[COLUMNS:])
    async with (
        _reporting(namespace.traffic, place.report_fd),
        running_gateway(store, namespace, options, activity, accepted) as server,
    ):
        adoption = Adoption(
            place.channel, server, on_taken=partial(count, TAKEN), on_failure=partial(count, ENDED)
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, adoption.stop)
        await adoption.run()


@asynccontextmanager
async def _reporting(traffic: Traffic | None, report_fd: int) -> AsyncIterator[None]:
    """Report what was counted, again and again while the block runs and once at its end."""
    if traffic is None or report_fd < 0:
        yield
        return
    ended = asyncio.Event()
    with os.fdopen(report_fd, "wb", buffering=0) as reports:
        task = asyncio.get_running_loop().create_task(_report(traffic, reports, ended))
        try:
            yield
        finally:
            ended.set()
            await task


async def _report(traffic: Traffic, reports: IO[bytes], ended: asyncio.Event) -> None:
    while not ended.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), REPORT_SECONDS)
        # Taken on the loop, where it is counted; written where waiting hurts nobody.
        taken = traffic.take()
        await asyncio.to_thread(_write_report, reports, taken)


def _write_report(reports: IO[bytes], taken: Mapping[str, Any]) -> None:
    line = memoryview(json.dumps(taken).encode() + b"\n")
    with suppress(BrokenPipeError):  # nobody is there to be told
        while line:
            line = line[reports.write(line) :]

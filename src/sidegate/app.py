"""From configuration to objects: the only place where all layers meet.

Gives the job runner its gateways and runs the open gateway.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from sidegate.errors import Denied, Invalid
from sidegate.gateway.activity import CELLS, Activity, SharedActivity
from sidegate.gateway.authorization import require_keys
from sidegate.gateway.general import GeneralNamespace
from sidegate.gateway.publication import judge_output
from sidegate.gateway.quiet import finish_quiet
from sidegate.gateway.serving import (
    GRACE_SECONDS,
    Elsewhere,
    GatewayThread,
    Options,
    address_taken,
    repeat,
    repeating,
    running_gateway,
)
from sidegate.gateway.session import JobSession
from sidegate.gateway.traffic import COPY, BucketTraffic
from sidegate.http import loops
from sidegate.http.handover import Adoption
from sidegate.http.supervisor import COLUMNS, ENDED, TAKEN, Supervisor, listen
from sidegate.http.tally import Tally
from sidegate.pfs.commits import Commit
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store
from sidegate.pps.sessions import OpenSession, Session, Verdict
from sidegate.pps.traffic import PlaceTraffic, SessionTraffic

SIDECAR_GRACE_SECONDS = 2.0
"""The job's process is gone when its sidecar drains; only strays are cut off."""

SWITCH_INTERVAL_SECONDS = 0.0005
"""How long a thread that hashes may keep the loop waiting for the GIL; Python's
default of 5 ms is a hundred requests."""


BASE_DOMAIN = "s3.localhost"
"""`BUCKET.s3.localhost` names a bucket; whatever ends in localhost is this machine (RFC 6761, 6.3)."""


@dataclass(frozen=True, slots=True)
class SidecarSettings:
    """How the gateways of a job are served."""

    loop: str = "auto"
    parser: str = "auto"
    md5_tags: bool = False


class _Sidecar:
    """A running sidecar as the job runner sees it."""

    def __init__(self, store: Store, staging: Staging | None, job_session: JobSession, thread: GatewayThread):
        self._store = store
        self._staging = staging
        self._job_session = job_session
        self._thread = thread
        self.endpoint = thread.endpoint

    def verdict(self) -> Verdict:
        """Close the session to the job, then judge what it wrote."""
        self.close()
        if self._staging is None:
            return Verdict()
        judgement = judge_output(self._store, self._staging)
        return Verdict(judgement.refusal, judgement.keep)

    def traffic(self) -> SessionTraffic:
        """Say what the job did with its buckets so far."""
        counted = self._job_session.traffic
        return SessionTraffic(
            [_place_traffic(bucket) for bucket in counted.buckets.values()], dict(counted.denials())
        )

    def close(self) -> None:
        """End the gateway; safe to call twice."""
        self._job_session.close()
        self._thread.close()


def _place_traffic(bucket: BucketTraffic) -> PlaceTraffic:
    requests = bucket.requests
    return PlaceTraffic(
        bucket.name,
        requests,
        dict(bucket.refusals),
        objects_read=len(bucket.read_keys),
        objects_written=len(bucket.written_keys),
        objects_copied=requests.get(COPY, 0),
        read_bytes=bucket.sent_bytes,
        written_bytes=bucket.received_bytes,
        exact=bucket.is_exact,
    )


def sidecar_domains(pipeline: str) -> tuple[str, ...]:
    """Return the domains below which a bucket of a job is a host name.

    Beside the one that all have, the pipeline's own: `BUCKET.PIPELINE.localhost`. A host name has no
    underscore, so that becomes a hyphen, as in the names of buckets.
    """
    own = f"{pipeline.lower().replace('_', '-')}.localhost"
    return tuple(dict.fromkeys((BASE_DOMAIN, own)))


def session_opener(store: Store, settings: SidecarSettings) -> OpenSession:
    """Return what gives each datum attempt of a job its sidecar."""

    @contextmanager
    def open_session(
        inputs: Mapping[str, Commit], staging: Staging | None, policy: str, alias: str
    ) -> Iterator[Session]:
        job_session = JobSession(store, inputs, staging, pipeline=alias, own_reads=policy == "own-reads")
        options = Options(
            base_domains=sidecar_domains(alias),
            loop=settings.loop,
            parser=settings.parser,
            md5_tags=settings.md5_tags,
            grace_seconds=SIDECAR_GRACE_SECONDS,
        )
        sidecar = _Sidecar(store, staging, job_session, GatewayThread(store, job_session, options))
        try:
            yield sidecar
        finally:
            sidecar.close()

    return open_session


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How `sidegate serve` runs; `finish_after_seconds` None: never."""

    host: str = "127.0.0.1"
    port: int = 0
    finish_after_seconds: float | None = 5.0
    anonymous: bool = False
    base_domains: tuple[str, ...] = (BASE_DOMAIN,)
    loop: str = "auto"
    parser: str = "auto"
    md5_tags: bool = False
    access_keys: Mapping[str, str] | None = None
    workers: int = 1
    """Processes that serve; one serves in this process."""


def parse_address(address: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, `[IPv6]:PORT`, `:PORT` or `HOST`; raises Invalid."""
    host, separator, port = address.rpartition(":")
    if not separator or address.endswith("]"):
        host, port = address, "0"
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise Invalid(f"address {address!r} is not valid", remedy="use HOST:PORT with a port from 0 to 65535")
    return host, int(port)


def check_exposure(settings: ServeSettings) -> None:
    """Refuse to serve beyond loopback without keys unless told so; raises Denied."""
    if settings.anonymous or settings.access_keys or _is_loopback(settings.host):
        return
    raise Denied(
        f"serving on {settings.host} without keys would let anyone who reaches it read and write everything",
        remedy="serve on 127.0.0.1, set SIDEGATE_ACCESS_KEY and SIDEGATE_SECRET_KEY, or pass --anonymous",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


def serve(store: Store, settings: ServeSettings, on_ready: Callable[[str], None]) -> None:
    """Run the open gateway until SIGINT or SIGTERM; `on_ready` gets its URL.

    Raises Denied (see `check_exposure`), Unavailable when the address is taken.
    """
    check_exposure(settings)
    tune_threads()
    if settings.workers > 1:
        _supervise(store, settings, on_ready)
    else:
        loops.run(_serve(store, settings, on_ready), settings.loop)


async def _serve(store: Store, settings: ServeSettings, on_ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    activity = Activity()
    options = _options(store, settings)
    async with running_gateway(store, GeneralNamespace(store), options, activity) as server:
        on_ready(_endpoint(*server.address))
        finisher = _start_finisher(store, settings.finish_after_seconds, activity)
        await stop.wait()
        if finisher is not None:
            finisher.cancel()


def _options(store: Store, settings: ServeSettings, worker: str | None = None) -> Options:
    return Options(
        host=settings.host,
        port=settings.port,
        base_domains=settings.base_domains,
        authorize=require_keys(settings.access_keys, store.clock) if settings.access_keys else None,
        loop=settings.loop,
        parser=settings.parser,
        md5_tags=settings.md5_tags,
        worker=worker,
    )


def _endpoint(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _supervise(store: Store, settings: ServeSettings, on_ready: Callable[[str], None]) -> None:
    """Serve through worker processes; what must happen once happens in this one."""
    try:
        listeners = listen(settings.host, settings.port)
    except OSError as error:
        raise address_taken(settings.host, settings.port, error) from error
    address = listeners[0].getsockname()[:2]
    tally = Tally.create(settings.workers, COLUMNS + CELLS)
    activity = SharedActivity([row[COLUMNS:] for row in tally.rows])
    order = json.dumps(
        {
            "directory": str(store.directory.resolve()),
            "durability": store.durability,
            "settings": asdict(settings),
        }
    )

    def start(number: int, channel: socket.socket) -> subprocess.Popen[bytes]:
        return _start_worker(number, settings.workers, channel, tally, order)

    supervisor = Supervisor(
        listeners,
        start,
        tally,
        grace_seconds=GRACE_SECONDS,
        on_death=lambda _: store.changes.tell_all(),
    )
    with ExitStack() as stack:
        stack.callback(tally.close)
        every = settings.finish_after_seconds
        if every is not None:
            action = partial(finish_quiet, store, every, activity)
            stack.enter_context(repeating(action, _round_seconds(every)))
        supervisor.run(lambda: on_ready(_endpoint(*address)))


def _start_worker(
    number: int, count: int, channel: socket.socket, tally: Tally, order: str
) -> subprocess.Popen[bytes]:
    descriptors = channel.fileno(), tally.fd
    # -P: what lies in the current folder is nobody's module.
    words = [sys.executable, "-P", "-m", "sidegate.worker", str(number), str(count), *map(str, descriptors)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=descriptors)
    if process.stdin is not None:
        # Not among the arguments, which anyone on the machine may read: it holds the keys.
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(order.encode())
    return process


def serve_as_worker(number: int, count: int, channel: socket.socket, tally_fd: int, order: str) -> None:
    """Serve what the supervisor hands over, until it ends or SIGTERM comes; see `worker`."""
    known = json.loads(order)
    given = known["settings"]
    settings = ServeSettings(**given | {"base_domains": tuple(given["base_domains"])})
    tune_threads()
    tally = Tally(tally_fd, count, COLUMNS + CELLS)
    with Store.open(Path(known["directory"]), durability=known["durability"]) as store:
        loops.run(
            _serve_handed_over(store, settings, str(number), channel, tally.rows[number - 1]), settings.loop
        )


async def _serve_handed_over(
    store: Store, settings: ServeSettings, worker: str, channel: socket.socket, row: memoryview
) -> None:
    def count(column: int) -> None:
        row[column] += 1

    activity = Activity(row[COLUMNS:])
    options = _options(store, settings, worker)
    accepted = Elsewhere(partial(count, ENDED))
    async with running_gateway(store, GeneralNamespace(store), options, activity, accepted) as server:
        adoption = Adoption(channel, server, on_taken=partial(count, TAKEN), on_failure=partial(count, ENDED))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, adoption.stop)
        await adoption.run()


def _start_finisher(
    store: Store, quiet_seconds: float | None, activity: Activity
) -> asyncio.Task[None] | None:
    if quiet_seconds is None:
        return None
    action = partial(finish_quiet, store, quiet_seconds, activity)
    return asyncio.create_task(repeat(action, _round_seconds(quiet_seconds)))


def _round_seconds(quiet_seconds: float) -> float:
    """Return how often to look for open commits that have been quiet for so long."""
    return min(max(quiet_seconds / 5, 0.05), 1.0)


def tune_threads() -> None:
    """Keep the event loop responsive beside threads that hash."""
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)

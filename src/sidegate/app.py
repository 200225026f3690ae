"""From configuration to objects: the only place where all layers meet.

Gives the job runner its gateways and runs the open gateway.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Protocol

from sidegate.errors import Denied, Invalid
from sidegate.fleet import (
    Order,
    SessionFleet,
    SessionOrder,
    make_tally,
    shared_activity,
    supervise,
)
from sidegate.fleet import tune_process as tune_process
from sidegate.gateway.activity import Activity
from sidegate.gateway.authorization import require_keys
from sidegate.gateway.general import GeneralNamespace
from sidegate.gateway.publication import judge_output
from sidegate.gateway.quiet import finish_quiet
from sidegate.gateway.serving import (
    GRACE_SECONDS,
    REMOVED_PACKS_SECONDS,
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
from sidegate.http.supervisor import listen
from sidegate.pfs.commits import Commit
from sidegate.pfs.staging import Staging
from sidegate.pfs.store import Store
from sidegate.pps.sessions import OpenSession, Session, Verdict
from sidegate.pps.traffic import PlaceTraffic, SessionTraffic

SIDECAR_GRACE_SECONDS = 2.0
"""The job's process is gone when its sidecar drains; only strays are cut off."""

BASE_DOMAIN = "s3.localhost"
"""`BUCKET.s3.localhost` names a bucket; whatever ends in localhost is this machine (RFC 6761, 6.3)."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class SidecarSettings:
    """How the gateways of a job are served."""

    loop: str = "auto"
    parser: str = "auto"
    md5_tags: bool = False
    workers: int = 1
    """Processes that serve an attempt; one is a thread of this process."""


class RunningGateway(Protocol):
    """What answers a job's requests until it is closed."""

    @property
    def endpoint(self) -> str:
        """The URL that the job uses."""

    def close(self) -> None:
        """Finish what is in hand and end."""


class _Sidecar:
    """A running sidecar as the job runner sees it."""

    def __init__(
        self, store: Store, staging: Staging | None, job_session: JobSession, gateway: RunningGateway
    ):
        self._store = store
        self._staging = staging
        self._job_session = job_session
        self._gateway = gateway
        self.endpoint = gateway.endpoint

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
        self._gateway.close()


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
        gateway = _open_gateway(store, settings, job_session, inputs, staging, alias)
        sidecar = _Sidecar(store, staging, job_session, gateway)
        try:
            yield sidecar
        finally:
            sidecar.close()

    return open_session


def _open_gateway(
    store: Store,
    settings: SidecarSettings,
    job_session: JobSession,
    inputs: Mapping[str, Commit],
    staging: Staging | None,
    alias: str,
) -> RunningGateway:
    domains = sidecar_domains(alias)
    if settings.workers == 1:
        options = Options(
            base_domains=domains,
            loop=settings.loop,
            parser=settings.parser,
            md5_tags=settings.md5_tags,
            grace_seconds=SIDECAR_GRACE_SECONDS,
            environment=os.environ,
        )
        return GatewayThread(store, job_session, options)
    order = Order(
        directory=str(store.directory.resolve()),
        durability=store.durability,
        base_domains=domains,
        loop=settings.loop,
        parser=settings.parser,
        md5_tags=settings.md5_tags,
        grace_seconds=SIDECAR_GRACE_SECONDS,
        session=SessionOrder(
            inputs={name: commit.id for name, commit in inputs.items()},
            staging=staging.id if staging is not None else None,
            pipeline=alias,
            own_reads=job_session.own_reads,
        ),
    )
    return SessionFleet(store, order, settings.workers, job_session.traffic)


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
    """Return host and port of `HOST:PORT`, `[IPv6]:PORT` or `:PORT` (loopback); raises Invalid."""
    host, separator, port = address.rpartition(":")
    if not separator or address.endswith("]"):
        raise Invalid(f"address {address!r} has no port", remedy=f"use {address}:PORT, with 0 for a free one")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise Invalid(f"address {address!r} is not valid", remedy="use HOST:PORT with a port from 0 to 65535")
    return host, int(port)


def parse_domain(name: str) -> str:
    """Return a domain below which buckets are host names, as Host headers are compared; raises Invalid.

    Letters, digits and hyphens in labels (RFC 1123 section 2.1), and no address: that has no names below it.
    """
    domain = name.lower().rstrip(".")
    if _DOMAIN.fullmatch(domain) is None or domain.replace(".", "").isdigit():
        raise Invalid(
            f"--domain {name!r} is no host name", remedy="use a name such as s3.example.org", domain=name
        )
    return domain


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
    tune_process()
    if settings.workers > 1:
        _supervise(store, settings, on_ready)
    else:
        loops.run(_serve(store, settings, on_ready), settings.loop)


async def _serve(store: Store, settings: ServeSettings, on_ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    activity = Activity()
    options = Options(
        host=settings.host,
        port=settings.port,
        base_domains=settings.base_domains,
        authorize=require_keys(settings.access_keys, store.clock) if settings.access_keys else None,
        loop=settings.loop,
        parser=settings.parser,
        md5_tags=settings.md5_tags,
        environment=os.environ,
    )
    async with running_gateway(store, GeneralNamespace(store), options, activity) as server:
        on_ready(_endpoint(*server.address))
        finisher = _start_finisher(store, settings.finish_after_seconds, activity)
        await stop.wait()
        if finisher is not None:
            finisher.cancel()


def _endpoint(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _supervise(store: Store, settings: ServeSettings, on_ready: Callable[[str], None]) -> None:
    """Serve through worker processes; what must happen once happens in this one."""
    try:
        listeners = listen(settings.host, settings.port)
    except OSError as error:
        raise address_taken(settings.host, settings.port, error) from error
    tally = make_tally(settings.workers)
    order = Order(
        directory=str(store.directory.resolve()),
        durability=store.durability,
        base_domains=settings.base_domains,
        loop=settings.loop,
        parser=settings.parser,
        md5_tags=settings.md5_tags,
        access_keys=settings.access_keys,
        grace_seconds=GRACE_SECONDS,
    )
    supervisor = supervise(store, order, listeners, tally)
    with ExitStack() as stack:
        stack.callback(tally.close)
        every = settings.finish_after_seconds
        if every is not None:
            action = partial(finish_quiet, store, every, shared_activity(tally))
            stack.enter_context(repeating(action, _round_seconds(every)))
            stack.enter_context(repeating(store.chunks.packs.drop_removed, REMOVED_PACKS_SECONDS))
        supervisor.run(lambda: on_ready(_endpoint(*listeners[0].getsockname()[:2])))


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

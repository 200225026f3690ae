"""Running a gateway: on the current loop, or in a thread of its own.

`sidegate serve` runs one on its main loop; `sidegate run` keeps one per attempt
in a thread beside the job.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial

from sidegate.errors import SidegateError, Unavailable
from sidegate.gateway.activity import Activity
from sidegate.gateway.authorization import Authorize
from sidegate.gateway.context import Context
from sidegate.gateway.cores import usable_cores
from sidegate.gateway.garbage import rare_pauses
from sidegate.gateway.gateway import Gateway
from sidegate.gateway.heap import keep_freed_memory
from sidegate.gateway.namespace import Namespace
from sidegate.gateway.threads import WorkThreads
from sidegate.http import loops
from sidegate.http.server import Server
from sidegate.pfs.store import Store

WORK_THREADS = 8
"""Threads that talk to disk and catalog; the GIL is free meanwhile."""

HEAVY_NICENESS = 8
"""Of threads that hash and compress: the loop passes them when it has something to do.

How latencies beside uploads depend on it is in docs/performance.md, "Giving way".
"""

GRACE_SECONDS = 10.0

REMOVED_PACKS_SECONDS = 10.0
"""How long a pack that a collection has removed may keep its room on the disk; to look is 3 us a pack."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How a gateway is served; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 0
    base_domains: tuple[str, ...] = ()
    authorize: Authorize | None = None
    loop: str = "auto"
    parser: str = "auto"
    md5_tags: bool = False
    grace_seconds: float = GRACE_SECONDS
    worker: str | None = None
    """Who answers, where there are several: told by the health check."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """That of the process: it may say how freed memory is kept."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Connections are accepted by another process; `on_close` is told when one has ended."""

    on_close: Callable[[], None]


@asynccontextmanager
async def running_gateway(
    store: Store,
    namespace: Namespace,
    options: Options,
    activity: Activity | None = None,
    accepted: Elsewhere | None = None,
) -> AsyncIterator[Server]:
    """Serve until the block ends, then drain; raises Unavailable when the address is taken.

    Listens as `options` say, unless connections are accepted elsewhere.
    """
    with (
        WorkThreads(WORK_THREADS, "gateway") as threads,
        WorkThreads(usable_cores(), "bytes", niceness=HEAVY_NICENESS) as heavy_threads,
    ):
        context = Context(
            store,
            namespace,
            threads,
            heavy_threads,
            activity=activity or Activity(),
            md5_tags=options.md5_tags,
        )
        gateway = Gateway(
            context, base_domains=options.base_domains, authorize=options.authorize, worker=options.worker
        )
        if accepted is None:
            server = await _listen(gateway, context, options)
        else:
            server = Server.unbound(
                gateway.handle,
                reject=gateway.reject,
                backend=options.parser,
                on_close=accepted.on_close,
                shortcut=gateway.shortcut,
                budget=context.budget,
            )
        keep_freed_memory(options.environment)
        look = asyncio.create_task(
            repeat(store.chunks.packs.drop_removed, REMOVED_PACKS_SECONDS, threads.run)
        )
        with rare_pauses.held():
            try:
                yield server
            finally:
                look.cancel()
                await server.drain(options.grace_seconds)


async def _listen(gateway: Gateway, context: Context, options: Options) -> Server:
    try:
        return await Server.start(
            gateway.handle,
            options.host,
            options.port,
            reject=gateway.reject,
            backend=options.parser,
            shortcut=gateway.shortcut,
            budget=context.budget,
        )
    except OSError as error:
        raise address_taken(options.host, options.port, error) from error


def address_taken(host: str, port: int, error: OSError) -> Unavailable:
    """Return what is raised when an address cannot be listened on."""
    # asyncio adds the address to what the system says; the resolver has numbers of its own.
    system = error.errno is not None and not isinstance(error, socket.gaierror)
    said = os.strerror(error.errno) if system and error.errno is not None else error.strerror or error
    return Unavailable(
        f"cannot listen on {host} port {port}: {said}",
        remedy="choose another address or port",
    )


class GatewayThread:
    """A gateway in a thread with its own event loop; ready when the constructor returns."""

    def __init__(self, store: Store, namespace: Namespace, options: Options) -> None:
        """Raises Unavailable when the address is taken."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self.address: tuple[str, int] = (options.host, 0)
        self._thread = threading.Thread(
            target=self._run, args=(store, namespace, options), name="gateway", daemon=True
        )
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    @property
    def endpoint(self) -> str:
        """The URL that clients use."""
        host, port = self.address
        return f"http://{host}:{port}"

    def close(self) -> None:
        """Drain and end the thread; safe to call twice."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self, store: Store, namespace: Namespace, options: Options) -> None:
        try:
            loops.run(self._serve(store, namespace, options), options.loop)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self, store: Store, namespace: Namespace, options: Options) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with running_gateway(store, namespace, options) as server:
            self.address = server.address
            self._ready.set()
            await self._stop.wait()


async def repeat(
    action: Callable[[], object],
    every_seconds: float,
    run: Callable[[Callable[[], None]], Awaitable[None]] = asyncio.to_thread,
) -> None:
    """Have `run` do blocking `action` in a thread again and again, until cancelled.

    What goes wrong is logged, and the next round tries again.
    """
    while True:
        await asyncio.sleep(every_seconds)
        try:
            await run(partial(_attempt, action))
        except (SidegateError, RuntimeError) as error:  # no thread could be started for it
            _log.warning("%s", error)


@contextmanager
def repeating(action: Callable[[], object], every_seconds: float) -> Iterator[None]:
    """Run `action` in a thread again and again while the block runs; as `repeat`, without a loop."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(every_seconds):
            _attempt(action)

    thread = threading.Thread(target=work, name="repeating", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _attempt(action: Callable[[], object]) -> None:
    try:
        action()
    except SidegateError as error:
        _log.warning("%s", error)
    except Exception:  # noqa: BLE001 - whatever it is, the next round tries again
        # A full disk, or an error of ours: without it the work would never be attempted again.
        _log.exception("periodic work has failed, and is tried again")

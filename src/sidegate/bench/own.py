"""`sidegate bench self`: our gateway beside the bare server and its peers.

Starts all of them, each on the servers' core, while this process takes another;
loads the same data into each; measures; stops them and removes what they stored.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sidegate.bench import goals
from sidegate.bench.cells import Cell
from sidegate.bench.client import Refused
from sidegate.bench.client_limits import allow_connections, fault_of
from sidegate.bench.codec import codec_of
from sidegate.bench.corpus import large_object, plain_object
from sidegate.bench.document import Document, document_of
from sidegate.bench.goals import Verdict, judge
from sidegate.bench.loading import load
from sidegate.bench.page_cache import write_back
from sidegate.bench.peers import ESSENTIAL, KEYS, Peer, installed
from sidegate.bench.places import Tell
from sidegate.bench.placing import on_cores
from sidegate.bench.processes import ProcessTree
from sidegate.bench.results import Result
from sidegate.bench.room import Tenant, check_room, explained_full_disk
from sidegate.bench.rounds import Settings, measure
from sidegate.bench.servers import Cores, ServerProcess, start_serve, start_sidecar, start_yardstick
from sidegate.bench.signing import Signer, Style
from sidegate.bench.stock import DURABLE, INPUT, MANY, OPEN, Stock, make_stock, write_file
from sidegate.bench.target import Target
from sidegate.bench.warm_pool import WarmPool
from sidegate.bench.workers import find_workers, move_to_cores
from sidegate.errors import SidegateError

DURABLE_CELLS: Final = frozenset({"put-4k", "put-1m", "put-64m"})
ANONYMOUS_CELLS: Final = frozenset({"head", "get-4k", "put-4k"})
"""Where verifying a signature is a large part of a request."""

WRITING_CELLS: Final = frozenset({"put-1m", "put-64m"})
BUCKET: Final = "sidegate-bench"
_MOST_SERVERS: Final = 12
"""Of a run at most: three of ours, three bare ones, and the peers with keys and without."""


@dataclass(frozen=True, slots=True)
class OwnRun:
    """A finished run: the document, what was to be reached, and the peers that took part."""

    document: Document
    results: list[Result]
    verdicts: list[Verdict]
    peers: list[str]
    has_essential: bool

    @property
    def ours_failed(self) -> bool:
        """Whether our own servers gave a wrong answer."""
        ours = {goals.OURS, goals.OURS_DURABLE, goals.OURS_SERVE, goals.OURS_COMMIT}
        return any(result.failures for result in self.results if result.label in ours)


def run_self(
    cells: Sequence[Cell],
    settings: Settings,
    tell: Tell,
    *,
    folder: Path | None = None,
    with_peers: bool = True,
) -> OwnRun:
    """Measure ours, the bare server and the peers that are installed."""
    allow_connections(cells, settings.connections, _MOST_SERVERS)
    # Servers are given paths below it, and some look for those below another folder.
    place = (folder or Path(tempfile.gettempdir())).resolve()
    peers = installed() if with_peers else []
    needed = sum(tenant.needed_bytes(settings) for tenant in _tenants(cells, peers))
    check_room(place, needed)
    cores = Cores.choose()
    settings = replace(settings, poll=cores.apart)
    with explained_full_disk(place, needed), on_cores({cores.client}), ExitStack() as stack:
        directory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="sidegate-bench-", dir=place))
        )
        arena = _Arena(directory, cells, settings, cores, stack, tell)
        arena.add_ours()
        arena.add_bare()
        for peer in peers:
            arena.add_peer(peer)
        write_back()  # what was loaded, or the disk is busy with it while reading is measured
        pool = stack.enter_context(WarmPool(settings.scale.round_bytes))
        targets = [replace(target, pool=pool) for target in arena.targets]
        results = measure(cells, targets, settings, tell, ceiling=codec_of(settings, cores.server))
    verdicts = judge(results, arena.peer_labels)
    document = document_of(
        results,
        settings,
        arena.descriptions,
        sign="presigned",
        cores=cores.describe(),
        goals=[_described(verdict) for verdict in verdicts],
    )
    return OwnRun(document, results, verdicts, arena.peer_labels, ESSENTIAL in arena.peer_labels)


def _tenants(cells: Sequence[Cell], peers: Sequence[Peer]) -> list[Tenant]:
    """Return who will store."""
    ours = [Tenant(cells, keeps=True), Tenant(_of(cells, DURABLE_CELLS), keeps=True, loaded=False)]
    # The file that the bare server sends, and what two of them write over again.
    sent = Tenant([cell for cell in cells if "large" in cell.needs], keeps=False)
    bare = [sent] + [Tenant(_of(cells, WRITING_CELLS), keeps=False, loaded=False)] * 2
    others = [Tenant(_of(cells, only), keeps=False) for peer in peers for _, _, only in _variants(peer)]
    return ours + bare + others


def _variants(peer: Peer) -> list[tuple[str, Style, frozenset[str] | None]]:
    """Return label, signing and cells of each way that a peer takes part: with keys, and without."""
    found: list[tuple[str, Style, frozenset[str] | None]] = [(peer.name, "presigned", None)]
    if peer.anonymous is not None:
        found.append((f"{peer.name}, no auth", "none", ANONYMOUS_CELLS))
    return found


def _of(cells: Sequence[Cell], names: frozenset[str] | None) -> list[Cell]:
    return [cell for cell in cells if names is None or cell.name in names]


class _Arena:
    """The servers of a run, one after another as they are added."""

    def __init__(
        self,
        directory: Path,
        cells: Sequence[Cell],
        settings: Settings,
        cores: Cores,
        stack: ExitStack,
        tell: Tell,
    ) -> None:
        self._directory = directory
        self._cells = cells
        self._settings = settings
        self._cores = cores
        self._stack = stack
        self._tell = tell
        self.targets: list[Target] = []
        self.descriptions: list[dict[str, Any]] = []
        self.peer_labels: list[str] = []

    def add_ours(self) -> None:
        """Start a job's gateway, and the general one where only that will do."""
        self._tell("making a store")
        stock = make_stock(self._directory, self._cells, self._settings.scale)
        names = {cell.name for cell in self._cells}
        sidecar = start_sidecar(goals.OURS, stock.store, stock.inputs, self._cores.server)
        many = MANY if MANY in stock.inputs else None
        self._add(
            sidecar,
            "presigned",
            "ours",
            Target(
                sidecar.endpoint,
                _signer(sidecar, "presigned"),
                INPUT,
                "out",
                many,
                stores=stock.store,
                is_ours=True,
                keeps_history=True,
            ),
            signatures="not verified, by design: it serves one job on loopback",
            durability="survives the process",
        )
        if names & DURABLE_CELLS:
            self._add_serve(goals.OURS_DURABLE, stock.store, "disk", DURABLE, DURABLE_CELLS)
        if "get-4k-open" in names:
            self._add_workers(stock)

    def add_bare(self) -> None:
        """Start the yardstick, and two that write what they receive: to new pages, and to the same ones."""
        scale = self._settings.scale
        file = self._directory / "bare.bin"
        sources = [large_object(scale)] if any("large" in cell.needs for cell in self._cells) else []
        write_file(file, sources[0] if sources else plain_object(scale.size(64 << 20)))
        kept, same = self._directory / "written.bin", self._directory / "overwritten.bin"
        self._add_yardstick(goals.BARE, file)
        self._add_yardstick(goals.BARE_WRITES, file, "--write", str(kept), stores=kept)
        self._add_yardstick(goals.BARE_OVERWRITES, file, "--overwrite", str(same))

    def _add_yardstick(self, label: str, file: Path, *options: str, stores: Path | None = None) -> None:
        process = start_yardstick(label, file, self._cores.server, self._directory, *options)
        target = Target(
            process.endpoint,
            _signer(process, "presigned"),
            is_bare=True,
            stores=stores,
            only=WRITING_CELLS if options else None,
        )
        self._add(process, "presigned", "bare", target, signatures="not verified", durability="none")

    def add_peer(self, peer: Peer) -> None:
        """Start a peer, with keys and, where it offers that, without; load it."""
        for label, style, only in _variants(peer):
            cells = _of(self._cells, only)
            if not cells:
                continue
            self._tell(f"starting and loading {label}")
            try:
                process = peer.start(label, self._directory, self._cores.server, signed=style != "none")
                self._stack.callback(process.stop)
                target = Target(
                    process.endpoint, _signer(process, style), BUCKET, BUCKET, process=process.tree, only=only
                )
                with target.client() as client:
                    answer = client.ask("PUT", f"/{BUCKET}")
                if answer.status not in (200, 204):
                    raise Refused(f"{label} made no bucket: {answer.error()}")
                target = replace(target, pausable=True)
                with target.awake():
                    load(target, cells, self._settings.scale, self._tell)
            except SidegateError as error:
                self._tell(f"{label} takes no part: {fault_of(error)}")
                continue
            self.peer_labels.append(label)
            self._describe(
                label,
                process,
                "peer",
                signatures="not verified" if style == "none" else "verified",
                durability=peer.durability,
                version=peer.find_version(),
            )
            self.targets.append(replace(target, stores=peer.folder(label, self._directory)))

    def _add_serve(self, label: str, store: Path, durability: str, bucket: str, only: frozenset[str]) -> None:
        process = start_serve(label, store, durability, self._cores.server)
        target = Target(
            process.endpoint,
            _signer(process, "presigned"),
            bucket,
            bucket,
            branch=bucket,
            keeps_history=True,
            stores=store,
            only=only,
        )
        kept = "survives a power cut" if durability == "disk" else "survives the process"
        self._add(
            process, "presigned", "ours", target, signatures="not verified: no keys set", durability=kept
        )

    def _add_workers(self, stock: Stock) -> None:
        """Start a gateway of three workers: one is read from on the servers' core, the others are written to.

        These run on the client's core, so that the CPU time of the first is its own.
        """
        process = start_serve(goals.OURS_SERVE, stock.store, "process", self._cores.client, workers=3)
        pids = find_workers(process.tree.pid)
        reader, *writers = sorted(pids)
        move_to_cores(pids[reader], {self._cores.server})
        only = frozenset({"get-4k-open"})
        plain = Target(process.endpoint, _signer(process, "presigned"), writes=OPEN, branch=OPEN, only=only)
        measured = replace(
            plain,
            worker=reader,
            process=ProcessTree(pids[reader]),
            writers=tuple(replace(plain, worker=writer) for writer in writers),
        )
        committed = replace(
            measured,
            endpoint=replace(process.endpoint, label=goals.OURS_COMMIT),
            branch=f"{stock.open_commit}.master.{OPEN}",
        )
        self._stack.callback(process.stop)
        for target in (measured, committed):
            self._describe(
                target.label,
                process,
                "ours",
                signatures="not verified: no keys set",
                durability="survives the process",
            )
            self.targets.append(target)

    def _add(self, process: ServerProcess, style: Style, role: str, target: Target, **said: str) -> None:
        self._stack.callback(process.stop)
        self._describe(target.label, process, role, **said)
        self.targets.append(replace(target, process=process.tree))

    def _describe(self, label: str, process: ServerProcess, role: str, **said: str) -> None:
        self.descriptions.append({"label": label, "url": process.endpoint.url, "role": role, **said})


def _signer(process: ServerProcess, style: Style) -> Signer:
    return Signer(process.endpoint.authority, style, None if style == "none" else KEYS, time.time)


def _described(verdict: Verdict) -> dict[str, Any]:
    return {
        "cell": verdict.goal.cell,
        "title": verdict.ours.cell.title_at(verdict.ours.scale),
        "endpoint": verdict.ours.label,
        "unit": verdict.ours.cell.unit,
        "ours": verdict.ours.value,
        "against": verdict.other.label if verdict.other is not None else None,
        "other": verdict.other.value if verdict.other is not None else None,
        "reached": verdict.reached,
        "by_cpu": verdict.by_cpu,
        "wanted": verdict.wanted(),
        "doubtful": goals.is_doubtful(verdict.ours, verdict.other),
        "verdict": verdict.word,
    }

"""The table of `sidegate bench self`: a line for each goal, and what must be known beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sidegate.bench.goals import BARE, BARE_WRITES, OURS, WRONG, Verdict, best_peer, is_doubtful
from sidegate.bench.own import OwnRun
from sidegate.bench.peers import ESSENTIAL
from sidegate.bench.report import doubted, number, times
from sidegate.bench.results import UNEVEN, Result, are_wrong, find, ratio

COLUMNS: Final = (
    "cell",
    "ours",
    "",
    "p50 ms",
    "p99 ms",
    "CPU µs",
    "bare",
    "ours/bare",
    "best peer",
    " ",
    "ours/peer",
    "must reach",
    "is",
    "by CPU",
    "verdict",
)
NUMBERS: Final = frozenset(
    {"ours", "p50 ms", "p99 ms", "CPU µs", "bare", "ours/bare", "best peer", "ours/peer", "is", "by CPU"}
)
WHOLE: Final = frozenset({"", " ", "verdict"})
LEAST: Final = ("p50 ms", "p99 ms", "CPU µs", "best peer", " ", "bare", "by CPU", "ours/peer", "ours/bare")
"""What a narrow terminal goes without, the first one first; what the verdict is about stays."""

RESIDENT_MIB: Final = 200
"""What a process may have in memory in any cell."""


def rows(run: OwnRun) -> Iterator[tuple[str, ...]]:
    """Yield a row for each goal."""
    shown: set[tuple[str, str]] = set()
    for verdict in run.verdicts:
        place = (verdict.goal.cell, verdict.goal.label)
        yield (*(_figures(run, verdict) if place not in shown else [""] * 11), *_judgement(verdict))
        shown.add(place)


def _figures(run: OwnRun, verdict: Verdict) -> tuple[str, ...]:
    ours, cell = verdict.ours, verdict.goal.cell
    bare = find(run.results, cell, BARE_WRITES) or find(run.results, cell, BARE)
    peer = best_peer(run.results, cell, run.peers)
    title = ours.cell.title_at(ours.scale)
    return (
        title if ours.label == "sidegate" else f"{title}, {ours.label.removeprefix('sidegate, ')}",
        number(ours.value) or "none",
        ours.cell.unit,
        number(_milliseconds(ours, 0.5)),
        number(_milliseconds(ours, 0.99)),
        number(None if ours.cpu_seconds is None else ours.cpu_seconds * 1e6),
        number(bare.value) if bare is not None else "",
        _held_against(ours, bare),
        number(peer.value) if peer is not None else "",
        peer.label if peer is not None else "",
        _held_against(ours, peer, multiple=True),
    )


def _held_against(ours: Result, other: Result | None, *, multiple: bool = False) -> str:
    if other is not None and are_wrong(ours, other):
        return WRONG
    return share(ratio(ours, other), multiple=multiple, doubtful=is_doubtful(ours, other))


def _judgement(verdict: Verdict) -> tuple[str, ...]:
    multiple = verdict.goal.kind == "peer"
    is_value = verdict.goal.kind == "value"
    doubtful = is_doubtful(verdict.ours, verdict.other)
    return (
        verdict.wanted(),
        number(verdict.reached) if is_value else share(verdict.reached, multiple=multiple, doubtful=doubtful),
        share(verdict.by_cpu, multiple=multiple),
        verdict.word,
    )


def share(value: float | None, *, multiple: bool = False, doubtful: bool = False) -> str:
    """Return a ratio as percent, or as a multiple."""
    if value is None:
        return ""
    return doubted(f"{number(value)}x" if multiple else f"{value:.0%}", doubtful)


def notes(run: OwnRun) -> Iterator[str]:
    """Yield what must be known beside the figures."""
    yield f"{run.document['cores']}; by CPU: the same comparison by the servers' CPU time for one request"
    for endpoint in run.document["endpoints"]:
        version = f" ({endpoint['version']})" if endpoint.get("version") else ""
        yield (
            f"{endpoint['label']}{version}: signatures {endpoint['signatures']}; "
            f"durability: {endpoint['durability']}"
        )
    largest = max(
        (r for r in run.results if r.label.startswith(OURS) and r.resident_bytes),
        key=lambda r: r.resident_bytes or 0,
        default=None,
    )
    if largest is not None:
        size = (largest.resident_bytes or 0) / (1 << 20)
        verdict = "reached" if size < RESIDENT_MIB else "NOT reached"
        yield (
            f"largest resident size of ours: {size:.0f} MiB, in {largest.cell.name} on {largest.label}; "
            f"must stay below {RESIDENT_MIB} MiB: {verdict}"
        )
    if not run.has_essential:
        yield (
            f"{ESSENTIAL} took no part, so nothing is claimed about peers; "
            "bench/peers.sh installs those that package registries have"
        )
    compared = [r for verdict in run.verdicts for r in (verdict.ours, verdict.other) if r is not None]
    uneven = [f"{r.cell.title_at(r.scale)} on {r.label} ({times(r.spread)})" for r in compared if r.is_uneven]
    if uneven:
        yield (
            f"? and disturbed: rounds of one side took more than {UNEVEN} times what others did, so that "
            f"something else was at work; measure again: {'; '.join(dict.fromkeys(uneven))}"
        )
    limited = sorted({f"{r.cell.title_at(r.scale)} on {r.label}" for r in run.results if r.client_was_limit})
    if limited:
        yield f"the client was the limit (busy above 90 %) in: {'; '.join(limited)}"


def _milliseconds(result: Result, at: float) -> float | None:
    seconds = result.latency(at)
    return None if seconds is None else seconds * 1e3

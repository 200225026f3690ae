"""A kept run as rows of a table, for the terminal and for the page.

Works on the kept form, so that a run looks the same when it is read again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sidegate.bench.document import Document
from sidegate.bench.goals import WRONG

COLUMNS: Final = (
    "cell",
    "endpoint",
    "rate",
    "MB/s",
    "p50 ms",
    "p99 ms",
    "CPU µs",
    "CPU-s/GB",
    "RSS MiB",
    "spread",
    "ratio",
    "remarks",
)
NUMBERS: Final = frozenset(COLUMNS[2:11])
WHOLE: Final = frozenset({"endpoint"})
LEAST: Final = ("RSS MiB", "CPU-s/GB", "spread", "p50 ms", "p99 ms", "CPU µs", "MB/s")
"""What a narrow terminal goes without, the first one first."""


def rows(document: Document) -> Iterator[tuple[str, ...]]:
    """Yield a row for each cell and endpoint; the ratio is to the first endpoint of the cell."""
    cells: dict[str, list[dict[str, Any]]] = {}
    for result in document["results"]:  # a server's cells that are measured together come together
        cells.setdefault(result["cell"], []).append(result)
    for results in cells.values():
        for result in results:
            shown = result["title"] if result is results[0] else ""
            yield (shown, *_row(result, results[0]))


def _row(result: dict[str, Any], reference: dict[str, Any]) -> tuple[str, ...]:
    rate, moved = result["rate"], result["moved_bytes"]
    ratio = WRONG if are_wrong(result, reference) else times(speed_ratio(result, reference))
    doubtful = ratio != WRONG and are_uneven(result, reference)
    return (
        result["endpoint"],
        "none" if rate is None else f"{number(rate)}/s",
        number(rate * moved / 1e6) if rate is not None and moved else "",
        number(result["p50_ms"]),
        number(result["p99_ms"]),
        number(result["cpu_us_per_request"]),
        number(result["cpu_seconds_per_gb"]),
        number(result["resident_bytes"] / (1 << 20)) if result["resident_bytes"] else "",
        times(result.get("spread")),
        "" if result is reference else doubted(ratio, doubtful),
        remarks(result),
    )


def speed_ratio(one: dict[str, Any], other: dict[str, Any]) -> float | None:
    """Return how many times faster one result is than the other, None where either is wrong."""
    if are_wrong(one, other) or not one["value"] or not other["value"]:
        return None
    slower = one["unit"] == "ms"
    return float(other["value"] / one["value"] if slower else one["value"] / other["value"])


def doubted(text: str, doubtful: bool) -> str:
    """Return what is said of a ratio, with a question mark where rounds of either side are uneven."""
    return f"{text} ?" if text and doubtful else text


def are_uneven(*results: dict[str, Any]) -> bool:
    """Whether the rounds of any of them are; runs of before that was noted are taken for even."""
    return any(result.get("is_uneven") for result in results)


def are_wrong(*results: dict[str, Any]) -> bool:
    """Whether the figures of any are of wrong answers; in runs of before it was noted, any failure is one."""
    return any(result.get("is_wrong", bool(result.get("failures"))) for result in results)


def remarks(result: dict[str, Any]) -> str:
    """Return what must be known beside a figure."""
    found = []
    if result["failures"]:
        found.append(f"{result['failures']} WRONG or missing")
    if result["client_was_limit"]:
        found.append("client was the limit")
    if are_uneven(result):
        found.append("rounds uneven")
    return ", ".join(found)


def failures(document: Document) -> list[str]:
    """Return a line for each cell and endpoint with wrong answers, with an example."""
    return [
        f"{result['title']} on {result['endpoint']}: {result['failures']} wrong or missing"
        + (f"; for example: {result['examples'][0]}" if result["examples"] else "")
        + (f"; {result['hint']}" if result.get("hint") else "")  # older documents have none
        for result in document["results"]
        if result["failures"]
    ]


def number(value: float | None) -> str:
    """Return a number with about three digits."""
    if value is None:
        return ""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(value: float | None) -> str:
    """Return a ratio as `2.50x`."""
    return "" if value is None else f"{number(value)}x"

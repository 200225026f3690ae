"""Plots of a cell as SVG: what each endpoint reached, and how its latencies spread.

Colours are variables of the page, so that a plot follows its theme.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from sidegate.bench.latencies import cumulative
from sidegate.bench.report import number

WIDTH: Final = 560
_LABEL_WIDTH: Final = 130
_VALUE_WIDTH: Final = 90
_ROW: Final = 26
_PLOT_HEIGHT: Final = 210
_MARGIN: Final = 34


def bars(results: Sequence[dict[str, Any]], colours: Mapping[str, str]) -> str:
    """Return a bar for each endpoint, with a dot for each round."""
    unit = results[0]["unit"]
    moved = results[0]["moved_bytes"]
    top = max([result["value"] or 0.0 for result in results] + [_largest(results)]) or 1.0
    span = WIDTH - _LABEL_WIDTH - _VALUE_WIDTH
    parts = []
    for index, result in enumerate(results):
        y, colour = index * _ROW + 4, colours[result["endpoint"]]
        value = result["value"]
        length = span * (value or 0.0) / top
        parts.append(
            f'<text x="{_LABEL_WIDTH - 8}" y="{y + 14}" text-anchor="end">{escape(result["endpoint"])}</text>'
        )
        parts.append(
            f'<rect x="{_LABEL_WIDTH}" y="{y}" width="{length:.1f}" height="18" rx="2" fill="{colour}"/>'
        )
        for point in _rounds(result, unit, moved):
            x = _LABEL_WIDTH + span * point / top
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y + 9}" r="3" fill="var(--card)" '
                f'stroke="{colour}" stroke-width="1.5"/>'
            )
        shown = "none" if value is None else f"{number(value)} {unit}"
        parts.append(f'<text class="soft" x="{WIDTH - _VALUE_WIDTH + 8}" y="{y + 14}">{escape(shown)}</text>')
    return _svg(len(results) * _ROW + 8, parts, f"{results[0]['title']}: {unit} of each endpoint")


def _largest(results: Sequence[dict[str, Any]]) -> float:
    points = [p for result in results for p in _rounds(result, result["unit"], result["moved_bytes"])]
    return max(points, default=0.0)


def _rounds(result: dict[str, Any], unit: str, moved_bytes: int) -> list[float]:
    """Return what each round reached, in the unit of the bars; rounds have no latency of their own."""
    if unit == "ms":
        return []
    factor = moved_bytes / 1e6 if unit == "MB/s" else 1.0
    return [one["rate"] * factor for one in result["rounds"]]


def latencies(results: Sequence[dict[str, Any]], colours: Mapping[str, str]) -> str:
    """Return the share of answers that came within a time, for each endpoint."""
    curves = {r["endpoint"]: cumulative(r["latencies_ns"]) for r in results if r["latencies_ns"]}
    if not curves:
        return ""
    times = [max(seconds, 1e-7) for curve in curves.values() for seconds, _ in curve]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    high = max(high, low + 1)
    span = WIDTH - 2 * _MARGIN

    def x_of(seconds: float) -> float:
        return _MARGIN + span * (math.log10(max(seconds, 1e-7)) - low) / (high - low)

    def y_of(share: float) -> float:
        return 10 + (1 - share) * (_PLOT_HEIGHT - 40)

    parts = list(_axes(low, high, x_of, y_of))
    for label, curve in curves.items():
        points = " ".join(f"{x_of(seconds):.1f},{y_of(share):.1f}" for seconds, share in _thinned(curve))
        # Another way of running the same program has its colour.
        dashes = ' stroke-dasharray="5 4"' if "," in label else ""
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colours[label]}" stroke-width="2"{dashes}>'
            f"<title>{escape(label)}</title></polyline>"
        )
    return _svg(_PLOT_HEIGHT, parts, f"{results[0]['title']}: share of answers within a time")


def _axes(low: int, high: int, x_of: Any, y_of: Any) -> Iterator[str]:
    for power in range(low, high + 1):
        x = x_of(10.0**power)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{y_of(1):.1f}" y2="{y_of(0):.1f}"/>'
        place = f'x="{x:.1f}" y="{_PLOT_HEIGHT - 12}" text-anchor="middle"'
        yield f'<text class="soft" {place}>{_time(power)}</text>'
    for share in (0.0, 0.5, 0.99):
        y = y_of(share)
        yield f'<line class="grid" x1="{_MARGIN}" x2="{WIDTH - _MARGIN}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="soft" x="{_MARGIN - 5}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'


def _time(power: int) -> str:
    names = {-9: "ns", -6: "µs", -3: "ms", 0: "s"}
    base = power - power % 3
    return f"{10 ** (power - base)} {names.get(base, f'10^{base} s')}"


def _thinned(curve: list[tuple[float, float]], most: int = 160) -> list[tuple[float, float]]:
    """Return the curve from zero on, with no more points than can be seen."""
    step = max(1, len(curve) // most)
    return [(curve[0][0], 0.0), *curve[::step], curve[-1]]


def _svg(height: int, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )

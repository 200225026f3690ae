"""Plots of a cell as SVG: what each endpoint reached, and how its latencies spread.

Colours are variables of the page, so that a plot follows its theme.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from sidegate.bench.goals import WRONG
from sidegate.bench.latencies import cumulative
from sidegate.bench.report import are_wrong, number

WIDTH: Final = 380
"""As wide as a telephone shows with letters of 11 pixels."""
_EDGE: Final = 4
_SPAN: Final = WIDTH - 2 * _EDGE
_LETTER_WIDTH: Final = 7.0
"""Of 12 pixels in height: more than most fonts take."""
_ROW: Final = 38
_PLOT_HEIGHT: Final = 210
_MARGIN: Final = 34
_KEY_ROW: Final = 18
_MOST_TIMES: Final = 6
"""So many fit below the plot."""


def bars(results: Sequence[dict[str, Any]], colours: Mapping[str, str]) -> str:
    """Return a bar for each endpoint, with a dot for each round; those of wrong answers are hatched."""
    right = [result for result in results if not are_wrong(result)]
    # What was answered wrong sets no scale: it is cut off at the end of the plot.
    top = max((_reach(result) for result in right or results), default=0.0) or 1.0
    hatch = f"hatch-{results[0]['cell']}"
    parts = [_hatch(hatch)] if len(right) < len(results) else []
    for index, result in enumerate(results):
        parts += _bar(result, index * _ROW, _SPAN / top, colours[result["endpoint"]], hatch)
    title = f"{results[0]['title']}: {results[0]['unit']} of each endpoint"
    return _svg(len(results) * _ROW + 2, parts, title)


def _bar(result: dict[str, Any], y: int, scale: float, colour: str, hatch: str) -> Iterator[str]:
    """Yield the label with the figure to its right, and the bar below them."""
    value, is_wrong = result["value"], are_wrong(result)
    shown = "none" if value is None else f"{number(value)} {result['unit']}"
    shown = f"{shown}, {WRONG}" if is_wrong else shown
    yield _label(result["endpoint"], _EDGE, y + 13, _SPAN - len(shown) * _LETTER_WIDTH)
    kind = "wrong" if is_wrong else "soft"
    yield f'<text class="{kind}" x="{WIDTH - 4}" y="{y + 13}" text-anchor="end">{escape(shown)}</text>'
    length = min(_SPAN, (value or 0.0) * scale)
    place = f'x="{_EDGE}" y="{y + 18}" width="{length:.1f}" height="12" rx="2"'
    if is_wrong:
        yield f'<rect class="wrong" {place} fill="url(#{hatch})"/>'
        return
    yield f'<rect {place} fill="{colour}"/>'
    for point in _rounds(result):
        yield (
            f'<circle cx="{_EDGE + point * scale:.1f}" cy="{y + 24}" r="3" fill="var(--card)" '
            f'stroke="{colour}" stroke-width="1.5"/>'
        )


def _label(label: str, x: int, y: int, width: float) -> str:
    """Return a label that ends where it must; what is cut off is told by pointing at it."""
    most = max(8, int(width / _LETTER_WIDTH))
    shown = label if len(label) <= most else f"{label[: most - 1]}…"
    return f'<text x="{x}" y="{y}">{escape(shown)}<title>{escape(label)}</title></text>'


def _hatch(name: str) -> str:
    return (
        f'<defs><pattern id="{escape(name)}" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><line class="hatch" x1="1" x2="1" y1="0" y2="6"/></pattern></defs>'
    )


def _reach(result: dict[str, Any]) -> float:
    return max([result["value"] or 0.0, *_rounds(result)])


def _rounds(result: dict[str, Any]) -> list[float]:
    """Return what each round reached, in the unit of the bars; rounds have no latency of their own."""
    if result["unit"] == "ms":
        return []
    factor = result["moved_bytes"] / 1e6 if result["unit"] == "MB/s" else 1.0
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
        parts.append(
            f'<polyline points="{points}" fill="none" {_stroke(label, colours)}>'
            f"<title>{escape(label)}</title></polyline>"
        )
    for index, label in enumerate(curves):
        parts += _key(label, _PLOT_HEIGHT + index * _KEY_ROW, colours)
    height = _PLOT_HEIGHT + len(curves) * _KEY_ROW + 6
    return _svg(height, parts, f"{results[0]['title']}: share of answers within a time")


def _stroke(label: str, colours: Mapping[str, str]) -> str:
    # Another way of running the same program has its colour.
    dashes = ' stroke-dasharray="5 4"' if "," in label else ""
    return f'stroke="{colours[label]}" stroke-width="2"{dashes}'


def _key(label: str, y: int, colours: Mapping[str, str]) -> Iterator[str]:
    """Yield the line of the legend that says whose a curve is."""
    yield f'<line x1="{_MARGIN}" x2="{_MARGIN + 24}" y1="{y + 8}" y2="{y + 8}" {_stroke(label, colours)}/>'
    yield _label(label, _MARGIN + 32, y + 12, WIDTH - _MARGIN - 32)


def _axes(low: int, high: int, x_of: Any, y_of: Any) -> Iterator[str]:
    for power in range(low, high + 1):
        x = x_of(10.0**power)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{y_of(1):.1f}" y2="{y_of(0):.1f}"/>'
        if (high - power) % (1 + (high - low) // _MOST_TIMES) == 0:
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

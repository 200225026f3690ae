"""Figures: what was measured, what it is measured against, what was to be reached.

Knows nothing of how a figure came about.  A goal that is not reached is printed
as such; nothing here fails a run.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from sidegate.bench.document import host, versions
from sidegate.native import describe
from timing import Timing

RESULTS = Path(__file__).parent / "results"
LATEST = RESULTS / "latest.json"


@dataclass(frozen=True, slots=True)
class Goal:
    """What to reach: `kind` "at least" or "less than", of the value or of the ratio to the yardstick."""

    kind: str
    of: str
    bound: float

    def reached(self, figure: Figure) -> bool:
        """Whether a figure reaches it."""
        found = figure.ratio if self.of == "ratio" else figure.value
        if found is None:
            return False
        return found >= self.bound if self.kind == "at least" else found < self.bound

    def describe(self, unit: str) -> str:
        """Return the goal as printed."""
        sign = ">=" if self.kind == "at least" else "<"
        return f"{sign} {self.bound:.0%} of bare" if self.of == "ratio" else f"{sign} {self.bound:g} {unit}"


GOALS = {
    "chunk + hash": Goal("at least", "value", 1.5),
    "peak memory": Goal("less than", "value", 200.0),
}
"""Those of the function-level and memory cases; workloads.toml has the others."""


@dataclass(slots=True)
class Figure:
    """One line of the report; medians over rounds of alternating measurements.

    `details` are further numbers by name (server CPU, client load, spread).
    """

    name: str
    unit: str
    value: float
    bare: float | None = None
    ratio: float | None = None
    goal: Goal | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Say whether the goal is reached; empty without one."""
        if self.goal is None:
            return ""
        return "reached" if self.goal.reached(self) else "NOT reached"


def of_rounds(name: str, unit: str, values: list[float], **more: Any) -> Figure:
    """Return the figure of several rounds, with their spread."""
    figure = Figure(name, unit, median(values), goal=more.pop("goal", GOALS.get(name)), details=more)
    figure.details["rounds"] = [round(value, 3) for value in values]
    return figure


def of_bytes(name: str, size_bytes: int, timing: Timing) -> Figure:
    """Return the speed of a function over `size_bytes`, with its CPU time."""
    figure = of_rounds(name, "GB/s", [size_bytes / seconds / 1e9 for seconds in timing.seconds])
    figure.details["cpu_seconds_per_gb"] = median(timing.cpu_seconds) / size_bytes * 1e9
    return figure


def as_document(figures: list[Figure], cores: str) -> dict[str, Any]:
    """Return all of a run as it is kept: figures with what they depend on."""
    return {
        "host": host() | {"cores": cores},
        "versions": versions(),
        "implementation": asdict(describe()),
        "commit": _commit(),
        "figures": [
            asdict(figure) | {"verdict": figure.verdict or None, "goal": _goal_text(figure)}
            for figure in figures
        ],
    }


def keep(document: dict[str, Any], path: Path = LATEST) -> None:
    """Write a run's document, replacing the last one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


def lines_of(figures: list[Figure], *, judged: bool = True) -> list[str]:
    """Return the report as a table, with goals when the run was one that they are `judged` by."""
    header = ("case", "sidegate", "", "bare", "ratio", "by CPU", "us/req", "CPU-s/GB", "client", "goal", "")
    rows = [header, *(_row(figure, judged=judged) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    left = (0, 2, 9, 10)
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _row(figure: Figure, *, judged: bool) -> tuple[str, ...]:
    details = figure.details
    return (
        figure.name,
        _number(figure.value),
        figure.unit,
        _number(figure.bare),
        _share(figure.ratio),
        _share(details.get("cpu_ratio")),
        _pair(details, "server_cpu_us_per_request", _number),
        _pair(details, "server_cpu_seconds_per_gb", _number) or _number(details.get("cpu_seconds_per_gb")),
        _pair(details, "client_busy", _whole_share),
        (_goal_text(figure) or "") if judged else "",
        figure.verdict if judged else "",
    )


def _pair(details: dict[str, Any], name: str, render: Callable[[float | None], str]) -> str:
    """Return a detail of ours and of the bare server, if there is one."""
    if details.get(name) is None:
        return ""
    return f"{render(details[name])} / {render(details.get('bare_' + name))}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _whole_share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _goal_text(figure: Figure) -> str | None:
    return figure.goal.describe(figure.unit) if figure.goal is not None else None


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

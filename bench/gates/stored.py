"""The stored figures, and the record of why they were changed.

One line a figure, so that a difference in review reads as what became slower or
faster.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gates.comparison import Figures

FOLDER = Path(__file__).parent
FIGURES, REASONS = "figures.json", "reasons.md"

NOTABLE = 0.03


@dataclass(frozen=True, slots=True)
class Stored:
    """Figures by cell, and the environment that the instructions were counted in."""

    environment: dict[str, str] = field(default_factory=dict)
    cells: dict[str, Figures] = field(default_factory=dict)

    def figures(self, cell: str) -> Figures:
        """Return what is known of a cell."""
        return self.cells.get(cell, Figures())


def load(folder: Path = FOLDER) -> Stored:
    """Return what is stored; empty when there is nothing yet."""
    path = folder / FIGURES
    if not path.exists():
        return Stored()
    document = json.loads(path.read_text())
    cells = {
        name: Figures(entry.get("instructions"), entry.get("calls"), entry.get("ratios", {}))
        for name, entry in document["cells"].items()
    }
    return Stored(document["environment"], cells)


def save(stored: Stored, folder: Path = FOLDER) -> None:
    """Write all figures."""
    (folder / FIGURES).write_text(render(stored))


def translated(known: Stored, base: Stored, measured: Stored) -> Stored:
    """Return figures in an environment where only another commit was measured.

    `base` is what that commit has stored, `measured` what it costs there.  A cell
    whose stored figure changed since by a fifth is expected to have changed by a fifth.
    """
    cells = {}
    for name, figures in known.cells.items():
        then, there = base.figures(name).instructions, measured.figures(name).instructions
        now = figures.instructions
        expected = now * there / then if now and there and then else None
        cells[name] = Figures(expected, figures.calls, figures.ratios)
    return Stored(measured.environment, cells)


def render(stored: Stored) -> str:
    """Return the file's text: JSON, a figure a line."""
    environment = _object({name: json.dumps(value) for name, value in stored.environment.items()}, "  ")
    cells = {name: _object(_figures(figures), "    ") for name, figures in stored.cells.items()}
    return _object({"environment": environment, "cells": _object(cells, "  ")}, "") + "\n"


def _figures(figures: Figures) -> dict[str, str]:
    known: dict[str, str] = {}
    if figures.instructions is not None:
        known["instructions"] = str(round(figures.instructions))
    if figures.calls is not None:
        known["calls"] = json.dumps(dict(figures.calls))
    if figures.ratios:
        known["ratios"] = json.dumps(
            {kind: round(ratio, 4) for kind, ratio in sorted(figures.ratios.items())}
        )
    return known


def _object(members: Mapping[str, str], indent: str) -> str:
    if not members:
        return "{}"
    lines = [f"{indent}  {json.dumps(name)}: {value}" for name, value in members.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def note_reason(reason: str, date: str, was: Stored, now: Stored, folder: Path = FOLDER) -> None:
    """Append why figures were changed, and which."""
    lines = [f"- {date}: {reason}", *(f"  - {change}" for change in changes(was, now))]
    with (folder / REASONS).open("a") as file:
        file.write("\n".join(lines) + "\n")


def changes(was: Stored, now: Stored) -> list[str]:
    """Return what changed notably, a line for each cell."""
    found = []
    for name, figures in now.cells.items():
        before = was.figures(name)
        pairs = (
            ("instructions", before.instructions, figures.instructions, "{:.0f}"),
            ("system calls", before.call_count, figures.call_count, "{:.4g}"),
            ("syncs", before.sync_count, figures.sync_count, "{:.4g}"),
            *(
                ("ratio", before.ratios.get(kind), ratio, "{:.3f}")
                for kind, ratio in sorted(figures.ratios.items())
            ),
        )
        changed = [
            f"{what} {form.format(old)} -> {form.format(new)}"
            for what, old, new, form in pairs
            if old is not None and new is not None and abs(new - old) > NOTABLE * old
        ]
        if changed:
            found.append(f"{name}: {', '.join(changed)}")
    return found

"""Compare two runs: what became faster, what slower, and whether they compare at all.

    python bench/compare.py OLD.json NEW.json

Where there is a bare server beside it, the ratios are compared, else the values: these mean
something only on the same, idle machine.  Exit code 0 always: CI does not judge speed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

NOISE = 0.10
"""Smaller changes are not told from noise (limits study: single runs are read as 10 % either way)."""

LESS_IS_BETTER = frozenset({"MiB", "ms"})


def main(arguments: list[str]) -> int:
    """Print the comparison."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    old, new = (json.loads(Path(argument).read_text()) for argument in arguments)
    for line in [*differences_of_setting(old, new), "", *comparison(old, new)]:
        print(line)
    return 0


def differences_of_setting(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return what differs between the runs besides the figures."""
    lines = [f"commit: {old['commit']} -> {new['commit']}"]
    for part in ("host", "versions", "implementation"):
        for name in sorted(old[part].keys() | new[part].keys()):
            before, after = old[part].get(name), new[part].get(name)
            if before != after and name != "load_average":
                lines.append(f"{part} {name}: {before} -> {after}")
    return lines


def comparison(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return a line for each case of either run."""
    before = {figure["name"]: figure for figure in old["figures"]}
    after = {figure["name"]: figure for figure in new["figures"]}
    return [_line(name, before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])]


def _line(name: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> str:
    if old is None or new is None:
        return f"{name:36}  {'new' if old is None else 'gone'}"
    by_ratio = old["ratio"] is not None and new["ratio"] is not None
    before, after = (figure["ratio" if by_ratio else "value"] for figure in (old, new))
    change = after / before - 1 if before else 0.0
    better = (change < 0) if not by_ratio and new["unit"] in LESS_IS_BETTER else (change > 0)
    word = "same" if abs(change) < NOISE else "better" if better else "WORSE"
    shown = (
        f"{before:9.1%} -> {after:9.1%} of bare"
        if by_ratio
        else f"{before:9.4g} -> {after:9.4g} {new['unit']}"
    )
    goal = f"  goal {new['goal']}: {new['verdict']}" if new["goal"] else ""
    return f"{name:36}  {shown:36} {change:+7.1%}  {word}{goal}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

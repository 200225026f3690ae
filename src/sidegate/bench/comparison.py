"""Two kept runs side by side: what became faster, what slower, what differs besides.

Rates mean something only on the same idle machine, so where both runs have the
same first endpoint beside another, the ratio to it is compared instead; CPU time
per request is shown along, which other work disturbs least.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sidegate.bench.document import Document
from sidegate.bench.report import are_uneven, are_wrong, doubted, number, speed_ratio

NOISE: Final = 0.10
"""Smaller changes are not told from noise: single runs are read as 10 % either way (Zen 4 VM, 2026-11)."""

COLUMNS: Final = ("cell", "endpoint", "before", "after", "", "change", "CPU", "verdict")
NUMBERS: Final = frozenset({"before", "after", "change", "CPU"})
WHOLE: Final = frozenset({"endpoint"})
LEAST: Final = ("CPU", "", "before", "after")
"""What a narrow terminal goes without, the first one first."""

_NOT_COMPARED: Final = frozenset({"load_average"})


def settings_that_differ(old: Document, new: Document) -> list[str]:
    """Return what differs between the runs besides the figures."""
    lines = []
    for part in ("host", "versions", "implementation", "settings"):
        before, after = old.get(part, {}), new.get(part, {})
        for name in sorted((before.keys() | after.keys()) - _NOT_COMPARED):
            if before.get(name) != after.get(name):
                lines.append(f"{part} {name}: {before.get(name)} -> {after.get(name)}")
    return lines


def rows(old: Document, new: Document) -> Iterator[tuple[str, ...]]:
    """Yield a row for each cell and endpoint of either run."""
    before, after = _by_place(old), _by_place(new)
    for place in dict.fromkeys([*before, *after]):
        yield (*place, *_change(place, before, after))


def _by_place(document: Document) -> dict[tuple[str, str], dict[str, Any]]:
    return {(result["title"], result["endpoint"]): result for result in document["results"]}


def _change(
    place: tuple[str, str], old: dict[tuple[str, str], Any], new: dict[tuple[str, str], Any]
) -> tuple[str, ...]:
    one, other = old.get(place), new.get(place)
    if one is None or other is None:
        return ("", "", "", "", "", "new" if one is None else "gone")
    relative = _relative(place, old, new)
    before, after = relative or (one["value"], other["value"])
    wrong = _wrong(place, old, new)
    if wrong or not before or not after:
        # What is wrong has no ratio to the first endpoint, but its own figure.
        shown = (number(one["value"]), number(other["value"]))
        return (*shown, other["unit"], "", "", ", ".join(["not comparable", *wrong]))
    faster = before / after if other["unit"] == "ms" and relative is None else after / before
    verdict = "same" if abs(faster - 1) < NOISE else "faster" if faster > 1 else "SLOWER"
    if other.get("failures"):
        verdict = f"{verdict}, {other['failures']} WRONG or missing"
    unit = f"of {_reference(place, new)}" if relative else other["unit"]
    return (
        number(before),
        number(after),
        unit,
        f"{faster - 1:+.1%}",
        _cpu_change(one, other),
        doubted(verdict, _is_doubtful(place, old, new)),
    )


def _wrong(
    place: tuple[str, str], old: dict[tuple[str, str], Any], new: dict[tuple[str, str], Any]
) -> list[str]:
    """Say which of what is compared are figures of wrong answers, or of none."""
    found = []
    reference = (place[0], _reference(place, new) or "")
    for when, run in ((" before", old), ("", new)):
        if are_wrong(run[place]) or (run[place].get("failures") and not run[place]["value"]):
            found.append(f"{run[place].get('failures', 'some')} WRONG or missing{when}")
        if reference != place and are_wrong(run.get(reference, {})):
            found.append(f"{reference[1]} WRONG{when}")
    return found


def _relative(
    place: tuple[str, str], old: dict[tuple[str, str], Any], new: dict[tuple[str, str], Any]
) -> tuple[float | None, float | None] | None:
    """Return the ratios to the first endpoint of the cell, None when it is this one or another one."""
    reference = _reference(place, new)
    key = (place[0], reference or "")
    if reference == place[1] or _reference(place, old) != reference or key not in old or key not in new:
        return None
    return speed_ratio(old[place], old[key]), speed_ratio(new[place], new[key])


def _is_doubtful(
    place: tuple[str, str], old: dict[tuple[str, str], Any], new: dict[tuple[str, str], Any]
) -> bool:
    """Whether rounds of what is compared, or of the first endpoint, are too far from each other."""
    places = {place, (place[0], _reference(place, new) or "")}
    return are_uneven(*(run.get(one, {}) for run in (old, new) for one in places))


def _reference(place: tuple[str, str], results: dict[tuple[str, str], Any]) -> str | None:
    return next((label for title, label in results if title == place[0]), None)


def _cpu_change(one: dict[str, Any], other: dict[str, Any]) -> str:
    before, after = one["cpu_us_per_request"], other["cpu_us_per_request"]
    return f"{after / before - 1:+.1%}" if before and after else ""

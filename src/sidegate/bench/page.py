"""A kept run as a page: tables and plots in one file, readable in light and dark.

Nothing is loaded from elsewhere and nothing runs: plots are SVG in the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from sidegate.bench import plots, report
from sidegate.bench.document import Document
from sidegate.bench.goals import DISTURBED, NOT_COMPARED, WRONG
from sidegate.bench.replacing import write_text


def render_page(document: Document) -> str:
    """Return the page of a run."""
    colours = _colours(document)
    body = [*_head(document), *_goals(document)]
    for cell in dict.fromkeys(result["cell"] for result in document["results"]):
        body += _cell([result for result in document["results"] if result["cell"] == cell], colours)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>sidegate bench, {escape(document['time'])}</title>\n"
        f"<style>\n{_style()}</style>\n</head>\n<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def write_page(path: Path, document: Document) -> None:
    """Write the page of a run, replacing what was there once it is whole.  Raises OSError."""
    write_text(path, render_page(document))


def _colours(document: Document) -> dict[str, str]:
    """Return a colour for each label: ours, the bare server, then one for each other program."""
    roles = {endpoint["label"]: endpoint.get("role") for endpoint in document["endpoints"]}
    found: dict[str, str] = {}
    programs: list[str] = []
    for label in dict.fromkeys([*roles, *(result["endpoint"] for result in document["results"])]):
        fixed = {"ours": 0, "bare": 1}.get(roles.get(label) or "")
        program = label.partition(",")[0]
        if fixed is None and program not in programs:
            programs.append(program)
        free = range(2, 8) if any(roles.values()) else range(8)
        index = fixed if fixed is not None else free[programs.index(program) % len(free)]
        found[label] = f"var(--c{index})"
    return found


def _style() -> str:
    return files("sidegate.bench").joinpath("page.css").read_text(encoding="utf-8")


def _head(document: Document) -> Iterator[str]:
    host, settings = document["host"], document["settings"]
    yield "<h1>sidegate bench</h1>"
    yield (
        f'<p class="soft">{escape(document["time"])} · {escape(str(host["cpu"]))}, '
        f"{host['cpu_count']} cores · "
        f"{escape(host['system'])} · {settings['rounds']} rounds of {settings['duration_seconds']:g} s · "
        f"scale {escape(settings['scale'])} · requests {escape(settings['sign'])}</p>"
    )
    if "cores" in document:
        yield f'<p class="soft">{escape(document["cores"])}</p>'
    columns = [
        name for name in ("label", "url", "version", "signatures", "durability") if _has(document, name)
    ]
    rows = [[str(endpoint.get(name, "")) for name in columns] for endpoint in document["endpoints"]]
    yield f"<section><h2>Endpoints</h2>{_table(columns, rows, frozenset())}</section>"
    wrong = report.failures(document)
    if wrong:
        items = "".join(f"<li>{escape(line[:600])}</li>" for line in wrong)
        yield f'<section><h2 class="wrong">Wrong or missing answers</h2><ul>{items}</ul></section>'
    if document.get("left_behind"):
        items = "".join(f"<li>{escape(line[:600])}</li>" for line in document["left_behind"])
        yield f'<section><h2 class="wrong">Left behind on the servers</h2><ul>{items}</ul></section>'


def _has(document: Document, name: str) -> bool:
    return any(endpoint.get(name) for endpoint in document["endpoints"])


def _goals(document: Document) -> Iterator[str]:
    if not document.get("goals"):
        return
    columns = ("cell", "endpoint", "ours", "unit", "against", "its", "is", "by CPU", "must reach", "verdict")
    rows = [
        [
            goal["title"],
            goal["endpoint"],
            report.number(goal["ours"]),
            goal["unit"],
            goal["against"] or "",
            report.number(goal["other"]),
            _reached(goal),
            report.times(goal["by_cpu"]),
            goal["wanted"],
            goal["verdict"],
        ]
        for goal in document["goals"]
    ]
    reached = sum(goal["verdict"] == "reached" for goal in document["goals"])
    judged = sum(goal["verdict"] not in (NOT_COMPARED, DISTURBED) for goal in document["goals"])
    table = _table(columns, rows, frozenset({"ours", "its", "is", "by CPU"}))
    yield f"<section><h2>What is to be reached: {reached} of {judged}</h2>"
    if any(goal.get("doubtful") for goal in document["goals"]):
        yield (
            '<p class="soft">?: rounds of one side are uneven; disturbed: some of them reach it, others not, '
            "so nothing is claimed</p>"
        )
    yield f"{table}</section>"


def _reached(goal: dict[str, Any]) -> str:
    shown = report.times(goal["reached"]) if goal["against"] else report.number(goal["reached"])
    return report.doubted(shown, bool(goal.get("doubtful")))


def _cell(results: Sequence[dict[str, Any]], colours: dict[str, str]) -> Iterator[str]:
    first = results[0]
    yield f'<section id="{escape(first["cell"])}"><h2>{escape(first["title"])}</h2>'
    yield (
        f'<p class="soft">{escape(first["unit"])}, {first["connections"]} connections; '
        "bars are medians, dots are rounds; spread: dearest round to cheapest</p>"
    )
    if report.are_wrong(*results):
        yield '<p class="soft">hatched: of wrong answers, compared to nothing</p>'
    yield from _remarks(results)
    yield '<div class="plots">'
    yield plots.bars(results, colours)
    yield plots.latencies(results, colours)
    yield "</div>"
    rows = [row[1:] for row in report.rows({"results": results})]
    kept = [
        index
        for index, name in enumerate(report.COLUMNS[1:])
        if name != "remarks" and any(row[index] for row in rows)
    ]
    yield _table(
        [report.COLUMNS[1:][index] for index in kept],
        [[row[index] for index in kept] for row in rows],
        report.NUMBERS,
    )
    yield "</section>"


def _remarks(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield what must be known: above the figures, for a table can be wider than the window."""
    for result in results:
        remarks = report.remarks(result)
        if remarks:
            kind = "wrong" if result["failures"] else "soft"
            yield f'<p class="{kind}">{escape(result["endpoint"])}: {escape(remarks)}</p>'


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: frozenset[str]) -> str:
    kinds = [' class="number"' if name in numbers else "" for name in columns]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(columns, kinds, strict=True))
    lines = [
        "".join(f"<td{_kind(cell, kind)}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        for row in rows
    ]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _kind(cell: str, kind: str) -> str:
    if cell == "reached":
        return ' class="reached"'
    if cell in ("NOT reached", DISTURBED):
        return ' class="missed"'
    if cell == WRONG:
        return ' class="number wrong"' if kind else ' class="wrong"'
    return kind

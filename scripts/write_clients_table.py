#!/usr/bin/env python3
"""Write docs/clients.md from the report of the client tests: `write_clients_table.py REPORT`.

The report is what `SIDEGATE_COMPAT_REPORT` made pytest write; `make compat` does both.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "compat"))

from clients import CAPABILITIES, CLIENTS, Client  # noqa: E402

ODD_KEY_CAPABILITIES = tuple(name for name in CAPABILITIES if name.startswith("key: "))
MESSAGE_CHARACTERS = 330

NOT_OFFERED = "·"
HEAD = f"""# Clients

Real S3 clients against a job's sidecar, each from its registry, in a process of its own with the variables
that a job has. Written by `make compat` from the results of that run; `tests/compat` holds the tests.

✓ works, ✗ does not for the reason in the note, {NOT_OFFERED} the client has no such thing,
**failed** a defect of ours, *not run* was not there to be run.

"""
EXPLANATION = """
- list: 10 000 keys of an input, exactly. read: 1 kB and 20 MiB. range: half a MiB from the middle.
- 0 B to 64 MiB: written to `out` and compared with what is stored. multipart: stored in several parts.
- odd keys: space, plus, percent, unicode, `//` and a trailing slash, each written, compared, and read from an
  input.
- table: Parquet read from an input, and written to `out`.
- denied input, denied out: a write to an input and a read of `out` end soon, and say that they are refused.

Table formats run under the policy `own-reads`, with tables in place of objects and rows in place of bytes;
only denied out is tried under the default policy.
"""


def columns() -> dict[str, tuple[str, ...]]:
    """Return the columns of the table with the capabilities that each stands for."""
    names = {"write to input": "denied input", "read out": "denied out"}
    found: dict[str, tuple[str, ...]] = {}
    for name in CAPABILITIES:
        if name.startswith("key: "):
            found["odd keys"] = ODD_KEY_CAPABILITIES
        else:
            found[names.get(name, name)] = (name,)
    return found


class Notes:
    """Footnotes by their text, numbered as they come."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        """Return the mark of a note, a new one if no cell had it yet."""
        if text not in self.texts:
            self.texts.append(text)
        return f"<sup>{self.texts.index(text) + 1}</sup>"


def judge(client: Client, cells: dict[str, Any], capability: str) -> tuple[str, str | None]:
    """Return the sign of one capability and the reason if it is not ✓."""
    limit = client.limits.get(capability)
    if limit is not None and limit.error is None:
        return NOT_OFFERED, limit.reason
    cell = cells.get(capability, {"outcome": "not run", "message": "was not asked for in this run"})
    outcome = cell["outcome"]
    if outcome == "passed":
        return "✓", None
    if outcome == "limited" and limit is not None:
        return "✗", limit.reason
    if outcome == "not run":
        return "*not run*", cell["message"]
    return "**failed**", "see the test report of this run"


def render_cell(client: Client, cells: dict[str, Any], names: tuple[str, ...], notes: Notes) -> str:
    """Return one cell: a sign, or how many of several work, with the marks of its notes."""
    judged = [(name.removeprefix("key: "), *judge(client, cells, name)) for name in names]
    good = [name for name, sign, _ in judged if sign == "✓"]
    if len(good) == len(judged):
        return "✓"
    signs = {sign for _, sign, _ in judged}
    if len(signs) == 1 and (len(judged) == 1 or "✗" not in signs):
        _, sign, reason = judged[0]
        text = f"{client.name} {reason}" if sign == "✗" else capital(str(reason))
        return sign + notes.mark(f"{text}.")
    marks = [notes.mark(f"{client.name}, {name}: {reason}.") for name, _, reason in judged if reason]
    return f"{len(good)} of {len(judged)}" + "".join(dict.fromkeys(marks))


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def shorten(message: str) -> str:
    """Return what a client said on one line, without what changes from run to run."""
    line = " ".join(message.split())
    line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line)
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    line = re.sub(r"\b[0-9a-f]{16,}\b|\b[0-9A-F]{16,}\b", "…", line)
    line = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "…", line)
    line = re.sub(r"\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d\S*", "…", line)
    line = re.sub(r"/tmp/\S+?/([\w.-]+)(?=['\" :,]|$)", r"…/\1", line)
    line = re.sub(r"\d+(\.\d+)?(µs|ms|s)\b", "…", line)
    return line if len(line) <= MESSAGE_CHARACTERS else line[: MESSAGE_CHARACTERS - 1] + "…"


def render(report: dict[str, Any]) -> str:
    """Return the document."""
    table, notes, said = columns(), Notes(), []
    lines = ["| client | " + " | ".join(table) + " |", "|---|" + "---|" * len(table)]
    runs = ["| client | version | setting besides the job's variables | `out` |", "|---|---|---|---|"]
    for client in CLIENTS:
        entry = report.get(client.name, {"versions": [], "cells": {}})
        cells = [render_cell(client, entry["cells"], names, notes) for names in table.values()]
        lines.append(f"| {client.name} | " + " | ".join(cells) + " |")
        policy = "own-reads" if client.own_reads else "write-only"
        runs.append(
            f"| {client.name} | {', '.join(entry['versions']) or '*not run*'} | {client.setting} | {policy} |"
        )
        for capability, title in (("write to input", "writes to an input"), ("read out", "reads `out`")):
            message = entry["cells"].get(capability, {}).get("message")
            if message and entry["cells"][capability]["outcome"] == "passed":
                said.append(f"**{client.name}** {title}:\n\n```text\n{shorten(message)}\n```\n")
    numbered = [f"{number}. {text}" for number, text in enumerate(notes.texts, 1)]
    parts = [
        HEAD + "\n".join(lines),
        EXPLANATION.strip(),
        "Notes:\n\n" + "\n".join(numbered),
        "## What ran\n\n" + "\n".join(runs),
        "## What a refusal looks like\n\n" + "\n".join(said).rstrip(),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Read the report and write the document."""
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    (ROOT / "docs" / "clients.md").write_text(render(report), encoding="utf-8")


if __name__ == "__main__":
    main()

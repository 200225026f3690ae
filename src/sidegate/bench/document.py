"""A run as it is kept: results with what they depend on, as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from sidegate.bench.replacing import write_text
from sidegate.bench.results import Result
from sidegate.bench.rounds import Settings
from sidegate.errors import Invalid, NotFound
from sidegate.native import describe

FORMAT: Final = 1
_PACKAGES = ("sidegate", "uvloop", "httptools", "blake3", "zstandard", "awscrt", "isal", "sqlalchemy")

_MOST: Final = 1e15
"""No figure is so large: what follows from larger ones may not even be a number."""

_PARTS: Final = ("host", "versions", "implementation", "settings")
"""What is told of a run besides its results."""

Document = dict[str, Any]


def document_of(
    results: Sequence[Result],
    settings: Settings,
    endpoints: Sequence[Mapping[str, Any]],
    *,
    sign: str,
    **more: Any,
) -> Document:
    """Return all of a run; `endpoints` are in the order that they are compared in."""
    return {
        "format": FORMAT,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": host(),
        "versions": versions(),
        "implementation": asdict(describe()),
        "settings": {
            "scale": settings.scale.name,
            "duration_seconds": settings.duration_seconds,
            "rounds": settings.rounds,
            "connections": settings.connections,
            "sign": sign,
        },
        "endpoints": [dict(endpoint) for endpoint in endpoints],
        "results": [result.as_document() for result in results],
        **more,
    }


def read_document(path: Path) -> Document:
    """Return a kept run whose results can be compared; raises NotFound, Invalid."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise NotFound(f"there is no file {str(path)!r}", path=str(path)) from None
    except (ValueError, OSError, RecursionError) as error:
        raise _no_result(path, str(error)) from error
    if not isinstance(found, dict) or "format" not in found:
        raise _no_result(path, "it has no `format`")
    if found["format"] != FORMAT:
        raise _no_result(path, f"its format is {found['format']!r}, and {FORMAT} is known here")
    for name in _PARTS:
        if not isinstance(found.get(name, {}), dict):
            raise _no_result(path, f"`{name}` is no object")
    results = found.get("results")
    if not isinstance(results, list):
        raise _no_result(path, "`results` is no list")
    for number, result in enumerate(results):
        wrong = _wrong_field(result)
        if wrong is not None:
            raise _no_result(path, f"`{wrong}` of result {number} is missing or wrong")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no figure")


def _no_result(path: Path, why: str) -> Invalid:
    return Invalid(
        f"{str(path)!r} is no result of `sidegate bench`: {why}", remedy="give files written with --json"
    )


def _wrong_field(result: Any) -> str | None:
    """Return a field that comparing needs and that a result does not have as it should."""
    if not isinstance(result, dict):
        return "cell"
    for name in ("cell", "title", "endpoint", "unit"):
        if not isinstance(result.get(name), str):
            return name
    for name in ("value", "cpu_us_per_request"):
        figure = result.get(name, "")
        if figure is not None and (type(figure) not in (int, float) or not 0 <= figure <= _MOST):
            return name
    return None


def write_document(path: Path, document: Document) -> None:
    """Write a run, replacing what was there once it is whole.  Raises OSError."""
    write_text(path, json.dumps(document, indent=1) + "\n")


def host() -> dict[str, Any]:
    """Say what machine this is."""
    return {
        "cpu": _first_value("/proc/cpuinfo", "model name") or platform.processor(),
        "cpu_count": os.cpu_count(),
        "memory": _first_value("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_average": os.getloadavg(),
    }


def versions() -> dict[str, str | None]:
    """Say which versions are at work."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _first_value(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)

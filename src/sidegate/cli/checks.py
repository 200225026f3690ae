"""The checks of `sidegate doctor`: each looks at one thing and says how it is."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import click

from sidegate.cli.cores import default_workers
from sidegate.descriptors import ENOUGH, descriptor_limits
from sidegate.errors import NotFound, SidegateError
from sidegate.version import VERSION

ENOUGH_DESCRIPTORS = 1024
"""256 open packs, a connection each for a few hundred clients, and some air."""

FEW_FREE_BYTES = 1 << 30

LIBRARIES = {
    "blake3": "blake3",
    "zstandard": "zstandard",
    "isal": "isal.isal_zlib",
    "awscrt": "awscrt.checksums",
    "sqlalchemy": "sqlalchemy",
    "h11": "h11",
}


@dataclass(frozen=True, slots=True)
class Check:
    """What was found: `text` for a person, `facts` for a program."""

    name: str
    state: Literal["ok", "warning", "broken"]
    text: str
    remedy: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def run_checks(ctx: click.Context) -> list[Check]:
    """Look at everything; a check that fails is a finding, never an error."""
    return [
        check_python(),
        *(_guarded(name, check) for name, check in (("native", check_native), ("http", check_http))),
        check_libraries(),
        _guarded("store", lambda: check_store(ctx)),
        _guarded("jobs", check_jobs),
        check_descriptors(),
    ]


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except SidegateError as error:
        return Check(name, "broken", error.message, error.remedy or "")
    except (ImportError, OSError, ValueError) as error:
        return Check(name, "broken", f"{type(error).__name__}: {error}")


def check_python() -> Check:
    """Say which release of what runs on what."""
    python, system = platform.python_version(), platform.platform()
    text = f"sidegate {VERSION}, {platform.python_implementation()} {python} on {system}"
    facts = {"sidegate": VERSION, "python": python, "platform": system, "executable": sys.executable}
    return Check("python", "ok", text, facts=facts)


def check_native() -> Check:
    """Say whether the compiled loops are active, and why."""
    from sidegate.native import describe

    found = describe()
    facts = {"implementation": found.implementation, "mode": found.mode, "reason": found.reason}
    native = found.implementation == "native"
    remedy = "" if native else "install a wheel, or a C compiler and then sidegate again"
    return Check(
        "native", "ok" if native else "warning", f"{found.implementation}: {found.reason}", remedy, facts
    )


def check_http() -> Check:
    """Say which event loop and parser serve HTTP."""
    from sidegate.http.loops import describe

    found = describe()
    fast = (found.loop, found.parser) == ("uvloop", "httptools")
    workers = default_workers()
    facts = {"loop": found.loop, "parser": found.parser, "reason": found.reason, "workers": workers}
    text = f"{found.loop} with {found.parser}: {found.reason}; `serve` runs {workers} worker(s) here"
    return Check(
        "http", "ok" if fast else "warning", text, "" if fast else "pip install uvloop httptools", facts
    )


def check_libraries() -> Check:
    """Say which versions of the libraries that do the work are there, and that they load."""
    versions: dict[str, str] = {"sqlite": sqlite3.sqlite_version}
    faults = []
    for name, module in LIBRARIES.items():
        try:
            importlib.import_module(module)
            versions[name] = importlib.metadata.version(name)
        except ImportError as error:
            faults.append(f"{name} does not load: {error}")
    text = ", ".join(f"{name} {version}" for name, version in versions.items())
    if faults:
        return Check("libraries", "broken", "; ".join(faults), "install sidegate again", versions)
    return Check("libraries", "ok", text, facts=versions)


def check_store(ctx: click.Context) -> Check:
    """Say which store commands use here, and how large it is."""
    from sidegate.cli.printing import human_size
    from sidegate.cli.session import explicit_store, store_path

    try:
        path = store_path(ctx)
    except NotFound as error:
        if explicit_store(ctx) is not None:
            raise
        return Check("store", "ok", f"none: {error.message}", error.remedy or "", {"path": None})
    version = json.loads((path / "store.json").read_text()).get("format")
    packs = [pack.stat().st_size for pack in (path / "packs").rglob("*") if pack.is_file()]
    catalog_bytes = sum(file.stat().st_size for file in path.glob("catalog.db*"))
    free_bytes = shutil.disk_usage(path).free
    facts = {
        "path": str(path),
        "format": version,
        "packs": len(packs),
        "packs_size": sum(packs),
        "catalog_size": catalog_bytes,
        "free": free_bytes,
    }
    text = (
        f"{path}, format {version}: {human_size(sum(packs))} in {len(packs)} packs, "
        f"catalog {human_size(catalog_bytes)}, {human_size(free_bytes)} free on the disk"
    )
    full = free_bytes < FEW_FREE_BYTES
    return Check("store", "warning" if full else "ok", text, "the disk is nearly full" if full else "", facts)


def check_jobs() -> Check:
    """Say how far this kernel lets a job have files of its own."""
    from sidegate.pps.isolation import probe_isolation

    with tempfile.TemporaryDirectory(dir="/var/tmp") as base:
        found = probe_isolation([Path(base)], pfs=True)
    facts = {
        "private_tmp": found.private_tmp,
        "pfs_mounted": found.pfs_mounted,
        "warnings": list(found.warnings),
    }
    if found.private_tmp and found.pfs_mounted:
        return Check("jobs", "ok", "each attempt gets a private /tmp, and its inputs under /pfs", facts=facts)
    text = "; ".join(found.warnings) or "no private /tmp or no /pfs for jobs"
    return Check("jobs", "warning", text, "jobs run all the same; see $PFS_ROOT in their environment", facts)


def check_descriptors() -> Check:
    """Say how many files a gateway may have open: it allows itself as many as it may."""
    soft, hard = descriptor_limits()
    allowed = min(hard, ENOUGH)
    few = allowed < ENOUGH_DESCRIPTORS
    return Check(
        "files",
        "warning" if few else "ok",
        f"a gateway may have {allowed} open at once",
        f"raise the hard limit to {ENOUGH_DESCRIPTORS} or more: ulimit -Hn, as root" if few else "",
        {"soft": soft, "hard": hard},
    )

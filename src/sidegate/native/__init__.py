"""Selects the compiled modules or their twins in Python, once, at import.

SIDEGATE_NATIVE decides: `auto` (the default) takes the compiled modules if they
are installed, `require` fails without them, `off` takes the twins.  Both behave
alike; the twins are for correctness and portability, not for speed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

from sidegate.errors import Invalid
from sidegate.native.framing import FramingError, FramingKind
from sidegate.native.pure.sha256 import MOST_TOGETHER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidegate.native._aws_chunked import AwsChunkedDecoder
    from sidegate.native._cursors import Cursor, RowCursor, TreeCursor
    from sidegate.native._file_heads import FileHeads
    from sidegate.native._file_pipe import FilePipe, send_behind_head
    from sidegate.native._gear import GearScanner
    from sidegate.native._heads import HeadScanner
    from sidegate.native._index import IndexNode
    from sidegate.native._listing import render_names, render_rows
    from sidegate.native._load import Script
    from sidegate.native._page_scan import PageScan
    from sidegate.native._parts import PartCollector, collect_parts, scan_completion
    from sidegate.native._sha256 import Sha256, update_together

__all__ = [
    "MOST_TOGETHER",
    "AwsChunkedDecoder",
    "Cursor",
    "FileHeads",
    "FilePipe",
    "FramingError",
    "FramingKind",
    "GearScanner",
    "HeadScanner",
    "IndexNode",
    "PageScan",
    "PartCollector",
    "RowCursor",
    "Script",
    "Selection",
    "Sha256",
    "TreeCursor",
    "collect_parts",
    "describe",
    "render_names",
    "render_rows",
    "scan_completion",
    "send_behind_head",
    "update_together",
]

VARIABLE: Final = "SIDEGATE_NATIVE"
MODES: Final = ("auto", "require", "off")
MODULES: Final = (
    "gear",
    "aws_chunked",
    "heads",
    "load",
    "index",
    "file_heads",
    "file_pipe",
    "cursors",
    "page_scan",
    "listing",
    "parts",
    "sha256",
)
_COMPILED: Final = {f"sidegate.native._{name}": name for name in MODULES}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which implementation is active, asked for by which mode, and why."""

    mode: str
    implementation: Literal["native", "pure"]
    reason: str


def select(mode: str, load: Callable[[str], Any] = import_module) -> tuple[Selection, Mapping[str, Any]]:
    """Choose by `mode` and load MODULES, returned by name.

    Raises Invalid for an unknown mode.  Only the absence of a compiled module
    itself makes `auto` fall back: one that is there and fails to load raises,
    as does an absent one under `require`.
    """
    if mode not in MODES:
        raise Invalid(
            f"{VARIABLE}={mode!r} is not a mode", remedy=f"use one of {', '.join(MODES)}", mode=mode
        )
    if mode == "off":
        selection = Selection(mode, "pure", f"{VARIABLE}=off; right but several hundred times slower")
        return selection, _twins(load)
    try:
        modules = {name: load(path) for path, name in _COMPILED.items()}
    except ModuleNotFoundError as error:
        if mode == "require" or error.name not in _COMPILED:
            raise
        reason = f"{error.name} is not installed; the pure twin is right but several hundred times slower"
        return Selection(mode, "pure", reason), _twins(load)
    return Selection(mode, "native", "the compiled modules are installed"), modules


def _twins(load: Callable[[str], Any]) -> Mapping[str, Any]:
    return {name: load(f"sidegate.native.pure.{name}") for name in MODULES}


_selection, _modules = select(os.environ.get(VARIABLE, "auto"))
if not TYPE_CHECKING:
    GearScanner = _modules["gear"].GearScanner
    AwsChunkedDecoder = _modules["aws_chunked"].AwsChunkedDecoder
    HeadScanner = _modules["heads"].HeadScanner
    Script = _modules["load"].Script
    IndexNode, FileHeads = _modules["index"].IndexNode, _modules["file_heads"].FileHeads
    _cursors, _listing = _modules["cursors"], _modules["listing"]
    Cursor, TreeCursor, RowCursor = _cursors.Cursor, _cursors.TreeCursor, _cursors.RowCursor
    PageScan = _modules["page_scan"].PageScan
    render_names, render_rows = _listing.render_names, _listing.render_rows
    PartCollector, collect_parts = _modules["parts"].PartCollector, _modules["parts"].collect_parts
    scan_completion = _modules["parts"].scan_completion
    FilePipe, send_behind_head = _modules["file_pipe"].FilePipe, _modules["file_pipe"].send_behind_head
    Sha256, update_together = _modules["sha256"].Sha256, _modules["sha256"].update_together


def describe() -> Selection:
    """Say which implementation this process uses, for `sidegate doctor`."""
    return _selection

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

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidegate.native._aws_chunked import AwsChunkedDecoder
    from sidegate.native._gear import GearScanner

__all__ = [
    "AwsChunkedDecoder",
    "FramingError",
    "FramingKind",
    "GearScanner",
    "Selection",
    "describe",
]

VARIABLE: Final = "SIDEGATE_NATIVE"
MODES: Final = ("auto", "require", "off")
_COMPILED: Final = ("sidegate.native._gear", "sidegate.native._aws_chunked")
_TWINS: Final = ("sidegate.native.pure.gear", "sidegate.native.pure.aws_chunked")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which implementation is active, asked for by which mode, and why."""

    mode: str
    implementation: Literal["native", "pure"]
    reason: str


def select(mode: str, load: Callable[[str], Any] = import_module) -> tuple[Selection, tuple[Any, ...]]:
    """Choose by `mode` and load the modules of gear and aws-chunked.

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
        return selection, tuple(map(load, _TWINS))
    try:
        modules = tuple(map(load, _COMPILED))
    except ModuleNotFoundError as error:
        if mode == "require" or error.name not in _COMPILED:
            raise
        reason = f"{error.name} is not installed; the pure twin is right but several hundred times slower"
        return Selection(mode, "pure", reason), tuple(map(load, _TWINS))
    return Selection(mode, "native", "the compiled modules are installed"), modules


_selection, (_gear, _aws_chunked) = select(os.environ.get(VARIABLE, "auto"))
if not TYPE_CHECKING:
    GearScanner = _gear.GearScanner
    AwsChunkedDecoder = _aws_chunked.AwsChunkedDecoder


def describe() -> Selection:
    """Say which implementation this process uses, for `sidegate doctor`."""
    return _selection

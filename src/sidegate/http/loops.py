"""Which event loop and which parser there are, and why.

uvloop and httptools when they can be imported, asyncio and h11 otherwise.
Only their absence permits the other choice: any other failure propagates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from sidegate.errors import Invalid
from sidegate.http.parser import ParserFactory

Result = TypeVar("Result")

LOOPS = ("uvloop", "asyncio")
PARSERS = ("httptools", "h11")


@dataclass(frozen=True, slots=True)
class Backend:
    """What serves HTTP here, for `sidegate doctor`."""

    loop: str
    parser: str
    reason: str


def run(main: Coroutine[Any, Any, Result], implementation: str = "auto") -> Result:
    """Run a coroutine on a new event loop of this thread and return its result.

    `implementation` is auto, uvloop or asyncio; a named one that is missing
    raises ModuleNotFoundError.
    """
    try:
        factory = _loop_factory(implementation)
    except BaseException:
        main.close()
        raise
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def select_parser(name: str = "auto") -> ParserFactory:
    """Return the parser of that name: auto, httptools or h11."""
    _check_name(name, PARSERS)
    if name == "auto":
        name = "httptools" if _exists("httptools") else "h11"
    module = import_module(f"sidegate.http.{name}_parser")
    factory: ParserFactory = module.HttptoolsParser if name == "httptools" else module.H11Parser
    return factory


def describe() -> Backend:
    """Say what `auto` chooses here, and why."""
    missing = [name for name in ("uvloop", "httptools") if not _exists(name)]
    return Backend(
        loop="asyncio" if "uvloop" in missing else "uvloop",
        parser="h11" if "httptools" in missing else "httptools",
        reason=f"not installed: {', '.join(missing)}" if missing else "uvloop and httptools are installed",
    )


def _loop_factory(implementation: str) -> Callable[[], asyncio.AbstractEventLoop]:
    _check_name(implementation, LOOPS)
    if implementation == "auto":
        implementation = "uvloop" if _exists("uvloop") else "asyncio"
    if implementation == "asyncio":
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    return factory


def _check_name(name: str, known: tuple[str, ...]) -> None:
    if name != "auto" and name not in known:
        raise Invalid(
            f"unknown implementation {name!r}", remedy=f"use auto or one of {', '.join(known)}", name=name
        )


def _exists(name: str) -> bool:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return False
    return True

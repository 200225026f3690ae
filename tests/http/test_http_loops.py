"""Which loop and parser are chosen."""

from __future__ import annotations

import asyncio
import sys

import pytest

from sidegate.errors import Invalid
from sidegate.http import loops


async def name_of_loop() -> str:
    return type(asyncio.get_running_loop()).__module__.split(".")[0]


def test_a_named_loop_is_used() -> None:
    assert loops.run(name_of_loop(), "asyncio") == "asyncio"


def test_auto_takes_what_describe_says() -> None:
    backend = loops.describe()
    assert loops.run(name_of_loop()) == backend.loop
    assert loops.select_parser() is loops.select_parser(backend.parser)


@pytest.mark.parametrize(
    ("module", "field", "other"), [("uvloop", "loop", "asyncio"), ("httptools", "parser", "h11")]
)
def test_what_is_missing_is_replaced_and_named(
    monkeypatch: pytest.MonkeyPatch, module: str, field: str, other: str
) -> None:
    # The portable choice needs nothing, so this is never skipped.
    monkeypatch.setitem(sys.modules, module, None)
    backend = loops.describe()
    assert (getattr(backend, field), module in backend.reason) == (other, True)
    assert loops.run(name_of_loop()) == backend.loop
    loops.select_parser()


def test_a_named_choice_that_is_missing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(ModuleNotFoundError):
        loops.run(name_of_loop(), "uvloop")


@pytest.mark.parametrize(
    "choose", [lambda: loops.run(name_of_loop(), "trio"), lambda: loops.select_parser("regex")]
)
def test_an_unknown_name_is_refused(choose: object) -> None:
    with pytest.raises(Invalid, match="unknown implementation"):
        choose()  # type: ignore[operator]

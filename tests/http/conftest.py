"""The suite runs over each pair of event loop and parser."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from http_harness import Launch, launcher

PAIRS = [("uvloop", "httptools"), ("asyncio", "h11"), ("uvloop", "h11"), ("asyncio", "httptools")]


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    for name in request.param:
        if name != "asyncio" and find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    return request.param


@pytest.fixture
def launch(pair: tuple[str, str]) -> Iterator[Launch]:
    yield from launcher(pair)

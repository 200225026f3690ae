"""What tests of all folders have: profiles of Hypothesis, a file whose bytes tell where they are, and calm.

`ci` is for every run, `thorough` for before a release: `pytest --hypothesis-profile=thorough`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from sidegate import scheduling
from sidegate.scheduling import quick_answers

_SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]

settings.register_profile("ci", max_examples=40, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("thorough", max_examples=1000, deadline=None, suppress_health_check=_SLOW)
settings.load_profile("ci")


@pytest.fixture(autouse=True)
def no_quick_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been answered of late: a test behaves the same whatever ran before it."""
    monkeypatch.setattr(quick_answers, "given", False)
    monkeypatch.setattr(quick_answers, "_expected_until", 0.0)


@pytest.fixture
def quick_answers_expected(no_quick_answers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One was given, and counts for the rest of the test."""
    monkeypatch.setattr(scheduling, "EXPECTED_SECONDS", 3600.0)
    quick_answers.given = True


@pytest.fixture(scope="module")
def content(request: pytest.FixtureRequest) -> bytes:
    """As many bytes as the module's SIZE says, no two words of which are alike."""
    size: int = request.module.SIZE
    return b"".join(number.to_bytes(4) for number in range(size // 4 + 1))[:size]


@pytest.fixture(scope="module")
def file(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A file of that content, to be read."""
    path = tmp_path_factory.mktemp("content") / "file"
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)

"""How many descriptors a process allows itself: asked of processes of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sidegate.descriptors import ENOUGH
from sidegate.http.limits import Limits, fitting

resource = pytest.importorskip("resource", reason="no limits of descriptors on this system")

SCRIPT = """
import resource, sys
soft, hard, enough = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from sidegate import descriptors
descriptors.ENOUGH = enough
raised = descriptors.raise_descriptor_limit()
assert raised == descriptors.descriptor_limits()[0]
print(descriptors.started_with, raised, *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def after_raising(soft: int, hard: int, enough: int = ENOUGH) -> list[int]:
    """Return what the process started with, what it then has, and its limits."""
    command = [sys.executable, "-c", SCRIPT, str(soft), str(hard), str(enough)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(word) for word in found.stdout.split()]


def test_a_process_allows_itself_what_it_may() -> None:
    assert after_raising(200, 400) == [200, 400, 400, 400]
    assert after_raising(400, 400) == [400, 400, 400, 400]


def test_there_is_an_end_to_it() -> None:
    assert after_raising(200, 400, enough=300) == [200, 300, 300, 400]
    assert after_raising(350, 400, enough=300) == [350, 350, 350, 400]


def test_a_limit_that_cannot_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from sidegate import descriptors

    def refuse(which: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda which: (200, 400))
    monkeypatch.setattr(descriptors.resource, "setrlimit", refuse)
    assert descriptors.raise_descriptor_limit() == 200


def test_without_limits_a_usual_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from sidegate import descriptors

    monkeypatch.setattr(descriptors, "resource", None)
    assert descriptors.descriptor_limits()[0] == descriptors.raise_descriptor_limit() == descriptors.UNKNOWN


def test_no_limit_is_a_high_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from sidegate import descriptors

    none = resource.RLIM_INFINITY
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda which: (none, none))
    assert descriptors.descriptor_limits()[0] == descriptors.raise_descriptor_limit() == ENOUGH


@pytest.mark.parametrize("limit", [8, 300, 1024, ENOUGH, 1 << 20])
def test_shares_fit_together(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from sidegate import descriptors

    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda which: (limit, limit))
    connections = descriptors.connections_that_fit()
    assert connections >= 1
    assert 2 * connections + descriptors.packs_that_fit() < limit
    usual = Limits()
    assert fitting(usual).connections == min(usual.connections, connections)
    assert (fitting(usual) is usual) == (limit >= ENOUGH)

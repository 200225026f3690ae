"""What a job asks of its gateway: a session per attempt.

The application hands in a factory; this module says what it must give and
knows neither S3 nor HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from sidegate.pfs.commits import Commit
from sidegate.pfs.staging import Staging
from sidegate.pps.traffic import SessionTraffic


def keep_all(path: str) -> bool:
    """Keep every path."""
    return True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gateway says of an attempt's output.

    `refusal` says why it must not be published (None: it may); `keep` is false for paths that are
    left out of the commit.
    """

    refusal: str | None = None
    keep: Callable[[str], bool] = keep_all


class Session(Protocol):
    """One attempt's view of its inputs and its output."""

    @property
    def endpoint(self) -> str:
        """Return the URL that clients are led to."""

    def verdict(self) -> Verdict:
        """Close the output to writes and judge it; asked once, after success."""

    def traffic(self) -> SessionTraffic:
        """Return what was read and written so far; cheap, and for any thread."""


class OpenSession(Protocol):
    """Opens sessions; leaving the context ends one and all its connections."""

    def __call__(
        self, inputs: Mapping[str, Commit], staging: Staging | None, policy: str, alias: str
    ) -> AbstractContextManager[Session]:
        """Open a session over `inputs` by name.

        `staging` takes what is written to the output, which also answers to `alias`; None: the
        job has no output over S3.
        """

"""A run against servers that somebody else started.

Claims a place on each, loads it, measures, and takes away what it stored: also
when it is interrupted.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from sidegate.bench.cells import Cell
from sidegate.bench.client import Client
from sidegate.bench.client_limits import allow_connections
from sidegate.bench.document import Document, document_of
from sidegate.bench.endpoints import Endpoint
from sidegate.bench.loading import load
from sidegate.bench.places import Tell, claimed
from sidegate.bench.processes import ProcessTree
from sidegate.bench.rounds import Settings, measure
from sidegate.bench.signing import Keys, Signer, Style
from sidegate.bench.target import Target
from sidegate.errors import Invalid

# As wide as names ever were (bucketnamingrules.html): whether a new one may be called that, the server says.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be measured; `pids` are the processes of servers on this machine, by label."""

    endpoints: Sequence[Endpoint]
    cells: Sequence[Cell]
    settings: Settings
    keys: Keys | None
    style: Style = "presigned"
    bucket: str | None = None
    use_existing: bool = False
    pids: Mapping[str, int] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what does not go together; raises Invalid."""
        labels = [endpoint.label for endpoint in self.endpoints]
        unknown = sorted(self.pids.keys() - set(labels))
        if unknown:
            raise Invalid(
                f"--pid names no endpoint: {unknown[0]!r}", remedy=f"use one of {', '.join(labels)}"
            )
        if self.keys is None and self.style != "none":
            raise Invalid(
                "there are no keys to sign with",
                remedy="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, use --profile, or --sign none",
            )
        if self.use_existing and self.bucket is None:
            raise Invalid("--use-existing says nothing without --bucket", remedy="add --bucket NAME")
        if self.bucket is not None and not _BUCKET.fullmatch(self.bucket):
            raise Invalid(
                f"--bucket {self.bucket!r} is no name of a bucket",
                remedy="use 3 to 63 letters, digits, dots, hyphens and underscores",
            )


def run(request: Request, tell: Tell) -> Document:
    """Measure and return the run; `tell` gets what happens, line by line.

    Raises Invalid, Denied, Unsupported, Refused and Unavailable when a server
    cannot be measured at all; wrong answers, and what could not be removed, are in
    the document.
    """
    request.check()
    allow_connections(request.cells, request.settings.connections, len(request.endpoints))
    left_behind: list[str] = []

    def tell_left(line: str) -> None:
        left_behind.append(line)
        tell(line)

    with ExitStack() as stack:
        # All before any is loaded: a server that is not there is noticed at once.
        targets = _prepare_all(request, stack, tell, tell_left)
        for target in targets:
            tell(f"loading {target.label}")
            load(target, request.cells, request.settings.scale, tell)
        results = measure(request.cells, targets, request.settings, tell)
    endpoints = [{"label": one.label, "url": one.url} for one in request.endpoints]
    document = document_of(results, request.settings, endpoints, sign=request.style)
    document["left_behind"] = left_behind
    return document


def _prepare_all(request: Request, stack: ExitStack, tell: Tell, tell_left: Tell) -> list[Target]:
    """Claim a place on each server; two labels of one server share the bucket that the first made."""
    made: set[str] = set()
    targets = []
    for endpoint in request.endpoints:
        process = ProcessTree(request.pids[endpoint.label]) if endpoint.label in request.pids else None
        signer = Signer(endpoint.authority, request.style, request.keys, time.time)
        client = stack.enter_context(Client(endpoint, signer))
        place = stack.enter_context(
            claimed(
                client,
                endpoint.label,
                request.bucket,
                use_existing=request.use_existing or endpoint.authority in made,
                tell=tell,
                tell_left=tell_left,
            )
        )
        made.add(endpoint.authority)
        targets.append(Target(endpoint, signer, place.path, place.path, process=process))
    return targets

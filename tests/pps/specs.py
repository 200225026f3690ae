"""Specs for tests: a good one, and changes to it by path."""

from __future__ import annotations

import copy
import json
from typing import Any

S3_SPEC: dict[str, Any] = {
    "pipeline": {"name": "mean"},
    "input": {"pfs": {"repo": "labresults", "glob": "/", "s3": True}},
    "transform": {"cmd": ["sh"], "stdin": ["true"]},
    "s3_out": True,
}

FILE_SPEC: dict[str, Any] = {
    "pipeline": {"name": "mean"},
    "input": {"pfs": {"repo": "labresults", "glob": "/*"}},
    "transform": {"cmd": ["sh"], "stdin": ["true"]},
}

REMOVE: Any = object()


def pfs(repo: str, **fields: Any) -> dict[str, Any]:
    """Return an input that reads the repo as files."""
    return {"pfs": {"repo": repo, "glob": "/*", **fields}}


def s3(repo: str, **fields: Any) -> dict[str, Any]:
    """Return an input that reads the repo through S3."""
    return {"pfs": {"repo": repo, "glob": "/", "s3": True, **fields}}


def changed(spec: dict[str, Any], *changes: tuple[str, Any]) -> str:
    """Return the JSON of a spec with the values at dotted paths replaced, or removed."""
    result = copy.deepcopy(spec)
    for path, value in changes:
        *parents, last = path.split(".")
        place = result
        for key in parents:
            place = place.setdefault(key, {})
        if value is REMOVE:
            del place[last]
        else:
            place[last] = value
    return json.dumps(result)

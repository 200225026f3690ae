"""Finding the store that a command means.

Apart from opening it, so that nothing is loaded before there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sidegate.errors import NotFound

DIRECTORY_NAME = ".sidegate"
MARKER_NAME = "store.json"
STORE_VARIABLE = "SIDEGATE_STORE"


def find_store(explicit: str | None, environment: Mapping[str, str], start: Path) -> Path:
    """Return the store's directory: given, from $SIDEGATE_STORE, or the nearest upward.

    Raises NotFound when there is none.
    """
    named = explicit or environment.get(STORE_VARIABLE)
    if named:
        return _store_in(Path(named))
    for directory in (start, *start.parents):
        if (directory / DIRECTORY_NAME / MARKER_NAME).is_file():
            return directory / DIRECTORY_NAME
    raise NotFound(
        f"there is no {DIRECTORY_NAME} in {start} or above it",
        remedy=f"run `sidegate init`, or name a store with --store or ${STORE_VARIABLE}",
    )


def _store_in(path: Path) -> Path:
    """Return the store at `path`, which may also be the folder that holds it."""
    for directory in (path, path / DIRECTORY_NAME):
        if (directory / MARKER_NAME).is_file():
            return directory
    raise NotFound(f"there is no store in {path}", remedy=f"run `sidegate init {path}`", path=str(path))

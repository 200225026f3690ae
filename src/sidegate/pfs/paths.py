"""Paths: which ones can be a file both in a store and on a disk.

The store itself keeps any path; what goes in from or out to a local folder has
to keep to these rules, so that nothing is renamed or lands somewhere else.
"""

from __future__ import annotations

import re

from sidegate.errors import Invalid

MAX_PATH_BYTES = 1024
"""What an S3 key may have (Amazon S3 User Guide, "Naming Amazon S3 objects")."""

# Extensible Markup Language 1.0, section 2.2: what no listing could name.
_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class PathRefused(Invalid):
    """A path cannot be the path of a file."""


def check_path(path: str) -> str:
    """Return `path` if it can name a file, else raise PathRefused.

    1 to 1024 bytes of UTF-8, no leading or trailing `/`, no empty, `.` or `..`
    segment, no character that XML cannot carry.
    """
    reason = _find_fault(path)
    if reason is not None:
        raise PathRefused(f"path {path!r} {reason}", remedy="choose another path", path=path)
    return path


def _find_fault(path: str) -> str | None:
    if not path:
        return "is empty"
    if _UNSPEAKABLE.search(path):
        return "has a control character or is not UTF-8"
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    if path.startswith("/"):
        return "is absolute"
    segments = path.split("/")
    if ".." in segments or "." in segments:
        return "has a '.' or '..' segment"
    if "" in segments:
        return "has an empty segment"
    return None

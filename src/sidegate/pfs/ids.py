"""The kinds of identity in the store, each a type of its own."""

from __future__ import annotations

import re
import secrets
from typing import NewType, TypeAlias

from sidegate.errors import Invalid

Buffer: TypeAlias = bytes | bytearray | memoryview

ChunkId = NewType("ChunkId", bytes)
"""BLAKE3-256 of a chunk's plain bytes: 32 bytes."""

NodeId = NewType("NodeId", bytes)
"""The id of the chunk that holds an index node: 32 bytes."""

CommitId = NewType("CommitId", str)
"""A commit's name: 32 lower-case hexadecimal digits, random."""

COMMIT_ID = re.compile(r"[0-9a-f]{32}")
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}")


def new_commit_id() -> CommitId:
    """Return a fresh random commit id."""
    return CommitId(secrets.token_hex(16))


def check_name(kind: str, name: str) -> str:
    """Return `name` if it may name a repo or a branch, else raise Invalid.

    1 to 63 ASCII letters, digits, `-` and `_`, starting with a letter or
    digit, and not shaped like a commit id, so that a reference has one reading.
    """
    if NAME.fullmatch(name) is None:
        raise Invalid(
            f"{kind} name {name!r} is not valid",
            remedy="use 1 to 63 letters, digits, '-' or '_', starting with a letter or digit",
            name=name,
        )
    if COMMIT_ID.fullmatch(name) is not None:
        raise Invalid(f"{kind} name {name!r} looks like a commit id", remedy="choose another name", name=name)
    return name

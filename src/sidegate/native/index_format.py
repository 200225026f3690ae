"""What both twins of the index reader know of stored bytes (docs/formats.md).

Holds the numbers of the format and how a violation is reported.  It reads as
much of a file record as a listing needs: the head.
"""

from __future__ import annotations

from typing import Final

from sidegate.errors import Corrupt

NODE_MAGIC: Final = b"SGT1"
RECORD_VERSION: Final = 1
HAS_HASH: Final = 1
EXTERNAL: Final = 2
"""Flags of a file record: a file hash is there; its extents are kept apart."""

PARTIAL: Final = 1
TAIL: Final = 2
"""Flags of an extent: it is a slice of its chunk; its chunk ended with its input."""

HASH_BYTES: Final = 32
"""A file hash, and a node id: BLAKE3-256."""

LAST_SHIFT: Final = 56
"""Nine groups of seven bits: 63 bits, what a signed column holds."""


def no_node() -> Corrupt:
    """Return what a chunk raises that is no index node."""
    return Corrupt("a chunk named as an index node is none")


def torn_node(offset: int) -> Corrupt:
    """Return what a node raises whose entries do not end with it."""
    return Corrupt(f"index node is torn at byte {offset}", offset=offset)


def torn_record(offset: int) -> Corrupt:
    """Return what a file record raises that ends early or is no text."""
    return Corrupt(f"file record is torn at byte {offset}", offset=offset)


def misplaced_node() -> Corrupt:
    """Return what a node raises that is not what its parent says."""
    return Corrupt("index node says another thing than its child", remedy="run `sidegate fsck`")


def check_record_head(version: int, flags: int) -> None:
    """Raise Corrupt unless a record's version and flags are known."""
    if version != RECORD_VERSION:
        raise Corrupt(f"file record has version {version}, this release reads {RECORD_VERSION}")
    if flags > HAS_HASH | EXTERNAL:
        raise Corrupt(f"file record has flags {flags:#x}, this release reads up to {HAS_HASH | EXTERNAL:#x}")


def unknown_extent(flags: int) -> Corrupt:
    """Return what an extent raises whose flags are not known."""
    return Corrupt(f"extent has flags {flags:#x}, this release reads up to {PARTIAL | TAIL:#x}")

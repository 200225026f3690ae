"""How much disk a run of `sidegate bench self` takes until it ends, and whether there is as much.

A bound, not a forecast: what rounds store at most, by the cells and the scale.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidegate.bench import plans
from sidegate.bench.cells import Cell, taking_turns
from sidegate.bench.corpus import LISTED_BODY, Scale
from sidegate.bench.rounds import WARMING_SHARE, Settings
from sidegate.errors import Unavailable

COPIED_BYTES_PER_SECOND: Final = 1 << 29
"""What a server that copies bytes can make of one connection; peers make 0.3 GB/s (Zen 4 VM, 2026-11)."""

FILE_BYTES: Final = 8 << 10
"""Of a small object in a server that keeps each in a file: a page, and its entry."""

LISTED_BYTES: Final = 100
"""Of a key in an index of very many."""

GIB: Final = 1 << 30


class NoRoom(Unavailable):
    """The disk has less room than a run takes."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who stores: what it takes part in, and whether what a cell wrote stays when the cell has ended.

    `loaded`: it has the data that cells read, and not another's.
    """

    cells: Sequence[Cell]
    keeps: bool
    loaded: bool = True

    def needed_bytes(self, settings: Settings) -> int:
        """Return what it stores at most at a time."""
        found = [
            sum(_written_bytes(cell, settings, keeps=self.keeps) for cell in group)
            for group in taking_turns(self.cells)
        ]
        loaded = _loaded_bytes(self.cells, settings.scale) if self.loaded else 0
        return loaded + (sum(found) if self.keeps else max(found, default=0))


def check_room(folder: Path, needed: int) -> None:
    """Raise NoRoom when the disk of a folder has less room than is needed."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise _no_room(folder, needed, f"there is {_gib(free)} free")


@contextmanager
def explained_full_disk(folder: Path, needed: int) -> Iterator[None]:
    """Raise NoRoom when the disk becomes full all the same: others may write to it too."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" while {os.fsdecode(error.filename)} was written" if error.filename else ""
        raise _no_room(folder, needed, f"the disk became full{where}") from error


def _no_room(folder: Path, needed: int, why: str) -> NoRoom:
    return NoRoom(
        f"the run may take {_gib(needed)} of disk in {folder}, and {why}",
        remedy="name a folder that has more with --folder or TMPDIR, or choose fewer --cells, "
        "a smaller --scale, or --no-peers",
        needed_bytes=needed,
    )


def _loaded_bytes(cells: Sequence[Cell], scale: Scale) -> int:
    needs = frozenset[str]().union(*(cell.needs for cell in cells))
    stored = {one.key: one.size_bytes for cell in cells for one in plans.stored_objects(cell, scale)}
    listed = scale.listed_keys * (len(LISTED_BODY) + FILE_BYTES) if "listed" in needs else 0
    many = scale.many_keys * LISTED_BYTES if "many" in needs else 0
    return sum(size + FILE_BYTES for size in stored.values()) + listed + many


def _written_bytes(cell: Cell, settings: Settings, *, keeps: bool) -> int:
    """Return what a cell stores: in all its rounds, or what is left of it where objects are replaced."""
    scale, size = settings.scale, cell.moved_bytes(settings.scale)
    round_count = settings.rounds + 2 * WARMING_SHARE  # the warming, and what is read back
    if cell.operation in ("put", "multipart"):
        connections = settings.connections or cell.connections
        count = max(connections, min(scale.written_keys, scale.round_bytes // size))
        return int(count * max(size, FILE_BYTES) * (round_count if keeps else 1))
    if cell.operation in ("copy", "part-copy") and not keeps and cell.needs:
        seconds = settings.duration_seconds * round_count
        return min(plans.LARGE_POOL * size, int(COPIED_BYTES_PER_SECOND * seconds))
    return 0


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / GIB:.1f} GiB" if size_bytes >= GIB // 10 else f"{size_bytes / (1 << 20):.0f} MiB"

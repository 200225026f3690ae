"""A disk so small that it can be filled to the last block."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DISK_BYTES = 64 << 20


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of its own in memory, mounted at `place`."""
    mount = shutil.which("mount")
    if mount is None:
        pytest.skip("this system has no mount")
    place.mkdir()
    command = [mount, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield place
    # Lazily: what failed to open may still hold a file until it is collected.
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> None:
    """Leave not a single block to anybody."""
    with open(disk / "filler", "ab", buffering=0) as filler:
        while os.statvfs(disk).f_bavail:
            filler.write(bytes(4096))

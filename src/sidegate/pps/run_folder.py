"""What a running job leaves in the world, so that it can be taken back.

A job owns `scratch/<job id>` in the store's folder: a lock held while its
runner lives, the names of its stagings and of places elsewhere. Whoever finds
such a folder without a lock holder may clean up after it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from sidegate.pfs.store import Store
from sidegate.pps.isolation import remove_tree

_LOCK, _STAGINGS, _PLACES = "lock", "stagings", "places"


class RunFolder:
    """A job's folder, held as long as the job runs; a context.

    Leaving it drops every staging that was tracked and removes every place, published or not: a
    published staging is gone already.
    """

    def __init__(self, store: Store, job_id: str) -> None:
        self.store = store
        # Absolute: processes see it from other folders.
        self.directory = store.directory.resolve() / "scratch" / job_id
        self._lock = -1

    def __enter__(self) -> RunFolder:
        self._hold(fcntl.LOCK_EX)
        return self

    def hold_abandoned(self) -> None:
        """Take over a folder; raises BlockingIOError while its runner lives."""
        self._hold(fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _hold(self, how: int) -> None:
        while True:
            self.directory.mkdir(parents=True, mode=0o700, exist_ok=True)
            path = self.directory / _LOCK
            try:
                lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                continue  # removed between the two steps
            try:
                fcntl.flock(lock, how)
                held = path.exists() and os.path.samestat(os.fstat(lock), path.stat())
            except BaseException:
                os.close(lock)
                raise
            if held:
                self._lock = lock
                return
            os.close(lock)  # what was locked has been removed by who held it

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Clean up and let go of the lock."""
        try:
            self.clean()
        finally:
            os.close(self._lock)

    def track_staging(self, staging_id: str) -> None:
        """Remember a staging before anything is written to it."""
        self._remember(_STAGINGS, staging_id)

    def make_place(self, base: Path) -> Path:
        """Return a private folder below `base`; `base` itself if it is ours."""
        if base.is_relative_to(self.directory):
            return base
        place = base / f"sidegate-{self.directory.name}"
        self._remember(_PLACES, str(place))
        place.mkdir(mode=0o700, exist_ok=True)
        return place

    def clean(self) -> None:
        """Drop and remove all that is remembered, and the folder."""
        for staging_id in self._remembered(_STAGINGS):
            self.store.uploads.drop_scope(staging_id)
            self.store.stagings.drop(staging_id)
        for place in self._remembered(_PLACES):
            remove_tree(Path(place))
        remove_tree(self.directory)

    def _remember(self, name: str, value: str) -> None:
        with open(self.directory / name, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"{value}\n")

    def _remembered(self, name: str) -> list[str]:
        try:
            text = (self.directory / name).read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return []
        return [line for line in text.split("\n") if line]


def abandoned_folders(store: Store) -> Iterator[RunFolder]:
    """Yield, held, the folders whose runner is gone; cleaned afterwards."""
    base = store.directory / "scratch"
    names = sorted(os.listdir(base)) if base.is_dir() else []
    for name in names:
        folder = RunFolder(store, name)
        try:
            folder.hold_abandoned()
        except BlockingIOError:
            continue  # its runner lives
        try:
            yield folder
        finally:
            folder.release()

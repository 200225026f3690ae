"""Checkpoints: when the pages of the catalog's log go back to its file, and who waits for it.

SQLite does that in the commit that made the log long, and waits for the disk twice: 30 to 60 ms for
32 MiB, in which nobody's write is told.  Here a thread does it while writes go on.  A log that is
appended to meanwhile is never whole when it ends, so it would grow; so the writer does the rest, a few
pages, between two of its transactions, and the next one begins the log anew.

Everything is SQLite's own checkpoint: what it promises after a crash does not depend on who calls it.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from sidegate.errors import SidegateError
from sidegate.pfs.catalog.bulk import execute_plain
from sidegate.pfs.catalog.write_ahead_log import WriteAheadLog
from sidegate.pfs.disk import begin_writing, open_descriptor

COPIED_FROM_FRAMES: Final = 4096
"""16 MiB: twice as long when it begins anew, where writes keep coming.  A page is written once however often
it was changed since the last time: logs of 4 MiB cost a small file 140 us of CPU, of 32 MiB 116, of
64 MiB no less (Zen 4, 2026-11)."""

WAITED_FROM_FRAMES: Final = 16384
"""64 MiB, where the writer waits for the thread: else a slow disk would let the log grow without end."""

BACKSTOP_FRAMES: Final = 24576
"""Where SQLite does it itself, in any commit: for those that commit too rarely to look here."""

_PASSIVE = "PRAGMA wal_checkpoint(PASSIVE)"  # waits for nobody
_LOOK_EVERY = 16  # commits
_FEW_FRAMES = 512
_MOST_PASSES = 4
_MOST_TRIES = 8


class Checkpoints:
    """The checkpoints of one process's writer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._path = Path(str(engine.url.database)).resolve()
        self._log = WriteAheadLog(self._path.with_name(f"{self._path.name}-wal"))
        self._commit_count = 0
        self._thread: threading.Thread | None = None
        # Which log the thread was begun for, and how long it was when readers kept it from beginning anew.
        self._salts = b""
        self._held_frames = 0
        self._tries = 0

    def after_commit(self, writer: Connection) -> None:
        """Do what is due; `writer` has just committed, and nobody else of this process writes."""
        self._commit_count += 1
        looks = self._commit_count % _LOOK_EVERY == 0
        if self._thread is None:
            if looks and self._reaches(COPIED_FROM_FRAMES):
                self._begin()
        elif not self._thread.is_alive():
            self._copy_rest(writer)
        elif looks and self._reaches(WAITED_FROM_FRAMES):
            self._thread.join()
            self._copy_rest(writer)

    def room_needed_bytes(self) -> int:
        """Return how much longer the catalog's file gets when all of the log is copied."""
        with self._engine.connect() as connection:
            page_count = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
            page_bytes = int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
        return max(page_count * page_bytes - self._path.stat().st_size, 0)

    def copy_all(self) -> None:
        """Copy the log as far as readers allow: the next transaction may begin it anew, in its room."""
        if self._thread is not None:
            self._thread.join()
        self._checkpoint()

    def _reaches(self, frames: int) -> bool:
        """Whether the log has so many frames, beyond those at which it was last given up."""
        if self._held_frames and self._log.salts() != self._salts:
            self._held_frames = 0
        return self._log.reaches(self._held_frames + frames)

    def _begin(self) -> None:
        self._salts = self._log.salts()
        self._tries = 0
        self._thread = threading.Thread(target=self._copy, name="catalog-checkpoint", daemon=True)
        self._thread.start()

    def _copy(self) -> None:
        """Copy what is in the log, and what has come meanwhile, until that is little."""
        copied = 0
        for _ in range(_MOST_PASSES):
            before, copied = copied, self._checkpoint()
            self._begin_writing()
            if copied - before < _FEW_FRAMES:
                return

    def _checkpoint(self) -> int:
        """Copy as much of the log as readers allow; return how many frames it had, 0 where that failed.

        What is not copied stays in the log and is tried again: nothing is lost, and whoever
        writes or reads is told of a disk that is full or broken.
        """
        try:
            with self._engine.connect() as connection:
                _, frames, _ = connection.exec_driver_sql(_PASSIVE).one()
        except (SidegateError, DBAPIError):
            return 0
        return max(int(frames), 0)  # -1 while another process copies

    def _begin_writing(self) -> None:
        """Have the kernel begin to write what was copied.

        SQLite waits for that only when it has copied all, which is when the writer waits for it.
        """
        with suppress(OSError):  # as SQLite's own waiting will tell
            fd = open_descriptor(self._path)
            if fd is not None:
                begin_writing(fd)

    def _copy_rest(self, writer: Connection) -> None:
        """Copy what is left while nobody writes, so that the next transaction begins the log anew.

        Does that after each commit until one has: a reader may keep it from that.
        """
        if self._log.salts() != self._salts:
            self._end(held_frames=0)
            return
        self._tries += 1
        frames = 0
        with suppress(sqlite3.OperationalError):  # another process writes, and for very long
            # No other process appends meanwhile.
            execute_plain(writer, "BEGIN IMMEDIATE")
            try:
                frames = self._checkpoint()
            finally:
                execute_plain(writer, "ROLLBACK")
        if self._tries == _MOST_TRIES:
            self._end(held_frames=frames)

    def _end(self, held_frames: int) -> None:
        self._thread = None
        self._held_frames = held_frames
        self._log.close()

    def close(self) -> None:
        """Wait for the thread and let go of all."""
        if self._thread is not None:
            self._thread.join()
        self._end(held_frames=0)

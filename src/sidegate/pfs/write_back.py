"""When full packs are sealed and reach the disk while nobody waits for it.

Sealing one of small files takes 15 ms, in which the catalog's writer would store nothing.  A
commit waits for all of them, so what is sealed begins to be written at once.  Being sure of it
costs a commit of the file system's journal, which holds up every write meanwhile: that is
done for several packs together.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress

from sidegate.pfs.pack_writing import PackWriter

SYNCED_TOGETHER = 8
"""Half a GiB.  Bodies of 1 MiB took 1.44 CPU-s/GB with packs synced one by one, 1.19 where each began to
be written and eight were synced together; with 64 MiB there is no difference (ext4, Zen 4, 2026-11)."""


def write_back(unsynced: Sequence[PackWriter]) -> None:
    """Seal packs and start what a commit will wait for, in a thread.  What was full last is the last."""
    threading.Thread(target=_work, args=(list(unsynced),), name="pack-sync", daemon=True).start()


def _work(unsynced: list[PackWriter]) -> None:
    # What is not synced yet when as many have come again is taken along then.
    together = len(unsynced) % SYNCED_TOGETHER == 0
    # An error is raised again by the commit, or, when it is sealed once more, by the closing of the store.
    with suppress(OSError):
        for writer in unsynced:
            writer.seal()
        if together or not unsynced[-1].begin_sync():
            for writer in unsynced:
                writer.sync()

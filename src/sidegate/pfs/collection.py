"""Garbage collection: giving back the space of what nothing refers to.

Marks, then sweeps in two cycles.  The first condemns a chunk that is not in
use and was not written within the window; writers treat it as absent from then
on.  A later one, at least a window after, deletes it if it is still not in use.
Both cycles see the catalog as of one moment, so a reference that moves (from a
staging to a commit) is seen in one place or the other.

Not promised: a chunk that a writer found in the store and holds for longer than
the window without naming it may be gone; `ChunkStore.keep` finds that out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, bindparam, delete, exists, func, select, update

from sidegate.errors import Corrupt
from sidegate.pfs.catalog.schema import CHUNKS, FRESH_CHUNKS, PACKS, REPOS, STAGINGS, UPLOADS
from sidegate.pfs.disk import StorageFull
from sidegate.pfs.fresh_chunks import merge_fresh
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.index_checking import pack_rows
from sidegate.pfs.marking import Marker
from sidegate.pfs.pack_files import is_abandoned, pack_path, written_us
from sidegate.pfs.pack_format import PackRecord
from sidegate.pfs.packs import PackFile, read_index
from sidegate.pfs.recovery import recover_abandoned
from sidegate.pfs.relocation import relocate
from sidegate.pfs.reserve import COLLECTION_BYTES
from sidegate.pfs.store import Store
from sidegate.pfs.uploads import delete_parts_of_finished, delete_uploads

LOCK = "collection"
"""Held while packs may go: by a collection and by a check."""

WINDOW_US = 3600 * 1_000_000
ANSWER_KEPT_US = 24 * 3600 * 1_000_000
"""How long a completed upload's answer can be asked for again."""

_PAGE = 5000

_ROWS_BYTES = 1 << 18
"""Room for the rows that are written when a pack is moved, beside its chunks."""


@dataclass(slots=True)
class CollectionReport:
    """What a collection found and did; bytes are those of the pack files."""

    bytes_before: int = 0
    bytes_after: int = 0
    chunks_live: int = 0
    chunks_condemned: int = 0
    chunks_pardoned: int = 0
    chunks_deleted: int = 0
    packs_removed: int = 0
    packs_postponed: int = 0
    """Half-empty ones for whose chunks the disk had no room."""
    packs_rewritten: int = 0
    orphans_removed: int = 0
    attempts_dropped: int = 0
    uploads_dropped: int = 0
    damaged_packs: tuple[str, ...] = ()

    @property
    def bytes_reclaimed(self) -> int:
        """How much smaller the packs are now."""
        return self.bytes_before - self.bytes_after


def collect(store: Store, *, window_us: int = WINDOW_US) -> CollectionReport:
    """Run one cycle; readers and writers go on meanwhile.

    On a full disk the reserve lends it room, and it begins again.  Raises Conflict while another
    collection or check runs, StorageFull, and Corrupt, with nothing removed, when a tree cannot
    be read.
    """
    with store.locks.holding(LOCK):
        while True:
            try:
                return _Collection(store, window_us).run()
            except StorageFull:
                if not store.reserve.lend(COLLECTION_BYTES):
                    raise


@dataclass(frozen=True, slots=True)
class _PackUse:
    """What the catalog has of one sealed pack."""

    id: int
    name: str
    live_bytes: int
    chunk_count: int
    condemned_count: int


class _Collection:
    def __init__(self, store: Store, window_us: int) -> None:
        self._store = store
        self._database = store.database
        self._packs = store.directory / "packs"
        self._window_us = window_us
        self._now_us = store.clock()
        self.report = CollectionReport()

    def run(self) -> CollectionReport:
        report = self.report
        report.bytes_before = _disk_bytes(self._packs)
        recover_abandoned(self._store.chunks)
        self._store.chunks.merge_index()
        self._drop_attempts()
        report.uploads_dropped += self._database.write(self._drop_uploads)
        self._sweep(self._mark())
        # What is removed first makes room for what is moved.
        for pack in sorted(self._sealed_packs(), key=lambda pack: pack.live_bytes):
            self._thin_out(pack)
        self._remove_orphans()
        report.bytes_after = _disk_bytes(self._packs)
        return report

    # -- what ended without saying so --------------------------------------

    def _drop_attempts(self) -> None:
        locks = self._store.locks
        stagings = self._store.stagings.all()
        for info in stagings:
            if info.purpose == "attempt" and locks.is_free(info.id):
                self._store.stagings.drop(info.id)
                locks.remove_free(info.id)
                self.report.attempts_dropped += 1
        known = {info.id for info in stagings} | {LOCK}
        for name in locks.names():
            if name not in known and self._is_quiet(self._store.directory / "locks" / name):
                locks.remove_free(name)

    def _drop_uploads(self, connection: Connection) -> int:
        """Drop uploads into what is gone, and completed ones that nobody will ask for."""
        scope = UPLOADS.c.scope
        of_branch = scope.contains("@")
        answered = UPLOADS.c.result.is_not(None) & (UPLOADS.c.created_us < self._now_us - ANSWER_KEPT_US)
        staging_gone = ~of_branch & ~exists().where(STAGINGS.c.id == scope)
        of_repo = func.substr(scope, 1, func.length(REPOS.c.name) + 1) == REPOS.c.name + "@"
        repo_gone = of_branch & ~exists().where(of_repo)
        query = select(UPLOADS.c.id).where(answered | staging_gone | repo_gone)
        gone = list(connection.execute(query).scalars())
        delete_uploads(connection, gone)
        delete_parts_of_finished(connection)
        return len(gone)

    # -- mark and sweep ------------------------------------------------------

    def _mark(self) -> set[ChunkId]:
        marker = Marker(self._store.chunks)
        with self._database.read() as connection:
            marker.note(connection)
        live = marker.walk()
        self.report.chunks_live = len(live)
        return live

    def _sweep(self, live: set[ChunkId]) -> None:
        quiet = self._quiet_packs()
        for rows in self._chunk_rows():
            pardoned: list[dict[str, object]] = []
            condemned: list[dict[str, object]] = []
            deleted: list[dict[str, object]] = []
            for chunk, pack, condemned_us in rows:
                if chunk in live:
                    if condemned_us is not None:
                        pardoned.append({"chunk": chunk})
                elif condemned_us is None:
                    if pack in quiet:
                        condemned.append({"chunk": chunk, "in_pack": pack})
                elif condemned_us + self._window_us <= self._now_us:
                    deleted.append({"chunk": chunk, "since_us": condemned_us})
            if pardoned or condemned or deleted:
                self._database.write(partial(self._pronounce, pardoned, condemned, deleted))

    def _pronounce(
        self,
        pardoned: list[dict[str, object]],
        condemned: list[dict[str, object]],
        deleted: list[dict[str, object]],
        connection: Connection,
    ) -> None:
        """Change the index unless a writer has stored the chunk anew meanwhile."""
        merge_fresh(connection)
        this = CHUNKS.c.id == bindparam("chunk")
        uncondemned = CHUNKS.c.condemned_us.is_(None) & (CHUNKS.c.pack == bindparam("in_pack"))
        pardon = update(CHUNKS).where(this).values(condemned_us=None)
        condemn = update(CHUNKS).where(this, uncondemned).values(condemned_us=self._now_us)
        remove = delete(CHUNKS).where(this, CHUNKS.c.condemned_us == bindparam("since_us"))
        if pardoned:
            self.report.chunks_pardoned += connection.execute(pardon, pardoned).rowcount
        if condemned:
            self.report.chunks_condemned += connection.execute(condemn, condemned).rowcount
        if deleted:
            self.report.chunks_deleted += connection.execute(remove, deleted).rowcount

    def _quiet_packs(self) -> set[int]:
        """Return the packs that nobody has written to within the window."""
        with self._database.read() as connection:
            packs = connection.execute(select(PACKS.c.id, PACKS.c.name)).all()
        return {row.id for row in packs if self._is_quiet(pack_path(self._packs, row.name))}

    def _is_quiet(self, path: Path) -> bool:
        return written_us(path) + self._window_us <= self._now_us

    def _chunk_rows(self) -> Iterator[list[tuple[ChunkId, int, int | None]]]:
        last = b""
        while True:
            query = (
                select(CHUNKS.c.id, CHUNKS.c.pack, CHUNKS.c.condemned_us)
                .where(CHUNKS.c.id > last)
                .order_by(CHUNKS.c.id)
                .limit(_PAGE)
            )
            with self._database.read() as connection:
                rows = [(ChunkId(row[0]), row[1], row[2]) for row in connection.execute(query)]
            if not rows:
                return
            yield rows
            last = rows[-1][0]

    # -- packs -----------------------------------------------------------------

    def _sealed_packs(self) -> list[_PackUse]:
        """Return the sealed packs; all chunks of such a one are in the index."""
        query = (
            select(
                PACKS.c.id,
                PACKS.c.name,
                func.coalesce(func.sum(CHUNKS.c.stored_bytes), 0),
                func.count(CHUNKS.c.id),
                func.count(CHUNKS.c.condemned_us),
            )
            .outerjoin(CHUNKS, CHUNKS.c.pack == PACKS.c.id)
            .where(PACKS.c.sealed)
            .group_by(PACKS.c.id)
        )
        with self._database.read() as connection:
            return [_PackUse(*row) for row in connection.execute(query)]

    def _thin_out(self, pack: _PackUse) -> None:
        """Remove a pack without chunks; move the chunks out of one less than half full."""
        try:
            if pack.chunk_count and self._is_half_empty(pack):
                if not self._has_room(pack.live_bytes):
                    self.report.packs_postponed += 1
                    return
                relocate(self._store.chunks, pack.name, self._records(pack))
                self.report.packs_rewritten += 1
            elif pack.chunk_count:
                return
        except Corrupt:
            self.report.damaged_packs += (pack.name,)
            return
        if self._database.write(lambda connection: _forget_pack(connection, pack.id)):
            self._store.chunks.packs.close(pack.name)
            pack_path(self._packs, pack.name).unlink(missing_ok=True)
            self.report.packs_removed += 1

    def _has_room(self, size_bytes: int) -> bool:
        """Whether the disk takes a copy of so many bytes, the reserve included."""
        while shutil.disk_usage(self._packs).free < size_bytes + _ROWS_BYTES:
            if not self._store.reserve.lend(COLLECTION_BYTES):
                return False
        return True

    def _is_half_empty(self, pack: _PackUse) -> bool:
        """Whether live payloads are less than half; one with condemned chunks waits for them."""
        file = PackFile.open(pack_path(self._packs, pack.name))
        if pack.condemned_count or pack.live_bytes * 2 >= file.size_bytes:
            return False
        return pack.live_bytes * 2 < sum(record.stored_bytes for record in read_index(file) or ())

    def _records(self, pack: _PackUse) -> list[PackRecord]:
        with self._database.read() as connection:
            return pack_rows(connection, pack.id)

    def _remove_orphans(self) -> None:
        """Remove pack files that the catalog never heard of and whose writer is gone."""
        for path in pack_files(self._packs):
            if self._is_known(path) or not self._is_quiet(path):
                continue
            # Asked again under no lock of a writer's: it registers its pack before it lets go.
            if is_abandoned(path) and not self._is_known(path):
                path.unlink(missing_ok=True)
                self.report.orphans_removed += 1

    def _is_known(self, path: Path) -> bool:
        with self._database.read() as connection:
            found = connection.execute(select(PACKS.c.id).where(PACKS.c.name == path.stem)).first()
        return found is not None


def _forget_pack(connection: Connection, pack: int) -> bool:
    in_use = exists().where(CHUNKS.c.pack == pack) | exists().where(FRESH_CHUNKS.c.pack == pack)
    statement = delete(PACKS).where(PACKS.c.id == pack, PACKS.c.sealed, ~in_use)
    return connection.execute(statement).rowcount == 1


def pack_files(directory: Path) -> list[Path]:
    """Return every pack file below `directory`."""
    return sorted(directory.glob("*/*.pack"))


def _disk_bytes(directory: Path) -> int:
    total = 0
    for path in pack_files(directory):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue  # another process is at work
    return total

"""What is known of a branch's files without asking: where each one is, until it changes.

Every file that was looked up is remembered with the numbers (`changes`) that the repo, the
branch and the file itself had then.  While they stay, it is what a reader must see; a write
to another file of the branch, by whichever process, costs a reader nothing.
"""

from __future__ import annotations

import threading
from typing import NamedTuple
from weakref import WeakValueDictionary

from sqlalchemy import String, bindparam, literal, null, select, union_all

from sidegate.pfs.branches import DEFAULT_BRANCH
from sidegate.pfs.catalog.database import Database, path_scope
from sidegate.pfs.catalog.prepared import Prepared
from sidegate.pfs.catalog.schema import BRANCHES, COMMITS, REPOS, STAGED, STAGINGS
from sidegate.pfs.changes import Changes, is_settled
from sidegate.pfs.files import FileRecord, decode_record
from sidegate.pfs.ids import NodeId
from sidegate.pfs.pending import is_pending, open_key
from sidegate.pfs.tree import NodeCache, Tree

MEMORY_BYTES = 16 << 20
"""What is remembered of all branches of a store, in this process."""

_ENTRY_BYTES = 400

_REPO, _HEAD, _PENDING, _LAYER = range(4)

_NEVER = 1
"""No settled number, so nothing that was ever looked up."""


class Found(NamedTuple):
    """A file as it is now; the same `source` and path are the same file.

    A source is the root of the tree that the file is in, or the encoded record of
    an open write.
    """

    record: FileRecord
    source: bytes


_Known = tuple[bytes, int, int]
"""A source, the path's cell and the number that was in it before the source was looked up.

A plain tuple: whether it holds is asked at each read, of thousands that no cache of the processor
keeps, and each attribute of a named tuple is a look into two more objects (0.55 us a read of
22, `perf record` over 1000 files, 2026-11)."""


class _Base(NamedTuple):
    """What a branch with at most one open commit consists of: its head's root, and what is laid over it."""

    root: NodeId | None
    layer: str | None


class _Epoch:
    """What was looked up while branch and repo had these numbers.

    One object, so that who has compared the numbers finds nothing of another time beside them.
    """

    __slots__ = ("base", "branch_number", "old", "repo_number", "young")

    def __init__(self, branch_number: int, repo_number: int, base: _Base | None) -> None:
        self.branch_number = branch_number
        self.repo_number = repo_number
        self.base = base
        # What was asked for lately, and what was before that.
        self.young: dict[str, _Known] = {}
        self.old: dict[str, _Known] = {}


class BranchMemory:
    """One branch; `source` is for the event loop, `find` for threads."""

    def __init__(self, memories: BranchMemories, repo: str, branch: str) -> None:
        self._memories = memories
        self._cells = memories.changes.cells
        self._scope = open_key(repo, branch)
        self._branch_cell = memories.changes.cell_of(self._scope)
        self._repo_cell = memories.changes.cell_of(repo)
        self._names = {"repo": repo, "branch": branch}
        self._must_be_made = branch != DEFAULT_BRANCH
        self._epoch = _Epoch(_NEVER, _NEVER, None)

    def source(self, path: str) -> bytes | None:
        """Return the source of a file as it is now, None when memory cannot tell."""
        cells, epoch = self._cells, self._epoch
        if cells[self._branch_cell] != epoch.branch_number or cells[self._repo_cell] != epoch.repo_number:
            return None
        known = epoch.young.get(path)
        if known is None:
            known = epoch.old.get(path)
            if known is None:
                return None
            self._memories.remember(self, path, known, epoch)
        source, path_cell, path_number = known
        return source if cells[path_cell] == path_number else None

    def find(self, path: str) -> Found | None:
        """Return the file as it is now, None when it is not there; asks the catalog, once or twice."""
        cells, path_cell = self._cells, self._memories.changes.cell_of(path_scope(self._scope, path))
        epoch, path_number = self._epoch, cells[path_cell]
        if epoch.base is not None and self._is_current(epoch):
            found = self._look_over(epoch.base, path)
            # Else the branch may have changed before the catalog was asked: its base was another one.
            if self._is_current(epoch):
                self._remember(path, found, path_cell, path_number, epoch)
                return found
        branch_number, repo_number = cells[self._branch_cell], cells[self._repo_cell]
        path_number = cells[path_cell]
        found, base = self._ask(path)
        if is_settled(branch_number) and is_settled(repo_number):
            self._remember(path, found, path_cell, path_number, _Epoch(branch_number, repo_number, base))
        return found

    def _remember(
        self, path: str, found: Found | None, path_cell: int, path_number: int, epoch: _Epoch
    ) -> None:
        if found is not None and is_settled(path_number):
            self._memories.remember(self, path, (found.source, path_cell, path_number), epoch)

    def _look_over(self, base: _Base, path: str) -> Found | None:
        """Return a file of a branch that consists of this."""
        if base.layer is not None:
            values = {"staging": base.layer, "path": path.encode()}
            for (data,) in self._memories.database.fetch(_WRITTEN, values):
                return Found(decode_record(data), data) if data is not None else None
        return self._committed(base.root, path)

    def _committed(self, root: NodeId | None, path: str) -> Found | None:
        record = Tree(self._memories.node_cache, root).get(path) if root is not None else None
        return Found(record, root) if record is not None and root is not None else None

    def _ask(self, path: str) -> tuple[Found | None, _Base | None]:
        """Return a file, and what its branch consists of where that is as simple as a base."""
        has_repo, has_branch, root = False, not self._must_be_made, None
        layers: list[str] = []
        written: list[tuple[int, str, bytes | None]] = []
        rows = self._memories.database.fetch(_WHERE_IT_IS, {**self._names, "path": path.encode()})
        for kind, name, created_us, data in rows:
            if kind == _LAYER:
                written.append((created_us, name, data))
            elif kind == _PENDING:
                layers.append(name)
            elif kind == _HEAD:
                has_branch, root = True, data
            elif kind == _REPO:
                has_repo = True
        if not has_repo or not has_branch:
            return None, None
        base = _Base(root, layers[0] if layers else None) if len(layers) <= 1 else None
        if written:
            # The newest one, as `select_pending` orders them.
            _, _, data = max(written, key=lambda layer: layer[:2])
            return (Found(decode_record(data), data) if data is not None else None), base
        return self._committed(root, path), base

    def keep(self, path: str, known: _Known, epoch: _Epoch) -> bool:
        """Remember what was looked up in an epoch; under the lock of `BranchMemories`.

        Returns whether it is of use: what others looked up later may be known already.
        """
        mine = self._epoch
        if (mine.branch_number, mine.repo_number) != (epoch.branch_number, epoch.repo_number):
            if self._is_current(mine):
                return False
            mine = self._epoch = epoch
        mine.young[path] = known
        return True

    def _is_current(self, epoch: _Epoch) -> bool:
        cells = self._cells
        return cells[self._branch_cell] == epoch.branch_number and cells[self._repo_cell] == epoch.repo_number

    def age(self) -> None:
        """Forget what was not asked for since the last time; under the same lock."""
        self._epoch.old, self._epoch.young = self._epoch.young, {}

    def __len__(self) -> int:
        return len(self._epoch.young.keys() | self._epoch.old.keys())


def _where_it_is() -> Prepared:
    """Return the statement that asks, in one snapshot, for all that a path may be found in."""
    repo, branch = bindparam("repo", type_=String), bindparam("branch", type_=String)
    none, zero = null(), literal(0)
    pending = select(STAGINGS.c.id).where(is_pending(repo, branch))
    age = select(STAGINGS.c.created_us).where(STAGINGS.c.id == STAGED.c.staging).scalar_subquery()
    return Prepared(
        union_all(
            select(literal(_REPO), REPOS.c.name, zero, none).where(REPOS.c.name == repo),
            select(literal(_HEAD), BRANCHES.c.name, zero, COMMITS.c.root)
            .select_from(BRANCHES.outerjoin(COMMITS, COMMITS.c.id == BRANCHES.c.head))
            .where(BRANCHES.c.repo == repo, BRANCHES.c.name == branch),
            select(literal(_PENDING), STAGINGS.c.id, zero, none).where(is_pending(repo, branch)),
            # Not a join: SQLite would walk through all that is staged to find the few stagings.
            select(literal(_LAYER), STAGED.c.staging, age, STAGED.c.record).where(
                STAGED.c.staging.in_(pending), STAGED.c.path == bindparam("path")
            ),
        )
    )


_WHERE_IT_IS = _where_it_is()
_WRITTEN = Prepared(
    select(STAGED.c.record).where(
        STAGED.c.staging == bindparam("staging"), STAGED.c.path == bindparam("path")
    )
)


class BranchMemories:
    """The branches of a store that somebody reads, bounded in bytes; safe from several threads."""

    def __init__(self, database: Database, node_cache: NodeCache, changes: Changes) -> None:
        self.database = database
        self.node_cache = node_cache
        self.changes = changes
        self._branches: WeakValueDictionary[tuple[str, str], BranchMemory] = WeakValueDictionary()
        self._young_bytes = 0
        self._lock = threading.Lock()

    def get(self, repo: str, branch: str) -> BranchMemory:
        """Return a branch's memory, which lives as long as somebody holds it."""
        with self._lock:
            found = self._branches.get((repo, branch))
            if found is None:
                found = self._branches[repo, branch] = BranchMemory(self, repo, branch)
            return found

    def remember(self, memory: BranchMemory, path: str, known: _Known, epoch: _Epoch) -> None:
        """Keep what was found in an epoch.

        What was not asked for for longest goes when there is too much.
        """
        with self._lock:
            if not memory.keep(path, known, epoch):
                return
            self._young_bytes += _ENTRY_BYTES + len(path) + len(known[0])
            if self._young_bytes > MEMORY_BYTES // 2:
                self._young_bytes = 0
                for one in self._branches.values():
                    one.age()

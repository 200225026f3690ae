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
from sidegate.pfs.pending import is_pending, open_key
from sidegate.pfs.tree import NodeCache, Tree

MEMORY_BYTES = 16 << 20
"""What is remembered of all branches of a store, in this process."""

_ENTRY_BYTES = 400

_REPO, _HEAD, _LAYER = range(3)


class Found(NamedTuple):
    """A file as it is now; the same `source` and path are the same file.

    A source is the root of the tree that the file is in, or the encoded record of
    an open write.
    """

    record: FileRecord
    source: bytes


class _Known(NamedTuple):
    """A source, and the numbers that were found before it was looked up."""

    source: bytes
    repo_number: int
    branch_number: int
    path_cell: int
    path_number: int


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
        # What was asked for lately, and what was before that.
        self._young: dict[str, _Known] = {}
        self._old: dict[str, _Known] = {}

    def source(self, path: str) -> bytes | None:
        """Return the source of a file as it is now, None when memory cannot tell."""
        known = self._young.get(path)
        if known is None:
            known = self._old.get(path)
            if known is None:
                return None
            self._memories.remember(self, path, known)
        cells = self._cells
        if (
            cells[known.path_cell] == known.path_number
            and cells[self._branch_cell] == known.branch_number
            and cells[self._repo_cell] == known.repo_number
        ):
            return known.source
        return None

    def find(self, path: str) -> Found | None:
        """Return the file as it is now, None when it is not there; asks the catalog, once."""
        cells, path_cell = self._cells, self._memories.changes.cell_of(path_scope(self._scope, path))
        numbers = cells[self._repo_cell], cells[self._branch_cell], cells[path_cell]
        found = self._ask(path)
        if found is not None and all(map(is_settled, numbers)):
            repo_number, branch_number, path_number = numbers
            known = _Known(found.source, repo_number, branch_number, path_cell, path_number)
            self._memories.remember(self, path, known)
        return found

    def _ask(self, path: str) -> Found | None:
        has_repo, has_branch, root = False, not self._must_be_made, None
        written: list[tuple[int, str, bytes | None]] = []
        rows = self._memories.database.fetch(_WHERE_IT_IS, {**self._names, "path": path.encode()})
        for kind, name, created_us, data in rows:
            if kind == _LAYER:
                written.append((created_us, name, data))
            elif kind == _HEAD:
                has_branch, root = True, data
            elif kind == _REPO:
                has_repo = True
        if not has_repo or not has_branch:
            return None
        if written:
            # The newest one, as `select_pending` orders them.
            _, _, data = max(written, key=lambda layer: layer[:2])
            return Found(decode_record(data), data) if data is not None else None
        record = Tree(self._memories.node_cache, root).get(path) if root is not None else None
        return Found(record, root) if record is not None and root is not None else None

    def keep(self, path: str, known: _Known) -> None:
        """Remember; under the lock of `BranchMemories`."""
        self._young[path] = known

    def age(self) -> None:
        """Forget what was not asked for since the last time; under the same lock."""
        self._old, self._young = self._young, {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())


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
            # Not a join: SQLite would walk through all that is staged to find the few stagings.
            select(literal(_LAYER), STAGED.c.staging, age, STAGED.c.record).where(
                STAGED.c.staging.in_(pending), STAGED.c.path == bindparam("path")
            ),
        )
    )


_WHERE_IT_IS = _where_it_is()


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

    def remember(self, memory: BranchMemory, path: str, known: _Known) -> None:
        """Keep what was found; what was not asked for for longest goes when there is too much."""
        with self._lock:
            memory.keep(path, known)
            self._young_bytes += _ENTRY_BYTES + len(path) + len(known.source)
            if self._young_bytes > MEMORY_BYTES // 2:
                self._young_bytes = 0
                for one in self._branches.values():
                    one.age()

"""A branch in memory: its head and its open writes, the newest at every look.

A look compares two numbers (`changes`) and finds out with one statement what has been
written since the last one, if anything.  So a read of a branch that others write to costs
hardly more than one of a commit, and misses nothing that was acknowledged before it.

What does not fit in memory, or would take long to bring up to date, is not known
here; the caller then asks the catalog (`views`).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import String, bindparam, literal, null, select, union_all

from sidegate.pfs.branches import DEFAULT_BRANCH
from sidegate.pfs.catalog.database import Database
from sidegate.pfs.catalog.prepared import Prepared
from sidegate.pfs.catalog.schema import BRANCHES, COMMITS, REPOS, STAGED, STAGINGS
from sidegate.pfs.changes import Changes
from sidegate.pfs.files import FileRecord, decode_record
from sidegate.pfs.ids import NodeId
from sidegate.pfs.pending import is_pending, open_key
from sidegate.pfs.tree import NodeCache, Tree

MEMORY_BYTES = 32 << 20
"""What the open writes of all branches may take; the branch asked for longest ago goes first."""

MAX_BRANCHES = 64

LOOK_ROWS = 500
"""More new rows than this are fetched by a thread that may wait: 500 take about half a millisecond."""

BELIEVED_SECONDS = 1.0
"""How long an unchanged number is believed: a writer that was killed after its commit and before
it told (nobody was told that the write is done) is found out by then."""

_MAX_LAYERS = 4
_MAX_ROWS = 100_000
_ROW_BYTES = 350
"""What a row takes beside the bytes of its path and record."""

_REPO, _HEAD, _LAYER, _ROW = range(4)


class Found(NamedTuple):
    """A file as it is now; `source` is equal only where the file is, path given.

    That is the root of the tree it is in, or the encoded record of an open write.
    """

    record: FileRecord
    source: bytes


@dataclass(slots=True)
class _Layer:
    """One staging laid over the head: all its rows up to `sequence`."""

    staging: str
    sequence: int = -1
    rows: dict[str, bytes | None] = field(default_factory=dict)
    memory_bytes: int = 0

    def apply(self, rows: Sequence[tuple[bytes, bytes | None]], sequence: int) -> None:
        for path, record in rows:
            key = path.decode()
            if key in self.rows:
                self.memory_bytes -= len(self.rows[key] or b"")
            else:
                self.memory_bytes += _ROW_BYTES + len(path)
            self.memory_bytes += len(record or b"")
            self.rows[key] = record
        self.sequence = sequence


class _State(NamedTuple):
    """What there is: the newest layer first, then the head's tree."""

    exists: bool
    layers: tuple[_Layer, ...]
    root: NodeId | None


class BranchMemory:
    """One branch; `source` is for the event loop, `find` for threads."""

    def __init__(
        self,
        database: Database,
        node_cache: NodeCache,
        changes: Changes,
        repo: str,
        branch: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._node_cache = node_cache
        self._cells = changes.cells
        self._branch_cell = changes.cell_of(open_key(repo, branch))
        self._repo_cell = changes.cell_of(repo)
        self._names = {"repo": repo, "branch": branch}
        self._must_be_made = branch != DEFAULT_BRANCH
        self._clock = clock
        self._lock = threading.Lock()
        self._state: _State | None = None
        self._seen: tuple[int, int] | None = None
        self._believed_until = 0.0
        self._too_large: frozenset[str] = frozenset()

    @property
    def memory_bytes(self) -> int:
        """About how much memory the open writes take."""
        return sum(layer.memory_bytes for layer in self._state.layers) if self._state is not None else 0

    def source(self, path: str) -> bytes | None:
        """Return the source of a file that may be there, None when memory cannot tell.

        Reads at most a few rows and waits for nobody.  A path that no open write
        names has the root of the head, also when it is not in that.
        """
        state = self._look()
        if state is None or not state.exists:
            return None
        for layer in state.layers:
            if path in layer.rows:
                return layer.rows[path]
        return state.root

    def find(self, path: str) -> Found | None:
        """Return the file as it is now, None when it is not there; may wait for disk and locks.

        Raises LookupError when the branch does not fit in memory.
        """
        state = self._current() or self._catch_up()
        if not state.exists:
            return None
        for layer in state.layers:
            if path in layer.rows:
                data = layer.rows[path]
                return Found(decode_record(data), data) if data is not None else None
        if state.root is None:
            return None
        record = Tree(self._node_cache, state.root).get(path)
        return Found(record, state.root) if record is not None else None

    def release(self) -> None:
        """Give the memory back."""
        with self._lock:
            self._forget(frozenset())

    # -- bringing it up to date -----------------------------------------------

    def _numbers(self) -> tuple[int, int]:
        cells = self._cells
        return cells[self._branch_cell], cells[self._repo_cell]

    def _current(self) -> _State | None:
        """Return the state if nothing has changed, else None."""
        if self._numbers() == self._seen and self._clock() < self._believed_until:
            return self._state
        return None

    def _look(self) -> _State | None:
        """Return the state, brought up to date if that is quick."""
        state = self._current()
        if state is not None or self._state is None or not self._lock.acquire(blocking=False):
            return state
        try:
            return self._read(LOOK_ROWS)
        finally:
            self._lock.release()

    def _catch_up(self) -> _State:
        """Return the state, brought up to date whatever it takes; raises LookupError."""
        with self._lock:
            state = self._current() or self._read(_MAX_ROWS)
            if state is None:
                raise LookupError("too much is open in this branch")
            return state

    def _read(self, limit: int) -> _State | None:
        """Read what is new in one snapshot; None, with what was known, if it is more than `limit`."""
        now, numbers = self._clock(), self._numbers()
        known = {layer.staging: layer for layer in self._state.layers} if self._state is not None else {}
        while True:
            asked = list(known.values())
            answer = _Answer(self._database.fetch(_statement(len(asked)), self._parameters(asked, limit)))
            if answer.layers.keys() <= known.keys():
                break
            # A new layer, which the statement did not ask for: nothing of it is known yet.
            if len(answer.layers) > _MAX_LAYERS or answer.layers.keys() <= self._too_large:
                return None
            known = {staging: known.get(staging, _Layer(staging)) for staging in answer.layers}
        if any(len(rows) > limit for rows in answer.rows.values()):
            if limit == _MAX_ROWS:
                self._forget(frozenset(answer.layers))
            return None
        layers = [known[staging] for staging in answer.layers]
        for layer in layers:
            layer.apply(answer.rows.get(layer.staging, ()), answer.layers[layer.staging])
        exists = answer.has_repo and (answer.has_branch or not self._must_be_made)
        self._state = _State(exists, tuple(reversed(layers)), answer.root)
        self._seen, self._believed_until = numbers, now + BELIEVED_SECONDS
        if self.memory_bytes > MEMORY_BYTES // 2:
            self._forget(frozenset(answer.layers))
            return None
        return self._state

    def _forget(self, too_large: frozenset[str]) -> None:
        """Give the memory back, and leave these layers to the catalog."""
        self._state, self._seen, self._too_large = None, None, too_large

    def _parameters(self, layers: list[_Layer], limit: int) -> dict[str, object]:
        values: dict[str, object] = {**self._names, "limit": limit + 1}
        for number, layer in enumerate(layers):
            values[f"staging_{number}"] = layer.staging
            values[f"after_{number}"] = layer.sequence
        return values


class _Answer:
    """What one statement said: what there is, and the new rows of the layers asked for."""

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self.has_repo = self.has_branch = False
        self.root: NodeId | None = None
        self.rows: dict[str, list[tuple[bytes, bytes | None]]] = {}
        layers: list[tuple[int, str, int]] = []
        for kind, name, number, created_us, key, data in rows:
            if kind == _ROW:
                self.rows.setdefault(name, []).append((key, data))
            elif kind == _LAYER:
                layers.append((created_us, name, number))
            elif kind == _HEAD:
                self.has_branch, self.root = True, data
            else:
                self.has_repo = True
        # Oldest first, as `select_pending` has them.
        self.layers = {name: sequence for _, name, sequence in sorted(layers)}


@cache
def _statement(layer_count: int) -> Prepared:
    """Return the statement that asks for the branch and the news of so many layers."""
    repo, branch = bindparam("repo", type_=String), bindparam("branch", type_=String)
    none, zero = null(), literal(0)
    parts = [
        select(literal(_REPO), REPOS.c.name, zero, zero, none, none).where(REPOS.c.name == repo),
        select(literal(_HEAD), BRANCHES.c.name, zero, zero, none, COMMITS.c.root)
        .select_from(BRANCHES.outerjoin(COMMITS, COMMITS.c.id == BRANCHES.c.head))
        .where(BRANCHES.c.repo == repo, BRANCHES.c.name == branch),
        select(literal(_LAYER), STAGINGS.c.id, STAGINGS.c.sequence, STAGINGS.c.created_us, none, none).where(
            is_pending(repo, branch)
        ),
    ]
    for number in range(layer_count):
        is_new = (STAGED.c.staging == bindparam(f"staging_{number}")) & (
            STAGED.c.sequence > bindparam(f"after_{number}")
        )
        news = (
            select(literal(_ROW), STAGED.c.staging, STAGED.c.sequence, zero, STAGED.c.path, STAGED.c.record)
            .where(is_new)
            .limit(bindparam("limit"))
            .subquery()
        )
        parts.append(select(*news.c))
    return Prepared(union_all(*parts))


class BranchMemories:
    """The branches that are kept in memory, bounded in bytes; safe from several threads."""

    def __init__(self, database: Database, node_cache: NodeCache, changes: Changes) -> None:
        self._parts = database, node_cache, changes
        self._branches: OrderedDict[tuple[str, str], BranchMemory] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, repo: str, branch: str) -> BranchMemory:
        """Return a branch's memory, empty if it was not asked for lately."""
        with self._lock:
            found = self._branches.get((repo, branch))
            if found is None:
                found = self._branches[repo, branch] = BranchMemory(*self._parts, repo, branch)
            self._branches.move_to_end((repo, branch))
            while len(self._branches) > 1 and self._is_too_much():
                self._branches.popitem(last=False)[1].release()
            return found

    def _is_too_much(self) -> bool:
        memories = self._branches.values()
        return len(memories) > MAX_BRANCHES or sum(one.memory_bytes for one in memories) > MEMORY_BYTES

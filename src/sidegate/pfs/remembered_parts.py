"""Parts of uploads that this process has stored itself, so that completing reads none of them.

All parts of an upload are known here, or nothing is: from its creation on, as long as no other
process adds one.  Who adds has a turn (`changes`), so that whoever comes back to an upload after
another finds that its own is over, and forgets.
"""

from __future__ import annotations

import threading
from typing import Protocol

from sidegate.native import PartCollector
from sidegate.native.part_columns import PartColumns
from sidegate.pfs.changes import Changes, upload_scope

REMEMBERED_BYTES = 8 << 20
"""What the parts of all uploads may take: those of 5 GiB in parts of 8 MiB take 0.25 MiB."""

PART_BYTES = 160
"""What a part takes beside its record, at most: its name, numbers, entries of lists and a dictionary."""


SETTLED_TOGETHER = 16
"""Writes that are kept before their parts are taken over: one by one 23 us each in the caches that a part
leaves behind, 3 where they are warm (Zen 4, 2026-11)."""


class PartWrite(Protocol):
    """A write that stores a part, and whether it was carried out."""

    number: int
    record: bytes
    done: bool
    error: BaseException | None


class _Known:
    """The parts of one upload: in columns up to a number, by number beyond it, and those on their way."""

    __slots__ = ("columns", "last", "size_bytes", "turn", "waiting", "writes")

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.columns = PartCollector()
        self.last = 0
        # Parts that came before one with a lower number.
        self.waiting: dict[int, bytes] = {}
        self.size_bytes = 0
        # In the order in which they are stored.
        self.writes: list[PartWrite] = []

    def settle(self) -> bool:
        """Take over what has been carried out; False when it is not known any more what is stored."""
        while self.writes and self.writes[0].done:
            write = self.writes.pop(0)
            if write.error is not None or write.number <= self.last:
                return False
            self.waiting[write.number] = write.record
        while (record := self.waiting.pop(self.last + 1, None)) is not None:
            if not self._collect(self.last + 1, record):
                return False
        return True

    def collect_rest(self) -> bool:
        """Have all in columns, whatever is missing in between; False when they are not of one kind."""
        rest, self.waiting = sorted(self.waiting.items()), {}
        return all(self._collect(number, record) for number, record in rest)

    def _collect(self, number: int, record: bytes) -> bool:
        self.last = number
        return self.columns.add(number, record)


class RememberedParts:
    """The parts of the uploads of one store; safe to use from several threads."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._size_bytes = 0

    def begin(self, upload: str) -> None:
        """An upload is made, so that it has no parts; within its transaction."""
        turn = self._changes.take_turn(upload_scope(upload))
        with self._lock:
            self._known[upload] = _Known(turn)

    def add(self, upload: str, write: PartWrite) -> None:
        """A part is stored; within its transaction."""
        turn = self._changes.take_turn(upload_scope(upload))
        with self._lock:
            known = self._known.get(upload)
            if known is None:
                return
            if known.turn != turn or (len(known.writes) >= SETTLED_TOGETHER and not known.settle()):
                self._forget(upload)
                return
            known.writes.append(write)
            size_bytes = PART_BYTES + len(write.record)
            known.size_bytes += size_bytes
            self._size_bytes += size_bytes
            while self._size_bytes > REMEMBERED_BYTES:
                self._forget(next(iter(self._known)))

    def columns(self, upload: str) -> PartColumns | None:
        """Return the columns of all parts; None where they are not known."""
        with self._lock:
            known = self._known.get(upload)
            if known is None:
                return None
            if not known.settle():
                self._forget(upload)
                return None
            if known.writes or not self._changes.is_turn(upload_scope(upload), known.turn):
                return None
            if not known.collect_rest():
                self._forget(upload)
                return None
            return known.columns.columns()

    def forget(self, upload: str) -> None:
        """Know nothing of an upload any more."""
        with self._lock:
            self._forget(upload)

    def _forget(self, upload: str) -> None:
        known = self._known.pop(upload, None)
        if known is not None:
            self._size_bytes -= known.size_bytes

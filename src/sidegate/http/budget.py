"""One budget for the bytes in flight of a server, shared fairly.

Decides who may hold how much memory for bytes that came in and are not stored,
or are to go out and have not left.  A lease holds at most its share, which is
the whole divided by those that hold or want something; who wants more waits in
turn.  Whoever holds more than the share of the moment is asked to give way, so
a peer that stopped sending or reading keeps nothing from the others.

Belongs to one event loop.  A denial always finds somebody to ask: if nobody held
more than the share, and the one who asks less than that by `smallest_bytes`, then
there would be room.  So all goes on as long as those who are asked do give way.
What was granted a moment ago is not taken away unused: `sweep` ends that moment.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

SMALLEST_BYTES = 64 << 10
"""What is worth a turn: a receive buffer full."""


class Holder(Protocol):
    """Who holds a lease."""

    def budget_granted(self) -> None:
        """What was asked for is there: ask again."""
        ...

    def give_way(self) -> None:
        """Give back what can be given back, soon; called again while it matters."""
        ...


class Lease:
    """What one holder has of a budget."""

    __slots__ = ("_budget", "fresh", "granted_bytes", "held_bytes", "holder", "waiting", "want_bytes")

    def __init__(self, budget: Budget, holder: Holder) -> None:
        self._budget = budget
        self.holder = holder
        self.held_bytes = 0
        # What was asked for last, whether it is waited for, and what a wait has brought.
        self.want_bytes = 0
        self.waiting = False
        self.granted_bytes = 0
        # Whether the last grant may yet be used: it is not taken away before a sweep.
        self.fresh = False

    def ask(self, want_bytes: int) -> int:
        """Take up to `want_bytes`; 0: none now, and the holder will be told.

        Less than wanted is granted only in whole `smallest_bytes`.
        """
        granted = self.take_granted()
        if granted:
            self.give(max(0, granted - want_bytes))
            return min(granted, want_bytes)
        if self.waiting:
            return 0
        self.fresh = False
        return self._budget.take(self, want_bytes)

    def take_spare(self, want_bytes: int) -> bool:
        """Take all of it if it is there for the taking: nobody is made to wait or to give way."""
        return self._budget.take_spare(self, want_bytes)

    def take_granted(self) -> int:
        """Return what a wait has brought, once."""
        granted, self.granted_bytes = self.granted_bytes, 0
        return granted

    def charge(self, size_bytes: int) -> None:
        """Take bytes that are here already, whether there is room or not."""
        self._budget.charge(self, size_bytes)

    def give(self, size_bytes: int) -> None:
        """Give back some of it."""
        self._budget.give(self, size_bytes)

    def close(self) -> None:
        """Give back everything and wait no more; safe to call twice."""
        self.granted_bytes = 0
        self._budget.forget(self)


class Budget:
    """`limit_bytes` for all leases together."""

    def __init__(self, limit_bytes: int, smallest_bytes: int = SMALLEST_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.smallest_bytes = smallest_bytes
        self.used_bytes = 0
        self._holding: set[Lease] = set()
        self._waiters: deque[Lease] = deque()
        # Those who wait and hold nothing.
        self._newcomers = 0
        self._settling = False
        self._unsettled = False

    def lease(self, holder: Holder) -> Lease:
        """Return a lease that holds nothing yet."""
        return Lease(self, holder)

    @property
    def share_bytes(self) -> int:
        """What each may hold at this moment; with too many for that, some have a smallest block."""
        return self.limit_bytes // max(1, len(self._holding) + self._newcomers)

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for a part of it."""
        return bool(self._waiters)

    # What leases call.

    def take(self, lease: Lease, want_bytes: int) -> int:
        """Grant, or put the lease in the queue and ask others to give way."""
        lease.want_bytes = want_bytes
        # Nobody passes those who wait.
        size = 0 if self._waiters else self._room(lease)
        if size:
            self._grant(lease, size)
            lease.fresh = True
            return size
        lease.waiting = True
        self._newcomers += not lease.held_bytes
        self._waiters.append(lease)
        self._settle()
        return lease.take_granted()

    def take_spare(self, lease: Lease, want_bytes: int) -> bool:
        """Grant all that is wanted, or nothing; nobody passes those who wait."""
        if self._waiters:
            return False
        lease.want_bytes = want_bytes
        if self._room(lease) < want_bytes:
            return False
        self._grant(lease, want_bytes)
        return True

    def charge(self, lease: Lease, size_bytes: int) -> None:
        """Add to what a lease holds, and ask for room if that is too much for others."""
        self._grant(lease, size_bytes)
        if self._waiters:
            self._settle()

    def _grant(self, lease: Lease, size_bytes: int) -> None:
        if not lease.held_bytes and size_bytes:
            self._holding.add(lease)
            self._newcomers -= lease.waiting
        lease.held_bytes += size_bytes
        self.used_bytes += size_bytes

    def give(self, lease: Lease, size_bytes: int) -> None:
        """Take bytes back and grant them to those who wait."""
        size_bytes = min(size_bytes, lease.held_bytes)
        if size_bytes <= 0:
            return
        lease.held_bytes -= size_bytes
        self.used_bytes -= size_bytes
        if not lease.held_bytes:
            self._holding.discard(lease)
            self._newcomers += lease.waiting
        if self._waiters:
            self._settle()

    def forget(self, lease: Lease) -> None:
        """Take back all that a lease holds, and its place in the queue."""
        if lease.waiting:
            self._leave(lease)
        self.give(lease, lease.held_bytes)
        if self._waiters:
            self._settle()

    def sweep(self) -> None:
        """Called now and then: who had room since the last time has had its chance."""
        if self._waiters:
            for lease in self._holding:
                lease.fresh = False
            self._settle()

    # Who gets what.

    def _room(self, lease: Lease) -> int:
        """What a lease may have now of what it wants; 0 when that is too little."""
        want = lease.want_bytes
        joins = not (lease.held_bytes or lease.waiting)
        fair = self.limit_bytes // (len(self._holding) + self._newcomers + joins)
        share = max(fair, self.smallest_bytes)
        size = min(want, self.limit_bytes - self.used_bytes, share - lease.held_bytes)
        if size < min(want, self.smallest_bytes):
            return 0
        return size if size == want else size - size % self.smallest_bytes

    def _leave(self, lease: Lease) -> None:
        lease.waiting = False
        self._newcomers -= not lease.held_bytes
        self._waiters.remove(lease)

    def _settle(self) -> None:
        """Grant to those who wait, in turn; ask for room while somebody has to."""
        self._unsettled = True
        if self._settling:
            return  # called by somebody who is told below
        self._settling = True
        try:
            while self._unsettled:
                self._unsettled = False
                for lease in self._grant_in_turn():
                    lease.holder.budget_granted()
                if self._waiters and not self._unsettled:
                    self._ask_for_room()
        finally:
            self._settling = False

    def _grant_in_turn(self) -> list[Lease]:
        granted = []
        for lease in list(self._waiters):
            if self.used_bytes >= self.limit_bytes:
                break
            size = self._room(lease)
            if size:
                self._leave(lease)
                self._grant(lease, size)
                lease.granted_bytes = size
                lease.fresh = True
                granted.append(lease)
        return granted

    def _ask_for_room(self) -> None:
        share = self.share_bytes
        for lease in list(self._holding):
            # One who waits for more than its share waits for itself.
            bound = max(share - self.smallest_bytes, 0) if lease.waiting else share
            if lease.held_bytes > bound and not lease.fresh:
                lease.holder.give_way()

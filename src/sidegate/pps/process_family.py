"""Which processes belong to a command, and how they are ended.

A command is started in a session of its own, and mostly in a mount namespace
of its own: whatever has one of the two belongs to it, also after its parent
is gone. Without /proc only the process group is known.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass


@dataclass(slots=True)
class ProcessFamily:
    """The descendants of one leader; `namespace` is 0 when it is shared.

    The leader must not have been waited for: its zombie keeps the group's id from being reused.
    """

    leader: int
    namespace: int = 0

    def survivors(self) -> list[int]:
        """Return the living members besides the leader."""
        try:
            entries = [entry for entry in os.listdir("/proc") if entry.isdigit()]
        except FileNotFoundError:
            return []
        return [pid for pid in map(int, entries) if pid != self.leader and self._owns(pid)]

    def _owns(self, pid: int) -> bool:
        # proc_pid_stat(5): the command's name may hold spaces and parentheses, so count from its end.
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            state, group, session = fields[0], int(fields[2]), int(fields[3])
            if state in (b"Z", b"X"):
                return False
            if self.leader in (group, session):
                return True
            return self.namespace != 0 and os.stat(f"/proc/{pid}/ns/mnt").st_ino == self.namespace
        except (OSError, IndexError):
            return False  # it ended meanwhile, or belongs to another user

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the group and to members that left it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.leader, number)
        for pid in self.survivors():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) != self.leader:
                    os.kill(pid, number)

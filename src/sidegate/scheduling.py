"""How long work takes a core: what the operating system can be asked, and Python cannot ask it.

A loop that answers requests and threads that hash gigabytes may have one core between them.  Linux
takes a thread that wants all of it off a core by the tick alone, 4 ms at the usual 250 Hz; so what
works in the background gives way by itself, and takes its turns in short slices.  A system
call is no such work: where the kernel is not preempted it keeps the core to its end.  So while quick
answers are given, what moves large bodies moves less at a time.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

SLICE_US: Final = 100
"""The shortest that Linux grants (`sched_runtime` of a SCHED_OTHER thread, from 6.12 on, 100 us to 100 ms).
Whoever gives way gives up the rest of a slice, and a longer one the longer (6.18)."""

EXPECTED_SECONDS: Final = 0.1
"""How long after a quick answer another one is expected."""

_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}
"""The number of the system call; glibc has had a function for it since 2.41 only."""

# sched_setattr(2): size, policy, flags, nice, priority, runtime, deadline, period.
_SCHED_ATTR: Final = struct.Struct("=IIQiIQQQ")


class QuickAnswers:
    """Whether somebody is likely to want an answer that takes microseconds, and large bodies delay it.

    Used from any thread.  An answer that is noted while another thread looks may be missed; the next is not.
    """

    __slots__ = ("_expected_until", "_now", "given")

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` returns seconds of any clock that goes on."""
        self._now = now
        self._expected_until = now()
        self.given = False
        """To be set with each: all that this costs there."""

    def are_expected(self) -> bool:
        """Whether one was given of late; 0.2 us."""
        now = self._now()
        if self.given:
            self.given = False
            self._expected_until = now + EXPECTED_SECONDS
        return now < self._expected_until


quick_answers: Final = QuickAnswers()
"""Of all servers of this process, which share its cores and the GIL."""


def give_way() -> None:
    """Let whoever waits for this core have it now, and the GIL; returns at once where nobody does.

    What it costs: 1 us.  `os.sched_yield` keeps the GIL, so that a thread of this process that
    is given the core can do nothing with it.
    """
    _sched_yield()()


def work_in_background(niceness: int) -> None:
    """Have the calling thread leave cores to others that want them, and take short turns.

    Does nothing but on Linux: elsewhere a niceness is the whole process's.
    """
    if sys.platform != "linux":
        return
    os.nice(niceness)
    number = _SCHED_SETATTR.get(platform.machine())
    if number is not None and struct.calcsize("P") == 8:
        attributes = _SCHED_ATTR.pack(
            _SCHED_ATTR.size, os.SCHED_OTHER, 0, os.getpriority(os.PRIO_PROCESS, 0), 0, SLICE_US * 1000, 0, 0
        )
        # Older kernels ignore the slice, and a sandbox may refuse the call: turns are longer then.
        ctypes.CDLL(None).syscall(ctypes.c_long(number), 0, attributes, 0)


@cache
def _sched_yield() -> Any:
    """Return the C library's function, or what gives up the GIL at least where it has none."""
    return getattr(ctypes.CDLL(None), "sched_yield", partial(time.sleep, 0))

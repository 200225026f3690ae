"""A process that is told to end (SIGTERM, SIGHUP) unwinds as Ctrl-C makes it.

Without that the kernel ends it at once, and what it would have taken away stays.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_NUMBERS: Final = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending_as_interrupted() -> Iterator[None]:
    """Raise KeyboardInterrupt within for either signal; one that is ignored, as under nohup, stays so."""
    before = {number: signal.getsignal(number) for number in _NUMBERS}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt

"""When Python looks for garbage while a gateway answers: less often, and at less.

A full collection visits every container there is, and nobody is answered meanwhile:
40 to 60 ms for the 70 000 that modules and classes consist of (Zen 4, CPython 3.11, 2026-11),
every two seconds of small writes.  What is there when the first gateway begins to serve
stays as long as it serves, so collections pass over it (gc.freeze).  They still find all that
is left behind later.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MIDDLE_PER_FULL: Final = 50
"""Collections of the middle generation before a full one; Python's default is 10.

At most 350 000 containers then wait to be found, some 35 MB, if all that is made were cycles.
"""


class RarePauses:
    """Changes how this process collects garbage while it is entered, by however many at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._usual_thresholds = gc.get_threshold()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Collect as suits a server while the block runs, and as before when the last such block ends.

        Only the first of several has what is there passed over: later there are connections and
        requests among it, which may become garbage.
        """
        with self._lock:
            self._count += 1
            if self._count == 1:
                self._usual_thresholds = gc.get_threshold()
                gc.set_threshold(*self._usual_thresholds[:2], MIDDLE_PER_FULL)
                gc.freeze()
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
                if self._count == 0:
                    gc.set_threshold(*self._usual_thresholds)
                    gc.unfreeze()


rare_pauses: Final = RarePauses()
"""Of this process: there is one collector."""

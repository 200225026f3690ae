"""The pipe that all connections of one event loop send large parts of files through.

It is made when the first is sent.  Where there is none to be had, or it shows that a
file system or a sandbox has no splice, sendfile does it all.
"""

from __future__ import annotations

from sidegate.native import FilePipe

ROOM_BYTES = 1 << 20
"""What Linux allows everyone (/proc/sys/fs/pipe-max-size).  GET 8 MiB takes 0.098 CPU-s/GB with it, 0.100
with half, 0.104 with a quarter, and 0.107 by sendfile (Zen 4, Linux 6.18, 2026-11)."""


class SharedPipe:
    """A pipe that may not be there."""

    __slots__ = ("_given_up", "_pipe")

    def __init__(self) -> None:
        self._pipe: FilePipe | None = None
        self._given_up = False

    def get(self) -> FilePipe | None:
        """Return the pipe, None where there is none."""
        pipe = self._pipe
        if pipe is not None and not pipe.closed:
            return pipe
        self._pipe = None  # one that could not be emptied is closed, and says nothing of the next
        if not self._given_up:
            try:
                self._pipe = FilePipe(ROOM_BYTES)
            except OSError:
                self._given_up = True
            return self._pipe
        return None

    def give_up(self) -> None:
        """Have none from now on."""
        self._given_up = True
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()

from typing import final

@final
class FilePipe:
    """Sends parts of files to sockets through a pipe of its own, without copying them (splice(2)).

    sendfile(2) does the same through a pipe of 64 KiB, which the kernel fills and empties
    16 times for a MiB.  The pipe is empty between calls, so one serves any number of
    sockets; it belongs to one thread at a time.
    """

    def __init__(self, room_bytes: int) -> None:
        """Make a pipe that holds `room_bytes`, a power of two of at least 4096.

        Raises OSError where that is not to be had: no Linux, more than
        /proc/sys/fs/pipe-max-size, or the user has too many (pipe-user-pages-soft).
        """

    @property
    def room_bytes(self) -> int:
        """What the pipe holds."""

    @property
    def closed(self) -> bool:
        """Whether it can send no more: after `close`, or when it could not be emptied."""

    def send(self, socket: int, file: int, offset: int, count: int) -> int | None:
        """Send what a non-blocking socket takes of `count` bytes of a file, without the GIL.

        Returns how many it took, 0 when the file has none at `offset`, None when the socket takes
        none now.  Raises OSError: EINVAL where the file system has no splice, what the
        socket meets; ValueError when it is closed.
        """

    def close(self) -> None:
        """Give back the descriptors; again, it does nothing."""

def send_behind_head(socket: int, head: bytes, file: int, offset: int, copied: int, count: int) -> int:
    """Send a head and a part of a file in one call, without the GIL; return how many bytes a socket took.

    The first `copied` bytes of the file from `offset` on, at most 4096, leave with the head, the `count` that
    follow by sendfile(2): it is cheapest from a page boundary on.  The socket does not block.  Whatever stops
    it, a socket that is full or gone, a file that is shorter, no sendfile: what was sent until then
    counts, and who sends the rest is told.  Raises ValueError for numbers that cannot be.
    """

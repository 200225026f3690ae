from collections.abc import Sequence
from typing import final

from typing_extensions import Buffer

pairs: bool
"""Whether streams at once cost less than one after the other, on this processor."""

MOST_TOGETHER: int
"""How many streams at once there are at most."""

@final
class Sha256:
    """An incremental SHA-256 (FIPS 180-4), of which a few can be updated at once.

    A stream belongs to one thread at a time.  More than 64 KiB are hashed
    without the GIL; the buffer is read in place and released before `update`
    returns.
    """

    def __init__(self) -> None: ...
    def update(self, data: Buffer, /) -> None:
        """Take more bytes.

        Raises TypeError when `data` is no buffer, BufferError when it is not
        contiguous.
        """

    def digest(self) -> bytes:
        """Return the digest of all bytes taken so far, 32 bytes; more may follow."""

def update_together(streams: Sequence[Sha256], pieces: Sequence[Buffer], /) -> None:
    """Take more bytes into each of one to three streams: what each `update` does, without the GIL.

    Where `pairs`, they are hashed side by side as far as all pieces go, for little more
    than the longest alone.  Nothing is taken when it raises: ValueError when a stream is there twice, or
    when there are not as many pieces, TypeError for what is no stream, and as `update` does.  What becomes
    of the two sequences meanwhile does not matter.
    """

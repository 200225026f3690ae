from typing import final

from typing_extensions import Buffer

pairs: bool
"""Whether two streams at once cost less than one after the other, on this processor."""

@final
class Sha256:
    """An incremental SHA-256 (FIPS 180-4), of which two can be updated at once.

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

def update_both(first: Sha256, first_data: Buffer, second: Sha256, second_data: Buffer, /) -> None:
    """Take more bytes into each of two streams: what both `update` do, without the GIL.

    Where `pairs`, both together take little longer than the longer one alone.
    Nothing is taken when it raises: ValueError when both are one stream, and
    as `update` does.
    """

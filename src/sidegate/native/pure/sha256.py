"""SHA-256 of a few streams, one after the other: the definition, by hashlib.

`ext/sha256.pyx` must agree, and takes this where the processor cannot do better.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from sidegate.native.pure.byte_view import byte_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

pairs: Final = False
MOST_TOGETHER: Final = 3


class Sha256:
    """One stream; see `sidegate.native._sha256`."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = hashlib.sha256()

    def update(self, data: Buffer, /) -> None:
        """Take more bytes."""
        self._stream.update(byte_view(data))

    def digest(self) -> bytes:
        """Return the digest of all bytes taken so far."""
        return self._stream.digest()


def update_together(streams: Sequence[Sha256], pieces: Sequence[Buffer], /) -> None:
    """Take more bytes into each of a few streams."""
    streams, pieces = tuple(streams), tuple(pieces)
    count = len(streams)
    if not 0 < count <= MOST_TOGETHER or len(pieces) != count:
        raise ValueError(f"one to {MOST_TOGETHER} streams and as many pieces: got {count} and {len(pieces)}")
    for stream in streams:
        if type(stream) is not Sha256:
            raise TypeError(f"a {type(stream).__name__} is no stream")
    if len({id(stream) for stream in streams}) != count:
        raise ValueError("a stream is there twice")
    views = [byte_view(piece) for piece in pieces]
    for stream, view in zip(streams, views, strict=True):
        stream.update(view)

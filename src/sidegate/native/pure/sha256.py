"""SHA-256 of two streams, one after the other: the definition, by hashlib.

`ext/sha256.pyx` must agree, and takes this where the processor cannot do better.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from sidegate.native.pure.byte_view import byte_view

if TYPE_CHECKING:
    from typing_extensions import Buffer

pairs: Final = False


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


def update_both(first: Sha256, first_data: Buffer, second: Sha256, second_data: Buffer, /) -> None:
    """Take more bytes into each of two streams."""
    if first is second:
        raise ValueError("two streams are needed: first and second are one")
    first_view, second_view = byte_view(first_data), byte_view(second_data)
    first.update(first_view)
    second.update(second_view)

"""Reads any contiguous buffer as bytes, as the compiled twins do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


def byte_view(data: Buffer) -> memoryview:
    """Return `data` as a one-dimensional view of unsigned bytes.

    Nothing is copied; the view keeps `data` exported while it lives.  Raises
    TypeError when `data` is no buffer, BufferError when it is not contiguous.
    """
    view = memoryview(data)
    if not view.c_contiguous:
        raise BufferError("the buffer is not C-contiguous")
    # A view with a zero in its shape cannot be cast.
    return view.cast("B") if view.nbytes else memoryview(b"")

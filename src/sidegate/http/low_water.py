"""When the kernel wakes the loop for the bytes of a body: not for each packet.

A sender that has a core of its own makes the socket readable again and again
while the loop is at work, and each time the loop takes the core from the threads
that hash.  With a low-water mark (SO_RCVLOWAT, socket(7)) the socket is readable
once as much is here as is worth a turn; the end of the connection always is.
The kernel makes room for that much (tcp_set_rcvlowat, linux/net/ipv4/tcp.c).
"""

from __future__ import annotations

import asyncio
import socket
import sys

WORTH_WAKING_BYTES = 256 << 10
"""Bodies of 1 MiB over eight connections came in 7 to 9 pieces without a mark, and in 4.5, 3.0 and 2.3 with
128, 256 and 512 KiB: 1.36, 1.40, 1.16 and 1.19 CPU-s/GB (Linux 6.18, loopback, 2026-11)."""

LEAST_BYTES = 64 << 10
"""Setting a mark for less costs more than it saves."""


class LowWaterMark:
    """The mark of one socket; 1 is the kernel's own."""

    __slots__ = ("_socket", "size_bytes")

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        # macOS has the option too, but was not measured, nor how it makes room.
        self._socket = transport.get_extra_info("socket") if sys.platform == "linux" else None
        self.size_bytes = 1

    def expect(self, size_bytes: int) -> None:
        """Be woken when so many bytes are here, of which all are sure to come, or enough of them."""
        size_bytes = min(size_bytes, WORTH_WAKING_BYTES)
        self._set(size_bytes if size_bytes >= LEAST_BYTES else 1)

    def lower(self) -> None:
        """Be woken for each byte: the peer takes its time."""
        self._set(1)

    def close(self) -> None:
        """The socket is closed: its number may soon be another's."""
        self._socket = None

    def _set(self, size_bytes: int) -> None:
        if size_bytes == self.size_bytes or self._socket is None:
            return
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size_bytes)
        except OSError:
            return  # the transport tells of a socket that is gone
        self.size_bytes = size_bytes

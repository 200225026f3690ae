"""Cuts what a process prints into lines, in bounded memory.

Knows no process and no log: bytes in, texts out.
"""

from __future__ import annotations

LINE_BYTES = 64 * 1024
"""A longer line is delivered in pieces of this size; a tenth of a second of text at most."""


class LineSplitter:
    """Collects blocks and returns the lines that are complete.

    A lone carriage return starts the line over, as on a terminal: of a progress bar the last state
    is kept. Bytes that are no UTF-8 become `\\xNN`.
    """

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, block: bytes) -> list[str]:
        """Take a block; return the lines that it completes, without their ends."""
        *complete, rest = (self._pending + block).split(b"\n")
        lines = []
        for line in complete:
            pieces, last = _pieces(line)
            lines.extend(pieces)
            lines.append(_decode(last))
        pieces, self._pending = _pieces(_start_over(rest))
        lines.extend(pieces)
        return lines

    def finish(self) -> list[str]:
        """Return the last line, if it has no end."""
        rest, self._pending = self._pending, b""
        return [_decode(rest)] if rest else []


def _pieces(line: bytes) -> tuple[list[str], bytes]:
    pieces = []
    while len(line) > LINE_BYTES:
        cut = LINE_BYTES
        while cut > LINE_BYTES - 4 and line[cut] & 0xC0 == 0x80:  # not inside a UTF-8 sequence
            cut -= 1
        pieces.append(_decode(line[:cut]))
        line = line[cut:]
    return pieces, line


def _start_over(rest: bytes) -> bytes:
    r"""Drop what is overwritten; a last `\r` may belong to a line end."""
    last = rest.rfind(b"\r", 0, max(len(rest) - 1, 0))
    return rest[last + 1 :] if last >= 0 else rest


def _decode(line: bytes) -> str:
    line = line.removesuffix(b"\r")
    return line[line.rfind(b"\r") + 1 :].decode("utf-8", "backslashreplace")

"""The aws-chunked decoder in its plainest form: the definition of the framing.

    body     = *chunk last [ section ]
    chunk    = size [ ";" extension ] CRLF  payload  CRLF
    last     = "0"  [ ";" extension ] CRLF
    section  = *( [ name ":" value ] ( CRLF / LF ) )  up to the first empty line that follows a CRLF

Without declared trailers the section is one CRLF, or nothing.  That an empty
line counts only after a CRLF admits the two forms of minio-go, which ends a
trailer with a bare LF: `name:value LF CRLF CRLF`, and `name:value LF CRLF
x-amz-trailer-signature:value CRLF CRLF`.

This is the reference: `ext/aws_chunked.pyx` must agree in payload, in errors
and in the byte at which they are raised.  It knows nothing of checksums, and
reads signatures without judging them.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING

from sidegate.native.framing import (
    MAX_HEADER_LINE_BYTES,
    MAX_SIZE_DIGITS,
    MAX_TRAILER_BYTES,
    FramingError,
    FramingKind,
    parse_trailer_line,
)
from sidegate.native.pure.byte_view import byte_view

if TYPE_CHECKING:
    from typing_extensions import Buffer

_HEADER = re.compile(rb"([0-9A-Fa-f]{1,%d})(?:;(.*))?\r" % MAX_SIZE_DIGITS, re.DOTALL)


class _State(Enum):
    HEADER = auto()  # in a chunk header, up to its LF
    PAYLOAD = auto()
    CHUNK_END = auto()  # in the CRLF after a payload
    FINAL = auto()  # in the CRLF after the last chunk, no trailers declared
    TRAILER = auto()  # in a trailer line, up to its LF
    END = auto()


class AwsChunkedDecoder:
    """Takes the framing off one body; see `sidegate.native._aws_chunked`."""

    def __init__(self, *, signed: bool, trailers: bool) -> None:
        self._signed = signed
        self._after_last = _State.TRAILER if trailers else _State.FINAL
        self._state = _State.HEADER
        self._line = bytearray()  # what came of the current line, or of the current CRLF
        self._after_crlf = True  # whether the line before the current one ended in CRLF
        self._payload_left = 0
        self._section_bytes = 0
        self._trailers: list[tuple[str, str]] = []
        self._encoded_bytes = 0
        self._decoded_bytes = 0
        self._fault: FramingKind | None = None

    @property
    def finished(self) -> bool:
        return self._state is _State.END

    @property
    def trailers(self) -> list[tuple[str, str]]:
        return list(self._trailers)

    @property
    def decoded_bytes(self) -> int:
        return self._decoded_bytes

    def feed(self, data: Buffer) -> bytes:
        self._raise_known_fault()
        with byte_view(data) as view:
            return b"".join([view[start:end] for start, end in self._decode(view)])

    def strip(self, block: Buffer) -> tuple[int, int]:
        self._raise_known_fault()
        with memoryview(block) as whole, byte_view(block) as view:
            if whole.readonly:
                raise BufferError("the framing cannot be taken off in place: the block is read-only")
            pieces = self._decode(view)
            if not pieces:
                return 0, 0
            payload = b"".join([view[start:end] for start, end in pieces])
            longest = max(pieces, key=lambda piece: piece[1] - piece[0])
            start = longest[0] - sum(end - start for start, end in pieces if start < longest[0])
            view[start : start + len(payload)] = payload
        return start, start + len(payload)

    def _decode(self, view: memoryview) -> list[tuple[int, int]]:
        """Take all of `view`; return where in it payload begins and ends."""
        pieces: list[tuple[int, int]] = []
        offset = 0
        while offset < len(view):
            if self._state is _State.PAYLOAD:
                count = min(self._payload_left, len(view) - offset)
                pieces.append((offset, offset + count))
                self._take_payload(count)
                offset += count
            else:
                self._take_framing(view[offset])
                self._encoded_bytes += 1
                offset += 1
        return pieces

    def finish(self) -> None:
        self._raise_known_fault()
        # Some clients leave out the last CRLF.
        between_lines = self._state in (_State.FINAL, _State.TRAILER) and not self._line
        if not (between_lines or self._state is _State.END):
            raise self._fail(FramingKind.TRUNCATED)
        self._state = _State.END

    def _take_payload(self, count: int) -> None:
        self._payload_left -= count
        self._encoded_bytes += count
        self._decoded_bytes += count
        if self._payload_left == 0:
            self._state = _State.CHUNK_END

    def _take_framing(self, byte: int) -> None:
        match self._state:
            case _State.HEADER:
                self._take_header(byte)
            case _State.CHUNK_END:
                self._take_crlf(byte, FramingKind.CHUNK_END, _State.HEADER)
            case _State.FINAL:
                self._take_crlf(byte, FramingKind.UNEXPECTED_TRAILER, _State.END)
            case _State.TRAILER:
                self._take_trailer(byte)
            case _:
                raise self._fail(FramingKind.DATA_AFTER_END)

    def _take_header(self, byte: int) -> None:
        if byte != ord("\n"):
            if len(self._line) == MAX_HEADER_LINE_BYTES:
                raise self._fail(FramingKind.HEADER_TOO_LONG)
            self._line.append(byte)
            return
        header = _HEADER.fullmatch(bytes(self._line))
        if header is None:
            raise self._fail(FramingKind.CHUNK_SIZE)
        if self._signed and not (header[2] or b"").startswith(b"chunk-signature="):
            raise self._fail(FramingKind.CHUNK_SIGNATURE)
        self._line.clear()
        self._payload_left = int(header[1], 16)
        self._state = _State.PAYLOAD if self._payload_left else self._after_last

    def _take_crlf(self, byte: int, fault: FramingKind, following: _State) -> None:
        if byte != b"\r\n"[len(self._line)]:
            raise self._fail(fault)
        self._line.append(byte)
        if len(self._line) == 2:
            self._line.clear()
            self._state = following

    def _take_trailer(self, byte: int) -> None:
        if self._section_bytes == MAX_TRAILER_BYTES:
            raise self._fail(FramingKind.TRAILERS_TOO_LONG)
        if byte != ord("\n"):
            self._section_bytes += 1
            self._line.append(byte)
            return
        line = bytes(self._line).removesuffix(b"\r")
        if line:
            trailer = parse_trailer_line(line)
            if trailer is None:
                raise self._fail(FramingKind.TRAILER)
            self._trailers.append(trailer)
        elif self._after_crlf:
            self._state = _State.END
        self._section_bytes += 1
        self._after_crlf = self._line.endswith(b"\r")
        self._line.clear()

    def _fail(self, kind: FramingKind) -> FramingError:
        self._fault = kind
        return FramingError(kind, self._encoded_bytes)

    def _raise_known_fault(self) -> None:
        if self._fault is not None:
            raise FramingError(self._fault, self._encoded_bytes)

"""The scanner of plain requests in Python: the specification of the compiled one.

Plain is what `plain_heads` and `_heads.pyi` say; everything else is answered
None.  A head is matched by one expression as a whole and its parts by others,
so that nothing is taken from a head that is not plain from end to end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from typing_extensions import Buffer

from sidegate.native.plain_heads import (
    MAX_LENGTH_DIGITS,
    MAX_PATH_BYTES,
    MAX_RANGE_DIGITS,
    OWN_NAMES,
    PATH_BYTES,
    QUERY_BYTES,
    TOKEN_BYTES,
    check_family,
    check_names,
)
from sidegate.native.pure.byte_view import byte_view

_ESCAPE = rb"%[0-9A-Fa-f]{2}"
_PRINTABLE_ESCAPE = rb"%(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e])"
_PATH = rb"/(?:[" + re.escape(PATH_BYTES) + rb"]|" + _ESCAPE + rb")*"
_QUERY = rb"(?:[" + re.escape(QUERY_BYTES) + rb"]|" + _PRINTABLE_ESCAPE + rb")*"
_NAME = rb"[" + re.escape(TOKEN_BYTES) + rb"]+"
_HEAD = re.compile(
    rb"(GET|HEAD|PUT) (%b)(?:\?(%b))? HTTP/1\.1\r\n((?:%b:[\t\x20-\x7e]*\r\n)*)\r\n" % (_PATH, _QUERY, _NAME)
)
_LENGTH = re.compile(rb"\d{1,%d}" % MAX_LENGTH_DIGITS)
_RANGE = re.compile(rb"bytes=(\d{0,%d})-(\d{0,%d})" % (MAX_RANGE_DIGITS, MAX_RANGE_DIGITS))


class HeadScanner:
    """Recognises plain requests; see `_heads.pyi`."""

    def __init__(
        self,
        buffer: Buffer,
        *,
        head_bytes: int,
        header_count: int,
        wanted: Sequence[bytes] = (),
        declined: Sequence[bytes] = (),
        parameters: Sequence[bytes] = (),
        writes: bool = False,
        family: bytes = b"",
        ignored: Sequence[bytes] = (),
    ) -> None:
        check_names(wanted, (*declined, *ignored), parameters)
        check_family(family)
        self._writes = writes
        self._family = family
        self._ignored = frozenset(ignored)
        self._view = byte_view(buffer)
        self._head_bytes = head_bytes
        self._header_count = header_count
        self._wanted = tuple(wanted)
        self._declined = frozenset(declined)
        self._parameters = frozenset(parameters)

    def scan(self, start: int, end: int) -> tuple[Any, ...] | None:
        """Read a head that begins at `start`, in the bytes up to `end`."""
        if not 0 <= start <= end <= len(self._view):
            raise ValueError("not a part of the buffer")
        match = _HEAD.match(self._view[start:end])
        if match is None or match.end() > self._head_bytes:
            return None
        method, raw_path, raw_query, lines = match.groups()
        if (method == b"PUT") is not self._writes:
            return None
        path = self._read_path(raw_path)
        headers = self._read_headers(lines)
        if path is None or headers is None or not self._is_harmless(raw_query):
            return None
        if self._writes:
            interval: tuple[int, int] | None = (0, int(headers[b"content-length"]))
        else:
            interval = _read_range(headers.get(b"range"))
        if interval is None:
            return None
        values = (headers.get(name) for name in self._wanted)
        return (start + match.end(), method == b"HEAD", path, headers[b"host"], *interval, *values)

    def _read_path(self, raw_path: bytes) -> str | None:
        first_segment = raw_path[1:].partition(b"/")[0]
        if len(raw_path) > MAX_PATH_BYTES or b"%2f" in first_segment.lower():
            return None
        try:
            return unquote_to_bytes(raw_path).decode()
        except UnicodeDecodeError:
            return None

    def _is_harmless(self, raw_query: bytes | None) -> bool:
        if raw_query is None:
            return True
        return all(pair.partition(b"=")[0] in self._parameters for pair in raw_query.split(b"&"))

    def _read_headers(self, lines: bytes) -> dict[bytes, bytes] | None:
        """Return the headers that matter, None if one of them is in the way."""
        headers: dict[bytes, bytes] = {}
        split = lines.split(b"\r\n")[:-1]
        for line in split:
            name, _, value = line.partition(b":")
            name, value = name.lower(), value.strip(b" \t")
            if self._is_declined(name) or (name == b"connection" and value.lower() != b"keep-alive"):
                return None
            if name == b"content-length" and not self._is_plain_length(value):
                return None
            if name in (b"host", b"content-length", b"range", *self._wanted):
                if name in headers:
                    return None
                headers[name] = value
        if self._writes and b"content-length" not in headers:
            return None
        return headers if headers.get(b"host") and len(split) <= self._header_count else None

    def _is_declined(self, name: bytes) -> bool:
        if name in self._declined or (self._writes and name == b"range"):
            return True
        named = name in OWN_NAMES or name in self._wanted or name in self._ignored
        return bool(self._family) and name.startswith(self._family) and not named

    def _is_plain_length(self, value: bytes) -> bool:
        return _LENGTH.fullmatch(value) is not None if self._writes else value == b"0"


def _read_range(value: bytes | None) -> tuple[int, int] | None:
    """Return (first, last) of a Range header, (-1, -1) without one, None if it is not simple."""
    if value is None:
        return -1, -1
    match = _RANGE.fullmatch(value)
    if match is None or not any(match.groups()):
        return None
    first, last = (int(digits) if digits else -1 for digits in match.groups())
    return (first, last) if last < 0 or first <= last else None

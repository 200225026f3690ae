"""Trailer lines and the error of the aws-chunked framing."""

from __future__ import annotations

import pytest

from sidegate.errors import Invalid
from sidegate.native.framing import FramingError, FramingKind, parse_trailer_line


@pytest.mark.parametrize(
    ("line", "trailer"),
    [
        (b"a:b", ("a", "b")),
        (b"X-Amz-Checksum-CRC32: AAAAAA== ", ("x-amz-checksum-crc32", "AAAAAA==")),
        (b"a:", ("a", "")),
        (b"a: \t ", ("a", "")),
        (b"a:b:c", ("a", "b:c")),
        (b"a:b  c", ("a", "b  c")),
        (b"a:\xe9", ("a", "é")),
        (b"", None),
        (b"a", None),
        (b":b", None),
        (b"a b:c", None),
        (b" a:b", None),
        (b"a\xe9:b", None),
        (b"a:b\rc", None),
        (b"a:\x00", None),
        (b"a:\x7f", None),
    ],
)
def test_trailer_lines(line: bytes, trailer: tuple[str, str] | None) -> None:
    assert parse_trailer_line(line) == trailer


@pytest.mark.parametrize("kind", FramingKind)
def test_every_kind_explains_itself(kind: FramingKind) -> None:
    error = FramingError(kind, 17)
    assert isinstance(error, Invalid)
    assert str(error).startswith("aws-chunked body, byte 17: ")
    assert error.details == {"kind": kind.value, "offset": 17}

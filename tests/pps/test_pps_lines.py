"""Output cut into lines, however the blocks fall."""

from __future__ import annotations

import pytest

from sidegate.pps.lines import LINE_BYTES, LineSplitter

CASES = [
    (b"", []),
    (b"one\ntwo\n", ["one", "two"]),
    (b"one\ntwo", ["one", "two"]),
    (b"\n\n", ["", ""]),
    (b"dos\r\nline\r\n", ["dos", "line"]),
    (b"10%\r50%\r100%\ndone\n", ["100%", "done"]),
    (b"10%\r50%", ["50%"]),
    (b"gr\xc3\xbc\xc3\x9fe\n", ["grüße"]),
    (b"\xff\xfe\x00bin\n", ["\\xff\\xfe\x00bin"]),
    (b"cut \xc3", ["cut \\xc3"]),
]


@pytest.mark.parametrize(("data", "expected"), CASES)
def test_whole_and_byte_by_byte(data: bytes, expected: list[str]) -> None:
    whole = LineSplitter()
    assert whole.feed(data) + whole.finish() == expected
    split = LineSplitter()
    lines = [line for index in range(len(data)) for line in split.feed(data[index : index + 1])]
    assert lines + split.finish() == expected


def test_a_line_comes_as_soon_as_it_ends() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"half") == []
    assert splitter.feed(b" whole\nnext") == ["half whole"]
    assert splitter.finish() == ["next"]
    assert splitter.finish() == []


def test_a_huge_line_comes_in_pieces() -> None:
    splitter = LineSplitter()
    text = "é" * LINE_BYTES + "!"
    data = text.encode()
    lines = []
    for start in range(0, len(data), 1000):
        lines += splitter.feed(data[start : start + 1000])
        assert len(splitter._pending) <= LINE_BYTES + 1000
    lines += splitter.finish()
    assert "".join(lines) == text
    assert len(lines) == 3


def test_binary_without_end_stays_bounded() -> None:
    splitter = LineSplitter()
    for _ in range(50):
        splitter.feed(b"\xbf" * 65536)
        assert len(splitter._pending) <= LINE_BYTES

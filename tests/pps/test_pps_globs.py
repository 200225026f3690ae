"""What a glob names: Pachyderm's semantics."""

from __future__ import annotations

import pytest

from sidegate.pps.globs import BadGlob, compile_glob


@pytest.mark.parametrize(
    ("pattern", "named", "not_named"),
    [
        ("/", ["/"], ["/a"]),
        ("/*", ["/a", "/a.b", "/.hidden"], ["/", "/a/b"]),
        ("/**", ["/a", "/a/b", "/a/b/c"], ["/"]),
        ("/a/*.csv", ["/a/x.csv", "/a/.csv"], ["/a/x.csv.gz", "/a/b/x.csv", "/x.csv"]),
        ("/**.csv", ["/x.csv", "/a/b/x.csv"], ["/x.csvv"]),
        ("/a/**/b", ["/a/x/b", "/a/x/y/b"], ["/a/b", "/b"]),
        ("/?", ["/a", "/é"], ["/ab", "/"]),
        ("/[ab]", ["/a", "/b"], ["/c", "/ab"]),
        ("/[a-c]x", ["/ax", "/cx"], ["/dx"]),
        ("/[!ab]", ["/c", "/!"], ["/a", "/"]),
        ("/[^ab]", ["/c"], ["/a"]),
        ("/x[!a]y", ["/xby"], ["/x/y", "/xay"]),
        ("/[]a]", ["/]", "/a"], ["/["]),
        ("/{a,b/c}.csv", ["/a.csv", "/b/c.csv"], ["/b.csv", "/{a,b/c}.csv"]),
        ("/{a,{b,c}x}", ["/a", "/bx", "/cx"], ["/b"]),
        ("/a,b}", ["/a,b}"], ["/a"]),
        ("/a.b+c$", ["/a.b+c$"], ["/aXb+c$"]),
        ("/\\*\\[\\(", ["/*[("], ["/a[("]),
        ("/a\nb", ["/a\nb"], ["/ab"]),
    ],
)
def test_matching(pattern: str, named: list[str], not_named: list[str]) -> None:
    glob = compile_glob(pattern)
    assert [path for path in named if not glob.matches(path)] == []
    assert [path for path in not_named if glob.matches(path)] == []


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("/[a", "no ]"),
        ("/[]", "no ]"),
        ("/{a", "no }"),
        ("/a\\", "lone"),
        ("/(a)", "capture"),
        ("/a)", "capture"),
        ("/[z-a]", "backwards"),
    ],
)
def test_patterns_that_cannot_be_read(pattern: str, words: str) -> None:
    with pytest.raises(BadGlob, match=words):
        compile_glob(pattern)


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        ("/", "/"),
        ("/a/b.csv", "/a/b.csv"),
        ("/a/*.csv", "/a/"),
        ("/a{b,c}", "/a"),
        ("/[a]", "/"),
        ("/a\\*", "/a"),
    ],
)
def test_literal_prefix(pattern: str, prefix: str) -> None:
    assert compile_glob(pattern).literal_prefix() == prefix

"""Datums: what globs match in a listing, and the product of inputs."""

from __future__ import annotations

import pytest

from sidegate.pps.datums import Item, ItemKind, bucket_item, cross_items, match_files
from sidegate.pps.globs import compile_glob

FILES = [
    ("/a", b"1"),
    ("/b-x", b"2"),
    ("/b/c.csv", b"3"),
    ("/b/d/e.csv", b"4"),
    ("/m/", b""),
    ("/z.csv", b"5"),
]


def matches(pattern: str, files: list[tuple[str, bytes]] = FILES) -> list[str]:
    """Return what a glob names, folders with a slash at their end."""
    items = match_files(compile_glob(pattern), files)
    return sorted(
        item.path + ("/" if item.kind is ItemKind.FOLDER and item.path != "/" else "") for item in items
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/", ["/"]),
        ("/*", ["/a", "/b-x", "/b/", "/m/", "/z.csv"]),
        ("/**", ["/a", "/b-x", "/b/", "/b/c.csv", "/b/d/", "/b/d/e.csv", "/m/", "/z.csv"]),
        ("/b/*", ["/b/c.csv", "/b/d/"]),
        ("/b/*.csv", ["/b/c.csv"]),
        ("/**.csv", ["/b/c.csv", "/b/d/e.csv", "/z.csv"]),
        ("/{a,b}", ["/a", "/b/"]),
        ("/nothing", []),
    ],
)
def test_files_and_folders_match(pattern: str, expected: list[str]) -> None:
    assert matches(pattern) == expected


def test_only_the_root_matches_in_an_empty_commit() -> None:
    assert matches("/", []) == ["/"]
    assert matches("/*", []) == []


def content(pattern: str, files: list[tuple[str, bytes]]) -> bytes:
    (item,) = match_files(compile_glob(pattern), files)
    return item.content


def test_a_folders_content_is_that_of_all_its_files() -> None:
    before = content("/b", FILES)
    assert content("/b", [*FILES[:3], ("/b/d/e.csv", b"other"), *FILES[4:]]) != before
    assert content("/b", [*FILES[:3], ("/b/d/f.csv", b"4"), *FILES[4:]]) != before
    assert content("/b", [("/a", b"other"), *FILES[1:]]) == before


def test_cross_takes_every_combination_in_order() -> None:
    first = [Item(f"/{name}", ItemKind.FILE, name.encode()) for name in "ab"]
    second = [Item(f"/{name}", ItemKind.FILE, name.encode()) for name in "xyz"]
    datums = list(cross_items([("one", first), ("two", second), ("s3", [bucket_item(b"root")])]))
    assert [[part.item.path for part in datum.parts] for datum in datums] == [
        ["/a", "/x", "/"],
        ["/a", "/y", "/"],
        ["/a", "/z", "/"],
        ["/b", "/x", "/"],
        ["/b", "/y", "/"],
        ["/b", "/z", "/"],
    ]
    assert [part.input_name for part in datums[0].parts] == ["one", "two", "s3"]
    assert len({datum.id for datum in datums}) == 6


def test_an_input_without_items_leaves_no_datum() -> None:
    assert list(cross_items([("one", [bucket_item(b"root")]), ("two", [])])) == []
    assert list(cross_items([])) == []


def test_datum_ids_depend_on_names_paths_and_content_alone() -> None:
    def only_id(name: str, path: str, content: bytes) -> str:
        (datum,) = cross_items([(name, [Item(path, ItemKind.FILE, content)])])
        return datum.id

    base = only_id("in", "/a", b"1")
    assert base == only_id("in", "/a", b"1")
    assert len(base) == 64
    others = {
        only_id("on", "/a", b"1"),
        only_id("in", "/b", b"1"),
        only_id("in", "/a", b"2"),
        only_id("in/", "a", b"1"),
    }
    assert len(others | {base}) == 5

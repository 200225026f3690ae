from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.s3.errors import S3Error
from sidegate.s3.listing import (
    Entry,
    ListQuery,
    Page,
    collect_page,
    decode_token,
    encode_token,
    parse_list,
    successor_of_prefix,
)
from sidegate.s3.operations import Operation
from sidegate.s3.target import parse_target


class Keys:
    """A source over a list that counts its seeks and the entries it gave."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(keys, key=str.encode)
        self.seeks = 0
        self.read = 0

    def __call__(self, after: str, *, inclusive: bool) -> Iterator[Entry]:
        self.seeks += 1
        find = bisect_left if inclusive else bisect_right
        for key in self.keys[find(self.keys, after) :]:
            self.read += 1
            yield Entry(key, 1, "tag", 0)


def query(raw: str, operation: Operation = Operation.LIST_OBJECTS_V2) -> ListQuery:
    return parse_list(operation, parse_target(f"/b?{raw}".encode(), None))


def names(page: Page[Entry]) -> tuple[list[str], list[str]]:
    return [entry.key for entry in page.entries], list(page.common_prefixes)


def naive(keys: list[str], asked: ListQuery) -> tuple[list[str], list[str], bool]:
    """The definition: roll every key up, keep the names above `after`, cut."""
    items: set[tuple[str, bool]] = set()
    for key in keys:
        if key.startswith(asked.prefix):
            rest = key[len(asked.prefix) :]
            if asked.delimiter and asked.delimiter in rest:
                rolled_up = asked.prefix + rest[: rest.index(asked.delimiter)] + asked.delimiter
                items.add((rolled_up, True))
            else:
                items.add((key, False))
    found = sorted(item for item in items if item[0].encode() > asked.after.encode())
    shown = found[: asked.max_keys]
    truncated = len(found) > len(shown) > 0
    return [n for n, rolled in shown if not rolled], [n for n, rolled in shown if rolled], truncated


TEXT = st.text(alphabet="ab/é\ud7ff\ue000\U0010ffff", max_size=5)


@given(
    keys=st.lists(TEXT.filter(bool), unique=True, max_size=40),
    prefix=TEXT,
    delimiter=st.sampled_from(["", "/", "a", "ab", "\U0010ffff"]),
    after=TEXT,
    max_keys=st.integers(0, 10),
)
def test_a_page_is_what_the_definition_says(
    keys: list[str], prefix: str, delimiter: str, after: str, max_keys: int
) -> None:
    asked = ListQuery(2, prefix, delimiter, max_keys, after)
    page = collect_page(asked, Keys(keys))
    assert (*names(page), page.is_truncated) == naive(keys, asked)


@given(
    keys=st.lists(TEXT.filter(bool), unique=True, max_size=40),
    prefix=TEXT,
    delimiter=st.sampled_from(["", "/", "ab"]),
    max_keys=st.integers(1, 5),
)
def test_pages_joined_by_tokens_are_the_whole_listing(
    keys: list[str], prefix: str, delimiter: str, max_keys: int
) -> None:
    entries: list[str] = []
    prefixes: list[str] = []
    after = ""
    while True:
        page = collect_page(ListQuery(2, prefix, delimiter, max_keys, after), Keys(keys))
        entries += names(page)[0]
        prefixes += names(page)[1]
        if not page.is_truncated:
            break
        assert page.last is not None
        after = decode_token(encode_token(page.last))
    assert (entries, prefixes) == naive(keys, ListQuery(2, prefix, delimiter, 1000))[:2]


def test_a_delimiter_listing_seeks_once_per_prefix() -> None:
    keys = Keys([f"{folder:03}/{file:05}" for folder in range(100) for file in range(1000)])
    page = collect_page(query("list-type=2&delimiter=/"), keys)
    assert len(page.common_prefixes) == 100
    assert keys.seeks <= 101
    assert keys.read < 100 * 20


def test_small_folders_are_read_without_seeking() -> None:
    keys = Keys([f"{folder:03}/file" for folder in range(500)])
    assert len(collect_page(query("delimiter=/"), keys).common_prefixes) == 500
    assert keys.seeks == 1


def test_trap_18_order_is_by_utf8_bytes() -> None:
    keys = ["\uffee", "\U0001f600", "z", "é"]
    assert names(collect_page(query(""), Keys(keys)))[0] == ["z", "é", "\uffee", "\U0001f600"]


def test_trap_19_a_marker_is_content_of_itself_and_a_prefix_of_its_parent_never_both() -> None:
    keys = Keys(["a/", "a/b"])
    assert names(collect_page(query("prefix=a/&delimiter=/"), keys)) == (["a/", "a/b"], [])
    assert names(collect_page(query("delimiter=/"), keys)) == ([], ["a/"])


def test_trap_20_a_folder_with_only_its_marker_has_one_entry() -> None:
    assert names(collect_page(query("prefix=a/&delimiter=/&max-keys=2"), Keys(["a/"]))) == (["a/"], [])


def test_trap_21_a_token_outweighs_start_after() -> None:
    asked = query(f"list-type=2&start-after=z&continuation-token={encode_token('b')}")
    assert (asked.after, asked.start_after) == ("b", "z")
    assert names(collect_page(asked, Keys(["a", "b", "c"])))[0] == ["c"]


def test_trap_21_start_after_need_not_exist() -> None:
    assert names(collect_page(query("start-after=bb"), Keys(["a", "b", "c"])))[0] == ["c"]


@pytest.mark.parametrize("token", ["x", "////", "AA==", "AQ==", "Av8=", "%FF%FE", encode_token("a")[:-1]])
def test_a_foreign_token_is_refused(token: str) -> None:
    with pytest.raises(S3Error) as caught:
        decode_token(token)
    assert caught.value.code == "InvalidArgument"


def test_a_token_is_opaque_and_safe_in_a_url() -> None:
    token = encode_token("a/ü?>~\U0010ffff")
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
    assert decode_token(token) == "a/ü?>~\U0010ffff"


def test_trap_22_max_keys_is_capped_and_zero_is_an_empty_page() -> None:
    assert query("max-keys=5000").max_keys == 1000
    keys = Keys(["a", "b"])
    page = collect_page(query("max-keys=0"), keys)
    assert (names(page), page.is_truncated, keys.seeks) == (([], []), False, 0)


def test_trap_22_common_prefixes_count_as_keys() -> None:
    page = collect_page(query("delimiter=/&max-keys=1"), Keys(["a/x", "b"]))
    assert (names(page), page.is_truncated, page.last) == (([], ["a/"]), True, "a/")


@pytest.mark.parametrize("marker", ["photos/", "photos/2006", "photos/2006/x"])
def test_a_marker_inside_a_rolled_up_prefix_skips_it(marker: str) -> None:
    keys = Keys(["a", "photos/2006/x", "photos/2007/y", "z"])
    asked = query(f"marker={marker}&delimiter=/", Operation.LIST_OBJECTS)
    assert names(collect_page(asked, keys)) == (["z"], [])


@pytest.mark.parametrize("raw", ["max-keys=-1", "max-keys=x", "encoding-type=base64", "continuation-token=x"])
def test_bad_parameters(raw: str) -> None:
    with pytest.raises(S3Error) as caught:
        query(raw)
    assert caught.value.code == "InvalidArgument"


def test_an_empty_token_is_none_but_echoed() -> None:
    asked = query("continuation-token=&start-after=b")
    assert (asked.after, asked.token) == ("b", "")


@pytest.mark.parametrize(
    ("prefix", "successor"),
    [
        ("a", "b"),
        ("a/", "a0"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff", None),
        ("", None),
        ("\ud7ff", "\ue000"),
        ("a\uffff", "a\U00010000"),
    ],
)
def test_successor(prefix: str, successor: str | None) -> None:
    assert successor_of_prefix(prefix) == successor

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidegate.native import PageScan, RowCursor
from sidegate.s3.errors import S3Error
from sidegate.s3.listing import ListQuery, decode_token, encode_token, page_start, parse_list
from sidegate.s3.operations import Operation
from sidegate.s3.target import parse_target

RECORD = bytes((1, 0, 1, 3)) + b"tag" + bytes((0,))
"""The head of a file record: version 1, no flags, size 1, tag, time 0."""


class Keys:
    """Sorted rows that count how often and how much was read."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(map(str.encode, keys))
        self.reads = 0
        self.rows = 0

    def fetch(self, start: bytes, limit: int) -> list[tuple[bytes, bytes | None]]:
        found = self.keys[bisect_left(self.keys, start) :][:limit]
        self.reads += 1
        self.rows += len(found)
        return [(key, RECORD) for key in found]


def query(raw: str, operation: Operation = Operation.LIST_OBJECTS_V2) -> ListQuery:
    return parse_list(operation, parse_target(f"/b?{raw}".encode(), None))


def collect(asked: ListQuery, keys: Keys) -> PageScan:
    page = PageScan(page_start(asked), asked.prefix.encode(), asked.delimiter.encode(), asked.max_keys)
    assert page.collect([RowCursor(keys.fetch)])
    return page


def names(page: PageScan) -> tuple[list[str], list[str]]:
    columns = page.columns
    keys = [columns.names[start:end].decode() for start, end in pairwise([0, *columns.name_ends])]
    return keys, [group.decode() for group in page.groups]


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
    page = collect(asked, Keys(keys))
    assert (*names(page), page.truncated) == naive(keys, asked)


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
        page = collect(ListQuery(2, prefix, delimiter, max_keys, after), Keys(keys))
        entries += names(page)[0]
        prefixes += names(page)[1]
        if not page.truncated:
            break
        assert page.last is not None
        after = decode_token(encode_token(page.last))
    assert (entries, prefixes) == naive(keys, ListQuery(2, prefix, delimiter, 1000))[:2]


def test_a_delimiter_listing_reads_few_rows_per_prefix() -> None:
    keys = Keys([f"{folder:03}/{file:05}" for folder in range(100) for file in range(1000)])
    page = collect(query("list-type=2&delimiter=/"), keys)
    assert len(page.groups) == 100
    assert keys.reads <= 101
    assert keys.rows < 100 * 40


def test_small_folders_share_a_read() -> None:
    keys = Keys([f"{folder:03}/file" for folder in range(500)])
    assert len(collect(query("delimiter=/"), keys).groups) == 500
    assert keys.reads <= 500 // 32 + 1


def test_a_page_without_delimiter_is_one_read() -> None:
    keys = Keys([f"{number:05}" for number in range(5000)])
    page = collect(query("max-keys=1000"), keys)
    assert (len(names(page)[0]), page.truncated, keys.reads, keys.rows) == (1000, True, 1, 1001)
    assert not collect(query("start-after=03999"), keys).truncated


def test_the_probe_of_a_folder_reads_a_few_rows() -> None:
    keys = Keys([f"table/part-{number:05}" for number in range(10_000)])
    page = collect(query("list-type=2&prefix=table/&delimiter=/&max-keys=2"), keys)
    assert (len(names(page)[0]), page.truncated, keys.rows) == (2, True, 3)


def test_trap_18_order_is_by_utf8_bytes() -> None:
    keys = ["\uffee", "\U0001f600", "z", "é"]
    assert names(collect(query(""), Keys(keys)))[0] == ["z", "é", "\uffee", "\U0001f600"]


def test_trap_19_a_marker_is_content_of_itself_and_a_prefix_of_its_parent_never_both() -> None:
    keys = Keys(["a/", "a/b"])
    assert names(collect(query("prefix=a/&delimiter=/"), keys)) == (["a/", "a/b"], [])
    assert names(collect(query("delimiter=/"), keys)) == ([], ["a/"])


def test_trap_20_a_folder_with_only_its_marker_has_one_entry() -> None:
    assert names(collect(query("prefix=a/&delimiter=/&max-keys=2"), Keys(["a/"]))) == (["a/"], [])


def test_trap_21_a_token_outweighs_start_after() -> None:
    asked = query(f"list-type=2&start-after=z&continuation-token={encode_token(b'b')}")
    assert (asked.after, asked.start_after) == ("b", "z")
    assert names(collect(asked, Keys(["a", "b", "c"])))[0] == ["c"]


def test_trap_21_start_after_need_not_exist() -> None:
    assert names(collect(query("start-after=bb"), Keys(["a", "b", "c"])))[0] == ["c"]


@pytest.mark.parametrize("token", ["x", "////", "AA==", "AQ==", "Av8=", "%FF%FE", encode_token(b"a")[:-1]])
def test_a_foreign_token_is_refused(token: str) -> None:
    with pytest.raises(S3Error) as caught:
        decode_token(token)
    assert caught.value.code == "InvalidArgument"


def test_a_token_is_opaque_and_safe_in_a_url() -> None:
    token = encode_token("a/ü?>~\U0010ffff".encode())
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=")
    assert decode_token(token) == "a/ü?>~\U0010ffff"


def test_trap_22_max_keys_is_capped_and_zero_is_an_empty_page() -> None:
    assert query("max-keys=5000").max_keys == 1000
    keys = Keys(["a", "b"])
    page = collect(query("max-keys=0"), keys)
    assert (names(page), page.truncated, keys.reads) == (([], []), False, 0)


def test_trap_22_common_prefixes_count_as_keys() -> None:
    page = collect(query("delimiter=/&max-keys=1"), Keys(["a/x", "b"]))
    assert (names(page), page.truncated, page.last) == (([], ["a/"]), True, b"a/")


@pytest.mark.parametrize("marker", ["photos/", "photos/2006", "photos/2006/x"])
def test_a_marker_inside_a_rolled_up_prefix_skips_it(marker: str) -> None:
    keys = Keys(["a", "photos/2006/x", "photos/2007/y", "z"])
    asked = query(f"marker={marker}&delimiter=/", Operation.LIST_OBJECTS)
    assert names(collect(asked, keys)) == (["z"], [])


@pytest.mark.parametrize("raw", ["max-keys=-1", "max-keys=x", "encoding-type=base64", "continuation-token=x"])
def test_bad_parameters(raw: str) -> None:
    with pytest.raises(S3Error) as caught:
        query(raw)
    assert caught.value.code == "InvalidArgument"


def test_an_empty_token_is_none_but_echoed() -> None:
    asked = query("continuation-token=&start-after=b")
    assert (asked.after, asked.token) == ("b", "")


@pytest.mark.parametrize(
    ("raw", "start"),
    [
        ("", b""),
        ("prefix=a/", b"a/"),
        ("start-after=a", b"a\0"),
        ("prefix=b&start-after=a", b"b"),
        ("prefix=a&start-after=b", b"b\0"),
        ("start-after=a/b&delimiter=/", b"a0"),
        ("prefix=a/&start-after=a/b&delimiter=/", b"a/b\0"),
        ("start-after=\U0010ffff&delimiter=\U0010ffff", b"\xf4\x8f\xbf\xc0"),
        ("start-after=a\ud7ffb&delimiter=\ud7ff", b"a\xed\x9f\xc0"),
    ],
)
def test_page_start(raw: str, start: bytes) -> None:
    assert page_start(query(raw)) == start

"""Keys as they come over the wire, listings of them, and heads that are refused.

Targets are raw bytes: nothing here is encoded or normalised by a client.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from gateway_harness import PAIRS, Client, delete_document

from sidegate.pfs.store import Store

both_pairs = pytest.mark.parametrize("pair", PAIRS, indirect=True, ids="-".join)

ODD_KEYS = {
    "a/b.txt": b"a/b.txt",
    "a//b": b"a//b",
    "/lead": b"/lead",
    "trail/": b"trail/",
    "trail": b"trail",
    "a b": b"a%20b",
    "a+b": b"a+b",
    "a%2Fb": b"a%252Fb",
    "100%": b"100%25",
    "q?x=1&y": b"q%3Fx=1&y",
    "#frag": b"%23frag",
    "<&>\"'": b"%3C&%3E%22'",
    "\u00e9": b"%C3%A9",
    "e\u0301": b"e%CC%81",
    "tab\tline\nreturn\rend": b"tab%09line%0Areturn%0Dend",
    "日本": b"%E6%97%A5%E6%9C%AC",
    "😀": b"%F0%9F%98%80",
    "\uffef": b"%EF%BF%AF",
    "...": b"...",
    "a..b/.c/..d": b"a..b/.c/..d",
    "x;y=z:@!$*(),~": b"x;y=z:@!$*(),~",
    "upper/CASE": b"upper/CASE",
    "upper/case": b"upper/case",
}


@both_pairs
def test_each_key_is_stored_as_it_is_meant(labs: Client) -> None:
    """Traps 14, 16, 18, 19: nothing is collapsed, normalised or decoded twice."""
    for key, raw in ODD_KEYS.items():
        assert labs.ask("PUT", b"/labs/" + raw, key.encode()).status == 200, key
    for key, raw in ODD_KEYS.items():
        assert labs.ask("GET", b"/labs/" + raw).body == key.encode(), key
        assert labs.ask("HEAD", "/labs/" + quote(key, safe="")).status == 200, key
    expected = sorted(ODD_KEYS, key=str.encode)
    assert labs.keys("labs") == expected
    assert [unquote(key) for key in labs.keys("labs", "&encoding-type=url")] == expected
    deleted = labs.ask("POST", "/labs?delete", delete_document(_escaped(key) for key in ODD_KEYS))
    assert sorted(deleted.texts("Deleted/Key"), key=str.encode) == expected
    assert labs.keys("labs") == []


def _escaped(key: str) -> str:
    return key.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def test_listings_sort_by_utf8_bytes(labs: Client) -> None:
    """Trap 18: UTF-16 order puts an emoji before U+FFEF."""
    for key in ("%F0%9F%98%80", "%EF%BF%AF", "z", "Z"):
        labs.put(f"/labs/{key}")
    assert labs.keys("labs") == ["Z", "z", "\uffef", "😀"]
    assert labs.keys("labs", "&start-after=%EF%BF%AF") == ["😀"]


REFUSED = [
    (b"/labs/../inp/x", "InvalidArgument"),
    (b"/labs/a/../b", "InvalidArgument"),
    (b"/labs/a/./b", "InvalidArgument"),
    (b"/labs/..", "InvalidArgument"),
    (b"/labs/.", "InvalidArgument"),
    (b"/labs/a/%2e%2e/b", "InvalidArgument"),
    (b"/labs/a%2F..%2Fb", "InvalidArgument"),
    (b"/../labs/k", "InvalidArgument"),
    (b"/./labs/k", "InvalidArgument"),
    (b"/labs/a%00b", "InvalidArgument"),
    (b"/labs/a%1Fb", "InvalidArgument"),
    (b"/labs/%EF%BF%BF", "InvalidArgument"),
    (b"/labs/%FF%FE", "InvalidArgument"),
    (b"/labs/%ED%A0%80", "InvalidArgument"),
    (b"/labs/%zz", "InvalidURI"),
    (b"/labs/%", "InvalidURI"),
    (b"/labs/" + b"k" * 1025, "KeyTooLongError"),
    (b"/labs/" + b"%C3%A9" * 513, "KeyTooLongError"),
]


@both_pairs
def test_a_key_that_cannot_be_kept_is_refused_whatever_is_asked(labs: Client) -> None:
    """Traps 15 and 17: boto3 sends `PUT /out/../inp/x` as it is."""
    labs.put("/labs/k", b"before")
    before = labs.snapshot("labs")
    wrong = []
    for target, code in REFUSED:
        for method, suffix, body in [
            ("PUT", b"", b"data"),
            ("GET", b"", None),
            ("DELETE", b"", None),
            ("POST", b"?uploads", b""),
        ]:
            answer = labs.ask(method, target + suffix, body)
            if (answer.status, answer.code) != (400, code):
                wrong.append(f"{method} {target[:40]!r}: {answer.status} {answer.code}, not {code}")
        copied = labs.ask("PUT", target, b"", {"x-amz-copy-source": "/labs/k"})
        if copied.code != code:
            wrong.append(f"copy to {target[:40]!r}: {copied.code}, not {code}")
    assert wrong == []
    assert labs.snapshot("labs") == before
    assert labs.get("/labs?uploads").texts("Upload/Key") == []


def test_a_key_of_1024_bytes_is_kept(labs: Client) -> None:
    key = "k" * 1024
    labs.put(f"/labs/{key}", b"data")
    assert labs.keys("labs") == [key]


def test_a_copy_source_is_held_to_the_same_rules(labs: Client) -> None:
    labs.put("/labs/k", b"data")
    for source, code in [
        ("/labs/../labs/k", "InvalidArgument"),
        ("/labs/%00", "InvalidArgument"),
        ("labs", "InvalidArgument"),
        ("/labs/", "InvalidArgument"),
        ("", "InvalidArgument"),
        ("/labs/k?versionId=5", "NoSuchVersion"),
    ]:
        assert labs.ask("PUT", "/labs/new", b"", {"x-amz-copy-source": source}).code == code, source
    assert labs.keys("labs") == ["k"]


def test_delete_objects_refuses_bad_keys_one_by_one(labs: Client) -> None:
    labs.put("/labs/k", b"data")
    answer = labs.ask("POST", "/labs?delete", delete_document(["k", "a/../b", "x" * 1025]))
    assert answer.texts("Deleted/Key") == ["k"]
    assert answer.texts("Error/Code") == ["InvalidArgument", "KeyTooLongError"]
    assert labs.keys("labs") == []


@both_pairs
def test_heads_beyond_the_limits_are_refused(labs: Client) -> None:
    """Over-long heads, too many headers, malformed ones; the gateway lives on."""
    for head in [
        Client.render_head("PUT", "/labs/k", {"x-big": "v" * 70_000}, b"data"),
        Client.render_head("PUT", "/labs/k", {f"x-{number}": "v" for number in range(300)}, b"data"),
        Client.render_head("PUT", "/labs/" + "k" * 70_000, None, b"data"),
    ]:
        answer = labs.exchange(head, "PUT")
        assert (answer.status, answer.code) in [
            (400, "RequestHeaderSectionTooLarge"),
            (431, "RequestHeaderSectionTooLarge"),
        ]
        labs.close()
    put = b"PUT /labs/k HTTP/1.1\r\nhost: x\r\n"
    for data in [
        b"PUT /labs/k\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"PUT /labs/a b HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
        put + b"content-length: x\r\n\r\n",
        put + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
        put + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ]:
        assert labs.exchange(data, "PUT").status in (400, 405), data
        labs.close()
    assert labs.keys("labs") == []


def test_metadata_beyond_two_kilobytes_is_refused(labs: Client) -> None:
    answer = labs.ask("PUT", "/labs/k", b"data", {"x-amz-meta-big": "v" * 2100})
    assert (answer.status, answer.code) == (400, "MetadataTooLarge")
    assert labs.keys("labs") == []


def test_an_absolute_target_is_understood(labs: Client) -> None:
    labs.put("http://127.0.0.1:1/labs/k", b"data")
    assert labs.get("http://127.0.0.1/labs/k").body == b"data"


# -- listings -------------------------------------------------------------------


@pytest.fixture
def tree(labs: Client) -> Client:
    for key in ("a/", "a/1", "a/2", "a/b/3", "a/b/4", "c", "d/5", "e/"):
        labs.put(f"/labs/{key}")
    return labs


@pytest.mark.parametrize(
    ("query", "keys", "prefixes"),
    [
        ("&delimiter=/", ["c"], ["a/", "d/", "e/"]),
        ("&prefix=a/&delimiter=/", ["a/", "a/1", "a/2"], ["a/b/"]),
        ("&prefix=e/&delimiter=/", ["e/"], []),
        ("&prefix=a", ["a/", "a/1", "a/2", "a/b/3", "a/b/4"], []),
        ("&prefix=a&delimiter=/", [], ["a/"]),
        ("&prefix=nothing", [], []),
        ("&delimiter=b", ["a/", "a/1", "a/2", "c", "d/5", "e/"], ["a/b"]),
        ("&prefix=&delimiter=", ["a/", "a/1", "a/2", "a/b/3", "a/b/4", "c", "d/5", "e/"], []),
        ("&start-after=a/b", ["a/b/3", "a/b/4", "c", "d/5", "e/"], []),
        ("&start-after=a/b&delimiter=/", ["c"], ["d/", "e/"]),
        ("&max-keys=0", [], []),
    ],
)
def test_prefix_delimiter_and_start_after(
    tree: Client, query: str, keys: list[str], prefixes: list[str]
) -> None:
    """Traps 19 to 22."""
    answer = tree.get(f"/labs?list-type=2{query}")
    assert answer.texts("Contents/Key") == keys
    assert answer.texts("CommonPrefixes/Prefix") == prefixes
    assert answer.text("KeyCount") == str(len(keys) + len(prefixes))
    assert answer.text("IsTruncated") == "false"
    assert answer.texts("ContinuationToken") == []


@pytest.mark.parametrize("delimiter", ["", "&delimiter=/"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_of_any_size_give_each_name_once(tree: Client, size: int, delimiter: str) -> None:
    """Trap 22: probes of one or two names count prefixes too."""
    whole = tree.get(f"/labs?list-type=2{delimiter}")
    wanted = sorted(whole.texts("Contents/Key") + whole.texts("CommonPrefixes/Prefix"))
    found, token = [], ""
    while True:
        page = tree.get(f"/labs?list-type=2&max-keys={size}{delimiter}{token}")
        names = page.texts("Contents/Key") + page.texts("CommonPrefixes/Prefix")
        assert len(names) <= size
        found += names
        if page.text("IsTruncated") == "false":
            break
        token = f"&continuation-token={quote(page.text('NextContinuationToken'), safe='')}&start-after=zzz"
    assert sorted(found) == wanted
    assert len(found) == len(wanted)


def test_version_1_pages_by_marker(tree: Client) -> None:
    """Trap 23: NextMarker only with a delimiter; rclone and s3cmd use this version."""
    page = tree.get("/labs?max-keys=2")
    assert page.texts("Contents/Key") == ["a/", "a/1"]
    assert page.texts("NextMarker") == []
    assert tree.get("/labs?max-keys=2&marker=a/1").texts("Contents/Key") == ["a/2", "a/b/3"]
    page = tree.get("/labs?max-keys=2&delimiter=/")
    assert page.text("NextMarker") == "c"
    assert tree.get("/labs?delimiter=/&marker=c").texts("CommonPrefixes/Prefix") == ["d/", "e/"]


def test_max_keys_above_1000_is_capped_and_said(labs: Client) -> None:
    """Trap 22: S3A asks for 5000."""
    answer = labs.get("/labs?list-type=2&max-keys=5000")
    assert answer.text("MaxKeys") == "1000"


@pytest.mark.parametrize(
    "query", ["max-keys=-1", "max-keys=x", "continuation-token=rubbish", "encoding-type=base64", "prefix=%00"]
)
def test_a_bad_listing_parameter_is_400(labs: Client, query: str) -> None:
    answer = labs.get(f"/labs?list-type=2&{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_url_encoding_covers_every_name(labs: Client) -> None:
    """Trap 15: a space is %20, a plus is %2B."""
    labs.put("/labs/a%20b%2Bc/d%0Ae".replace("%0A", "%09"))
    answer = labs.get("/labs?list-type=2&encoding-type=url&delimiter=/&prefix=a%20&start-after=a%20%2B")
    assert answer.texts("CommonPrefixes/Prefix") == ["a%20b%2Bc/"]
    assert answer.text("Prefix") == "a%20"
    assert answer.text("StartAfter") == "a%20%2B"
    assert answer.text("EncodingType") == "url"
    assert labs.keys("labs", "&encoding-type=url") == ["a%20b%2Bc/d%09e"]


def test_a_plus_in_a_query_is_a_space(labs: Client) -> None:
    labs.put("/labs/a%20b")
    assert labs.keys("labs", "&prefix=a+b") == ["a b"]


def test_a_listing_after_each_write_and_delete_is_up_to_date(labs: Client) -> None:
    """Trap 20: S3A breaks when LIST lags behind DELETE."""
    for number in range(10):
        labs.put(f"/labs/{number}")
        assert labs.keys("labs") == [str(number)]
        labs.delete(f"/labs/{number}")
        assert labs.keys("labs") == []


def test_more_than_a_thousand_files_come_in_pages(labs: Client, store: Store) -> None:
    """More rows than the store reads at once, with deleted ones among them."""
    names = [f"{number:05}" for number in range(2100)]
    record = store.record(())
    store.stagings.write_open("labs", "master", [(name, record) for name in [*names, "source"]])
    labs.ask("POST", "/labs?delete", delete_document(names[500:1500]))
    first = labs.get("/labs?list-type=2")
    assert first.text("IsTruncated") == "true"
    assert len(first.texts("Contents/Key")) == 1000
    token = quote(first.text("NextContinuationToken"), safe="")
    rest = labs.keys("labs", f"&continuation-token={token}")
    assert first.texts("Contents/Key") + rest == [*names[:500], *names[1500:], "source"]

"""GET and HEAD: ranges, conditions, overrides, checksums, and bytes of every kind."""

from __future__ import annotations

import base64
import itertools
import re
import zlib
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from gateway_harness import MIB, PAIRS, Client, Clock, Job, aws_chunked, commit_files, csv, noise

from sidegate.pfs.extent_lists import load_extents
from sidegate.pfs.store import Store

RAW = noise(200_000, "raw")
CSV = csv(9_000)
CONTENTS = {"raw": RAW, "csv": CSV, "small": b"0123456789", "empty": b""}

both_pairs = pytest.mark.parametrize("pair", PAIRS, indirect=True, ids="-".join)


@pytest.fixture
def files(general: Client, store: Store, small_chunks: None) -> Client:
    """A gateway with a committed and an open bucket that hold the same."""
    for repo in ("done", "open"):
        store.repos.create(repo)
    commit_files(store, "done", CONTENTS)
    for key, content in CONTENTS.items():
        general.put(f"/open/{key}", content)
    return general


@both_pairs
def test_objects_of_many_chunks_raw_or_compressed_come_back_whole(files: Client, store: Store) -> None:
    record = store.branch_view("done", "master").get("csv")
    assert record is not None
    assert len(list(load_extents(store.chunks, record.extents))) > 20
    for bucket in ("done", "open", "done"):
        for key, content in CONTENTS.items():
            answer = files.get(f"/{bucket}/{key}")
            assert (answer.status, answer.body == content) == (200, True), (bucket, key)
            assert answer.headers["content-length"] == str(len(content))
            assert answer.headers["accept-ranges"] == "bytes"


RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=4-24", 4, 25),
    ("bytes=511-513", 511, 514),
    ("bytes=8191-8192", 8191, 8193),
    ("bytes=100-", 100, None),
    ("bytes=-1", -1, None),
    ("bytes=-70000", -70000, None),
    ("bytes=-99999999", 0, None),
    ("bytes=0-52428799", 0, None),
    ("bytes=1000-99999999999", 1000, None),
    ("Bytes = 5 - 9", 5, 10),
    ("bytes=17000-190000", 17000, 190001),
]


@both_pairs
def test_every_form_of_range(files: Client) -> None:
    """Trap 28: 206 with Content-Range and the exact length; an end beyond is cut off."""
    for bucket, key in itertools.product(("done", "open"), ("raw", "csv")):
        content = CONTENTS[key]
        for header, offset, end in RANGES:
            expected = content[offset:end]
            answer = files.get(f"/{bucket}/{key}", {"range": header})
            start = offset if offset >= 0 else len(content) + offset
            assert answer.status == 206, header
            assert answer.body == expected, header
            assert answer.headers["content-length"] == str(len(expected))
            last = start + len(expected) - 1
            assert answer.headers["content-range"] == f"bytes {start}-{last}/{len(content)}"
            head = files.head(f"/{bucket}/{key}", {"range": header})
            assert (head.status, head.headers["content-range"]) == (206, answer.headers["content-range"])
            assert head.headers["content-length"] == str(len(expected))


def test_a_range_that_is_none_is_ignored(files: Client) -> None:
    for header in ("bytes=0-1,4-5", "bytes=5-4", "bytes=a-b", "items=0-1", "bytes=", "bytes=-"):
        answer = files.get("/done/small", {"range": header})
        assert (answer.status, answer.body) == (200, b"0123456789"), header
        assert "content-range" not in answer.headers


def test_a_range_outside_is_416_and_says_the_size(files: Client) -> None:
    for key, header in [
        ("small", "bytes=10-"),
        ("small", "bytes=11-20"),
        ("small", "bytes=-0"),
        ("empty", "bytes=0-1"),
        ("empty", "bytes=-5"),
    ]:
        answer = files.get(f"/done/{key}", {"range": header})
        assert (answer.status, answer.code) == (416, "InvalidRange"), header
        assert answer.headers["content-range"] == f"bytes */{len(CONTENTS[key])}"
        head = files.head(f"/done/{key}", {"range": header})
        assert (head.status, head.body) == (416, b"")


@both_pairs
def test_head_carries_the_real_length_and_no_body(files: Client) -> None:
    """Trap 6: a length of 0 breaks every stat call."""
    for key, content in CONTENTS.items():
        head = files.head(f"/done/{key}")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(content))


def test_head_get_list_and_304_agree_on_etag_and_time(files: Client) -> None:
    """DuckDB compares the ETag of a GET with the one from LIST."""
    listed = [
        (b, e) for b in ("done", "open") for e in files.get(f"/{b}?list-type=2").xml.iterfind("Contents")
    ]
    assert len(listed) == 2 * len(CONTENTS)
    for bucket, element in listed:
        key, etag = element.findtext("Key"), element.findtext("ETag")
        head, get = files.head(f"/{bucket}/{key}"), files.get(f"/{bucket}/{key}")
        unchanged = files.get(f"/{bucket}/{key}", {"if-none-match": head.etag})
        assert etag == head.etag == get.etag == unchanged.etag
        assert (unchanged.status, unchanged.body) == (304, b"")
        assert head.headers["last-modified"] == get.headers["last-modified"]
        time = parsedate_to_datetime(head.headers["last-modified"])
        assert element.findtext("LastModified") == time.strftime("%Y-%m-%dT%H:%M:%S.250Z")
        assert element.findtext("Size") == head.headers["content-length"]


def test_an_etag_looks_like_one_of_an_upload_in_parts(labs: Client) -> None:
    """Study, section 5: clients take `<32 hex>-N` as opaque, 32 hex alone as an MD5."""
    labs.put("/labs/one", b"data")
    labs.upload("/labs/parts", {1: b"a" * (5 * MIB), 2: b"b"})
    assert re.fullmatch(r'"[0-9a-f]{32}-1"', labs.head("/labs/one").etag)
    assert re.fullmatch(r'"[0-9a-f]{32}-2"', labs.head("/labs/parts").etag)


def test_conditions(files: Client, clock: Clock) -> None:
    """Trap 25: SDK v1 sends tags without quotes."""
    etag = files.head("/done/raw").etag
    modified = files.head("/done/raw").headers["last-modified"]
    earlier = format_datetime(parsedate_to_datetime(modified).replace(year=2020), usegmt=True)
    for headers, status in [
        ({"if-match": etag}, 200),
        ({"if-match": etag.strip('"')}, 200),
        ({"if-match": f"W/{etag}"}, 200),
        ({"if-match": f'"x", {etag}'}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"x"'}, 412),
        ({"if-none-match": etag}, 304),
        ({"if-none-match": etag.strip('"')}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"x"'}, 200),
        ({"if-modified-since": modified}, 304),
        ({"if-modified-since": earlier}, 200),
        ({"if-modified-since": "nonsense"}, 200),
        ({"if-unmodified-since": modified}, 200),
        ({"if-unmodified-since": earlier}, 412),
        ({"if-match": etag, "if-unmodified-since": earlier}, 200),
        ({"if-none-match": '"x"', "if-modified-since": modified}, 200),
        ({"if-match": etag, "range": "bytes=0-1"}, 206),
        ({"if-match": '"x"', "range": "bytes=0-1"}, 412),
        ({"if-match": '"x"', "range": "bytes=99999999-"}, 412),
        ({"if-range": etag, "range": "bytes=0-1"}, 206),
        ({"if-range": '"x"', "range": "bytes=0-1"}, 200),
    ]:
        for method in ("GET", "HEAD"):
            answer = files.ask(method, "/done/raw", headers=headers)
            assert answer.status == status, (method, headers)
            assert method == "GET" or answer.body == b""


@both_pairs
def test_a_connection_lives_on_after_304_and_errors(files: Client) -> None:
    """Trap 8: no body after 304, exactly Content-Length after an error."""
    connection = files.connect()
    assert files.get("/done/raw", {"if-none-match": "*"}).status == 304
    assert files.get("/done/absent").code == "NoSuchKey"
    assert files.get("/done/raw", {"if-match": "x"}).code == "PreconditionFailed"
    assert files.head("/done/absent").status == 404
    assert files.get("/done/small").body == b"0123456789"
    assert files.connect() is connection


def test_query_overrides_replace_headers(files: Client) -> None:
    """Trap 39: presigned links of browsers."""
    target = (
        "/done/small?response-content-type=text%2Fx&response-content-disposition=attachment%3B+filename%3D%22a%22"
        "&response-cache-control=no-store&response-content-language=de&response-content-encoding=br"
        "&response-expires=never"
    )
    for method in ("GET", "HEAD"):
        headers = files.ask(method, target).headers
        assert headers["content-type"] == "text/x"
        assert headers["content-disposition"] == 'attachment; filename="a"'
        assert headers["cache-control"] == "no-store"
        assert headers["content-language"] == "de"
        assert headers["content-encoding"] == "br"
        assert headers["expires"] == "never"
    refused = files.get("/done/small?response-content-type=a%0d%0aSet-Cookie:%20x")
    assert (refused.status, refused.code) == (400, "InvalidArgument")


def test_part_number_reads_the_part_as_it_was_uploaded(labs: Client) -> None:
    first, second = b"a" * (5 * MIB), CSV[:30_001]
    labs.upload("/labs/parts", {1: first, 2: second})
    labs.put("/labs/small", b"0123456789")
    labs.put("/labs/empty", b"")
    answer = labs.get("/labs/parts?partNumber=2")
    assert (answer.status, answer.body) == (206, second)
    assert answer.headers["x-amz-mp-parts-count"] == "2"
    assert (
        answer.headers["content-range"]
        == f"bytes {len(first)}-{len(first + second) - 1}/{len(first + second)}"
    )
    assert labs.head("/labs/parts?partNumber=1").headers["content-length"] == str(len(first))
    assert labs.get("/labs/small?partNumber=1").body == b"0123456789"
    assert labs.get("/labs/empty?partNumber=1").body == b""
    for target, status, code in [
        ("/labs/parts?partNumber=3", 416, "InvalidPartNumber"),
        ("/labs/parts?partNumber=0", 400, "InvalidArgument"),
        ("/labs/parts?partNumber=x", 400, "InvalidArgument"),
    ]:
        answer = labs.get(target)
        assert (answer.status, answer.code) == (status, code)
    both = labs.get("/labs/parts?partNumber=1", {"range": "bytes=0-1"})
    assert both.code == "InvalidRequest"


def test_a_checksum_is_shown_for_a_whole_object_and_never_for_a_range(labs: Client) -> None:
    """Trap 38: clients verify what they got against it."""
    crc = base64.b64encode(zlib.crc32(RAW).to_bytes(4, "big")).decode()
    put = labs.put("/labs/k", RAW, {"x-amz-checksum-crc32": crc, "x-amz-sdk-checksum-algorithm": "CRC32"})
    assert put.headers["x-amz-checksum-crc32"] == crc
    enabled = {"x-amz-checksum-mode": "ENABLED"}
    for method in ("GET", "HEAD"):
        shown = labs.ask(method, "/labs/k", headers=enabled).headers
        assert shown["x-amz-checksum-crc32"] == crc
        assert shown["x-amz-checksum-type"] == "FULL_OBJECT"
        assert "x-amz-checksum-crc32" not in labs.ask(method, "/labs/k").headers
        ranged = labs.ask(method, "/labs/k", headers=enabled | {"range": "bytes=0-9"}).headers
        assert not [name for name in ranged if name.startswith("x-amz-checksum")]


def test_a_composite_checksum_is_never_shown(labs: Client) -> None:
    upload = labs.create_upload("/labs/k", {"x-amz-checksum-algorithm": "CRC32"})
    etag = labs.put_part("/labs/k", upload, 1, b"part")
    completed = labs.complete("/labs/k", upload, [(1, etag)])
    assert completed.text("ChecksumType") == "COMPOSITE"
    headers = labs.get("/labs/k", {"x-amz-checksum-mode": "ENABLED"}).headers
    assert not [name for name in headers if name.startswith("x-amz-checksum")]


def test_attributes_tell_what_is_stored(labs: Client) -> None:
    labs.upload("/labs/parts", {1: b"a" * (5 * MIB), 2: b"b"})
    wanted = {"x-amz-object-attributes": "ETag,ObjectSize,ObjectParts,StorageClass,Checksum"}
    answer = labs.get("/labs/parts?attributes", wanted)
    assert answer.text("ObjectSize") == str(5 * MIB + 1)
    assert f'"{answer.text("ETag")}"' == labs.head("/labs/parts").etag
    assert answer.texts("ObjectParts/PartsCount") + answer.texts("ObjectParts/TotalPartsCount") == ["2"]
    assert "last-modified" in answer.headers
    assert labs.get("/labs/parts?attributes").code == "InvalidArgument"


def test_metadata_survives_put_head_and_get(labs: Client) -> None:
    """Trap 35."""
    headers = {
        "content-type": "text/csv; charset=utf-8",
        "cache-control": "max-age=5",
        "content-disposition": "inline",
        "content-encoding": "gzip",
        "content-language": "de",
        "expires": "Wed, 21 Oct 2026 07:28:00 GMT",
        "x-amz-meta-mtime": "1700000000.5",
        "X-Amz-Meta-Upper": "Value",
        "x-amz-meta-empty": "",
    }
    labs.put("/labs/k", b"data", headers)
    for method in ("GET", "HEAD"):
        found = labs.ask(method, "/labs/k").headers
        for name, value in headers.items():
            assert found[name.lower()] == value
        assert "content-md5" not in found, "trap 27: S3A copies it into the COPY request"
        assert "x-amz-version-id" not in found, "trap 33: rclone follows it"


def test_metadata_that_is_not_ascii_comes_back_as_it_was_sent(labs: Client) -> None:
    labs.put("/labs/k", b"data", {"x-amz-meta-name": "grün".encode()})
    assert labs.head("/labs/k").headers["x-amz-meta-name"].encode("latin-1") == "grün".encode()


def test_the_default_content_type_is_amazons(labs: Client) -> None:
    labs.put("/labs/k", b"data")
    assert labs.head("/labs/k").headers["content-type"] == "binary/octet-stream"


@both_pairs
def test_bodies_are_never_compressed_for_the_wire(files: Client) -> None:
    """Trap 9: Go clients send Accept-Encoding."""
    answer = files.get("/done/csv", {"accept-encoding": "gzip, deflate"})
    assert "content-encoding" not in answer.headers
    assert answer.body == CSV


@both_pairs
def test_a_client_that_goes_away_mid_body_hurts_nobody(labs: Client) -> None:
    """Trap 7: S3A aborts the connection on every seek."""
    labs.put("/labs/big", noise(MIB) * 12)
    for _ in range(3):
        connection = labs.connect()
        connection.sendall(Client.render_head("GET", "/labs/big"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        labs.close()
    assert labs.get("/labs/big", {"range": "bytes=-5"}).status == 206


def test_reads_of_an_input_come_from_memory_the_second_time_and_are_the_same(job: Job) -> None:
    for _ in range(3):
        assert job.client.get("/inp/a.txt").body == b"hello, world\n"
        assert job.client.get("/inp/dir/sub/c.csv", {"range": "bytes=5-50"}).body == csv(3_000)[5:51]
        assert job.client.get("/inp/tail.bin").body == noise(200_000, "tail")
        assert job.client.get("/inp/a.txt", {"if-match": "x"}).code == "PreconditionFailed"


def test_what_is_read_from_an_open_bucket_is_never_stale(labs: Client) -> None:
    for version in range(5):
        etag = labs.put("/labs/k", f"version {version}".encode()).etag
        answer = labs.get("/labs/k")
        assert (answer.etag, answer.body) == (etag, f"version {version}".encode())


def test_get_ignores_a_body_length_of_zero_and_a_content_type(files: Client) -> None:
    """SDK v1 sends both on GET."""
    answer = files.ask("GET", "/done/small", b"", {"content-type": "application/octet-stream"})
    assert answer.body == b"0123456789"


def test_framed_uploads_read_back_like_plain_ones(labs: Client) -> None:
    body = aws_chunked(CSV, sizes=(1, 7, 60_000), signed=True)
    framed = labs.put(
        "/labs/framed",
        body,
        {
            "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "x-amz-decoded-content-length": str(len(CSV)),
        },
    )
    assert framed.etag == labs.put("/labs/plain", CSV).etag
    assert labs.get("/labs/framed").body == CSV

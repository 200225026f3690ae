"""The multipart family, from create to complete, in any order and more than once."""

from __future__ import annotations

import base64
import contextlib
import itertools
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_harness import MIB, Client, Clock, Job, complete_document, noise

from sidegate.gateway import uploads
from sidegate.pfs import compression
from sidegate.pfs.store import Store
from sidegate.s3.documents import parse_complete
from sidegate.s3.multipart import CompleteUploadRequest

FIVE = noise(5 * MIB, "five")
UNEVEN = {1: FIVE, 2: FIVE + b"more" * 1000, 7: FIVE[:-1] + b"xy", 9: b"tail"}


def test_uneven_parts_with_gaps_in_any_order(labs: Client) -> None:
    """Trap 29: DuckDB and opendal send uneven parts."""
    upload = labs.create_upload("/labs/k", {"content-type": "text/x", "x-amz-meta-a": "1"})
    etags = {number: labs.put_part("/labs/k", upload, number, UNEVEN[number]) for number in (9, 2, 7, 1)}
    answer = labs.complete("/labs/k", upload, sorted(etags.items()))
    assert answer.status == 200
    content = b"".join(UNEVEN.values())
    got = labs.get("/labs/k")
    assert got.body == content
    assert answer.text("ETag") == got.etag
    assert got.etag.endswith('-4"')
    assert (answer.text("Bucket"), answer.text("Key"), answer.text("Location")) == ("labs", "k", "/labs/k")
    assert (got.headers["content-type"], got.headers["x-amz-meta-a"]) == ("text/x", "1")
    offset = len(FIVE) - 5
    assert (
        labs.get("/labs/k", {"range": f"bytes={offset}-{offset + 9}"}).body == content[offset : offset + 10]
    )


@pytest.mark.parametrize("content", [b"", b"abc"])
def test_a_single_part_of_any_size(labs: Client, content: bytes) -> None:
    """pyarrow and torch upload 3 bytes in parts."""
    labs.upload("/labs/k", {1: content})
    assert labs.get("/labs/k").body == content


def test_nothing_is_visible_before_complete(labs: Client, store: Store) -> None:
    upload = labs.create_upload("/labs/k")
    labs.put_part("/labs/k", upload, 1, b"part")
    assert labs.keys("labs") == []
    assert labs.head("/labs/k").status == 404
    assert store.stagings.find_open("labs", "master") is None


def test_a_part_sent_again_replaces_the_first(labs: Client) -> None:
    upload = labs.create_upload("/labs/k")
    first = labs.put_part("/labs/k", upload, 1, b"first")
    second = labs.put_part("/labs/k", upload, 1, b"second")
    assert labs.complete("/labs/k", upload, [(1, first)]).code == "InvalidPart"
    assert labs.complete("/labs/k", upload, [(1, second)]).status == 200
    assert labs.get("/labs/k").body == b"second"


def test_only_the_named_parts_count(labs: Client) -> None:
    upload = labs.create_upload("/labs/k")
    etags = [labs.put_part("/labs/k", upload, number, bytes([64 + number])) for number in (1, 2, 3)]
    assert labs.complete("/labs/k", upload, [(2, etags[1])]).status == 200
    assert labs.get("/labs/k").body == b"B"


def test_a_bad_complete_changes_nothing_and_can_be_repaired(labs: Client) -> None:
    labs.put("/labs/k", b"before")
    upload = labs.create_upload("/labs/k")
    one, two = (labs.put_part("/labs/k", upload, number, b"small") for number in (1, 2))
    for document, code in [
        (complete_document([(1, one), (2, two)]), "EntityTooSmall"),
        (complete_document([(1, '"wrong"')]), "InvalidPart"),
        (complete_document([(3, one)]), "InvalidPart"),
        (complete_document([(2, two), (1, one)]), "InvalidPartOrder"),
        (complete_document([(1, one), (1, one)]), "InvalidPartOrder"),
        (complete_document([]), "MalformedXML"),
        (complete_document([(0, one)]), "InvalidArgument"),
        (complete_document([(10_001, one)]), "InvalidArgument"),
        (b"", "MalformedXML"),
        (b"<CompleteMultipartUpload>", "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (b"<CompleteMultipartUpload><Part/></CompleteMultipartUpload>", "MalformedXML"),
        (b"x" * (9 * MIB), "MaxMessageLengthExceeded"),
    ]:
        answer = labs.ask("POST", f"/labs/k?uploadId={upload}", document)
        assert (answer.status, answer.code) == (400, code), document[:80]
    assert labs.get("/labs/k").body == b"before"
    assert labs.get(f"/labs/k?uploadId={upload}").texts("Part/PartNumber") == ["1", "2"]
    assert labs.complete("/labs/k", upload, [(2, two)]).status == 200


def test_complete_documents_come_in_many_spellings(labs: Client) -> None:
    """Trap 30: quoted, bare, with entities, with namespace and extra elements."""
    for form in ('"{}"', "{}", "&quot;{}&quot;", "&#34;{}&#34;"):
        upload = labs.create_upload("/labs/k")
        etag = labs.put_part("/labs/k", upload, 1, b"data").strip('"')
        document = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">\n  <Part>'
            f"<ETag> {form.format(etag)} </ETag> <ChecksumMD7>x</ChecksumMD7><PartNumber> 1 </PartNumber>"
            "</Part>\n</CompleteMultipartUpload>\n"
        )
        assert labs.ask("POST", f"/labs/k?uploadId={upload}", document.encode()).status == 200, form


# -- the same Complete again ----------------------------------------------------


def test_complete_again_gives_the_same_answer(labs: Client, clock: Clock) -> None:
    """Trap 31: 11 of 12 clients send it again when the answer was lost."""
    upload = labs.create_upload("/labs/k")
    etag = labs.put_part("/labs/k", upload, 1, b"data")
    first = labs.complete("/labs/k", upload, [(1, etag)])
    before = labs.snapshot("labs")
    clock.advance(60)
    again = labs.complete("/labs/k", upload, [(1, etag)])
    assert (again.status, again.body) == (200, first.body)
    assert labs.snapshot("labs") == before


def test_complete_again_with_other_parts_is_another_request(labs: Client) -> None:
    upload = labs.create_upload("/labs/k")
    etags = [labs.put_part("/labs/k", upload, number, b"x" * (5 << 20)) for number in (1, 2)]
    assert labs.complete("/labs/k", upload, [(1, etags[0]), (2, etags[1])]).status == 200
    again = labs.complete("/labs/k", upload, [(1, etags[0])])
    assert (again.status, again.code) == (404, "NoSuchUpload")
    assert labs.get("/labs/k").headers["content-length"] == str(10 << 20)


def test_complete_again_never_brings_back_what_was_overwritten(labs: Client, store: Store) -> None:
    upload = labs.create_upload("/labs/k")
    etag = labs.put_part("/labs/k", upload, 1, b"data")
    first = labs.complete("/labs/k", upload, [(1, etag)])
    labs.put("/labs/k", b"newer")
    again = labs.complete("/labs/k", upload, [(1, etag)])
    assert (again.status, again.body) == (200, first.body)
    assert labs.get("/labs/k").body == b"newer"
    labs.delete("/labs/k")
    store.finish_open("labs", "master")
    assert labs.complete("/labs/k", upload, [(1, etag)]).status == 200
    assert labs.keys("labs") == []


def test_complete_if_none_match_again_is_no_conflict_with_itself(labs: Client) -> None:
    upload = labs.create_upload("/labs/k")
    etag = labs.put_part("/labs/k", upload, 1, b"data")
    for _ in range(2):
        assert labs.complete("/labs/k", upload, [(1, etag)], {"if-none-match": "*"}).status == 200
    other = labs.create_upload("/labs/k")
    etag = labs.put_part("/labs/k", other, 1, b"other")
    refused = labs.complete("/labs/k", other, [(1, etag)], {"if-none-match": "*"})
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    assert labs.get("/labs/k").body == b"data"
    assert labs.get(f"/labs/k?uploadId={other}").texts("Part/PartNumber") == ["1"]


@pytest.mark.parametrize("headers", [{}, {"if-none-match": "*"}])
def test_the_same_complete_twice_at_once_succeeds_twice(
    labs: Client, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """A client lost patience and asks again while the first one still works."""
    upload = labs.create_upload("/labs/k")
    etag = labs.put_part("/labs/k", upload, 1, b"data")
    meeting = threading.Barrier(2, timeout=10)
    find = uploads._find

    def find_together(*arguments: object) -> object:
        found = find(*arguments)  # type: ignore[arg-type]
        if found.result is None and not meeting.broken:
            with contextlib.suppress(threading.BrokenBarrierError):
                meeting.wait()
        return found

    monkeypatch.setattr(uploads, "_find", find_together)

    def complete(client: Client) -> tuple[int, bytes]:
        answer = client.complete("/labs/k", upload, [(1, etag)], headers)
        return answer.status, answer.body

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(complete, [labs, labs.another()])
    assert first == second
    assert first[0] == 200
    assert labs.get("/labs/k").body == b"data"


def test_an_upload_is_over_once_completed_or_aborted(labs: Client) -> None:
    for end in ("complete", "abort"):
        upload = labs.create_upload("/labs/k")
        etag = labs.put_part("/labs/k", upload, 1, b"data")
        if end == "complete":
            labs.complete("/labs/k", upload, [(1, etag)])
        else:
            assert labs.delete(f"/labs/k?uploadId={upload}").status == 204
            assert labs.complete("/labs/k", upload, [(1, etag)]).code == "NoSuchUpload"
        for method, target, body in [
            ("PUT", f"/labs/k?partNumber=1&uploadId={upload}", b"late"),
            ("DELETE", f"/labs/k?uploadId={upload}", None),
            ("GET", f"/labs/k?uploadId={upload}", None),
        ]:
            answer = labs.ask(method, target, body)
            assert (answer.status, answer.code) == (404, "NoSuchUpload"), (end, method)
        assert labs.get("/labs?uploads").texts("Upload/Key") == []
    assert labs.get("/labs/k").body == b"data"


@pytest.mark.parametrize("ending", ["completed", "aborted"])
def test_parts_of_an_upload_that_was_ended_elsewhere_are_refused(
    labs: Client, store: Store, ending: str
) -> None:
    """Another worker process did it; what is remembered here does not know."""
    upload = labs.create_upload("/labs/k")
    labs.put_part("/labs/k", upload, 1, b"part")
    with Store.open(store.directory) as other:
        if ending == "completed":
            other.uploads.complete(upload, {"tag": "x-1", "parts": "", "checksums": []})
        else:
            other.uploads.abort(upload)
    for _ in range(2):
        answer = labs.ask("PUT", f"/labs/k?partNumber=2&uploadId={upload}", b"more")
        assert (answer.status, answer.code) == (404, "NoSuchUpload")
        assert answer.text("UploadId") == upload


def test_a_complete_of_what_was_ended_elsewhere_is_answered_as_ever(labs: Client, store: Store) -> None:
    aborted, completed = labs.create_upload("/labs/k"), labs.create_upload("/labs/k")
    etag, _ = (labs.put_part("/labs/k", upload, 1, b"part") for upload in (aborted, completed))
    parts = [(1, etag)]
    with Store.open(store.directory) as other:
        other.uploads.abort(aborted)
        digest = uploads._parts_digest(
            CompleteUploadRequest("", parse_complete(complete_document(parts)), None)
        )
        other.uploads.complete(completed, {"tag": "x-1", "parts": digest, "checksums": []})
    assert labs.complete("/labs/k", aborted, parts).code == "NoSuchUpload"
    again = labs.complete("/labs/k", completed, parts)
    assert (again.status, again.text("ETag")) == (200, '"x-1"')
    assert labs.get("/labs/k").status == 404, "what was completed elsewhere went elsewhere"


def test_an_upload_belongs_to_its_key(labs: Client) -> None:
    upload = labs.create_upload("/labs/k")
    etag = labs.put_part("/labs/k", upload, 1, b"data")
    assert labs.complete("/labs/other", upload, [(1, etag)]).code == "NoSuchUpload"
    assert labs.ask("PUT", f"/labs/other?partNumber=1&uploadId={upload}", b"x").code == "NoSuchUpload"
    assert labs.get(f"/labs/other?uploadId={upload}").code == "NoSuchUpload"


@pytest.mark.parametrize("number", ["0", "10001", "x", "-1", ""])
def test_a_bad_part_number_is_refused(labs: Client, number: str) -> None:
    upload = labs.create_upload("/labs/k")
    answer = labs.ask("PUT", f"/labs/k?partNumber={number}&uploadId={upload}", b"data")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


# -- listings -------------------------------------------------------------------


def test_parts_are_listed_by_number_in_pages(labs: Client) -> None:
    upload = labs.create_upload("/labs/k")
    for number in (10, 9, 1, 100, 2):
        labs.put_part("/labs/k", upload, number, b"x" * number)
    answer = labs.get(f"/labs/k?uploadId={upload}")
    assert answer.texts("Part/PartNumber") == ["1", "2", "9", "10", "100"]
    assert answer.texts("Part/Size") == ["1", "2", "9", "10", "100"]
    page = labs.get(f"/labs/k?uploadId={upload}&max-parts=2&part-number-marker=1")
    assert page.texts("Part/PartNumber") == ["2", "9"]
    assert (page.text("IsTruncated"), page.text("NextPartNumberMarker")) == ("true", "9")


def test_open_uploads_are_listed_by_prefix_delimiter_and_marker(labs: Client, clock: Clock) -> None:
    """Trap 37: MinIO refuses prefixes, and abort-pending breaks."""
    ids = {key: labs.create_upload(f"/labs/{key}") for key in ("b/2", "a/1", "b/1", "c")}
    clock.advance(1)
    second = labs.create_upload("/labs/b/1")
    assert labs.get("/labs?uploads").texts("Upload/Key") == ["a/1", "b/1", "b/1", "b/2", "c"]
    assert labs.get("/labs?uploads&prefix=b/").texts("Upload/Key") == ["b/1", "b/1", "b/2"]
    rolled = labs.get("/labs?uploads&delimiter=/")
    assert rolled.texts("Upload/Key") == ["c"]
    assert rolled.texts("CommonPrefixes/Prefix") == ["a/", "b/"]
    page = labs.get("/labs?uploads&max-uploads=2")
    assert page.text("IsTruncated") == "true"
    marker = f"&key-marker={page.text('NextKeyMarker')}&upload-id-marker={page.text('NextUploadIdMarker')}"
    rest = labs.get(f"/labs?uploads{marker}")
    assert rest.texts("Upload/Key") == ["b/1", "b/2", "c"]
    assert rest.texts("Upload/UploadId")[0] == max(second, ids["b/1"])


# -- checksums --------------------------------------------------------------------


def crc32(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def test_checksums_of_parts_make_the_objects(labs: Client) -> None:
    """boto3's default is COMPOSITE, the CLI's FULL_OBJECT."""
    parts = {1: FIVE, 2: b"tail"}
    joined = base64.b64decode(crc32(FIVE)) + base64.b64decode(crc32(b"tail"))
    for kind, expected in [("COMPOSITE", f"{crc32(joined)}-2"), ("FULL_OBJECT", crc32(FIVE + b"tail"))]:
        headers = {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": kind}
        upload = labs.create_upload("/labs/k", headers)
        etags = [
            (number, labs.put_part("/labs/k", upload, number, body, {"x-amz-checksum-crc32": crc32(body)}))
            for number, body in parts.items()
        ]
        wrong = labs.complete("/labs/k", upload, etags, {"x-amz-checksum-crc32": crc32(b"x")})
        assert (wrong.status, wrong.code) == (400, "BadDigest")
        right = labs.complete("/labs/k", upload, etags, {"x-amz-checksum-crc32": expected})
        assert (right.status, right.text("ChecksumCRC32"), right.text("ChecksumType")) == (
            200,
            expected,
            kind,
        )


def test_a_part_whose_checksum_is_named_wrongly_is_invalid(labs: Client) -> None:
    upload = labs.create_upload("/labs/k", {"x-amz-checksum-algorithm": "CRC32"})
    etag = labs.put_part("/labs/k", upload, 1, b"data")
    document = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>"
        f"<ChecksumCRC32>{crc32(b'other')}</ChecksumCRC32></Part></CompleteMultipartUpload>"
    )
    assert labs.ask("POST", f"/labs/k?uploadId={upload}", document.encode()).code == "InvalidPart"


def test_the_announced_object_size_is_verified(labs: Client) -> None:
    """CRT sends x-amz-mp-object-size."""
    upload = labs.create_upload("/labs/k")
    etag = labs.put_part("/labs/k", upload, 1, b"data")
    answer = labs.complete("/labs/k", upload, [(1, etag)], {"x-amz-mp-object-size": "5"})
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert labs.complete("/labs/k", upload, [(1, etag)], {"x-amz-mp-object-size": "4"}).status == 200


def test_parts_are_one_stream_to_whoever_asks_whether_they_compress(
    labs: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    sample_pays = compression._sample_pays
    monkeypatch.setattr(
        compression, "_sample_pays", lambda *sample: (asked.append(1), sample_pays(*sample))[1]
    )
    labs.upload("/labs/k", {number: noise(5 * MIB, number) for number in range(1, 7)})
    assert 0 < len(asked) <= 6, "each part alone asks at least twice"


# -- parts made of ranges ---------------------------------------------------------


@pytest.mark.usefixtures("small_chunks")
def test_ranges_that_begin_inside_chunks_join_to_the_same_file(labs: Client, store: Store) -> None:
    """Equal bytes have equal hashes, however they came (design, section 3)."""
    big = noise(400_000, "big") * 14
    labs.put("/labs/source", big)
    cuts = [0, 5 * MIB + 12_345, len(big)]
    upload = labs.create_upload("/labs/joined")
    etags = []
    for number, (first, end) in enumerate(itertools.pairwise(cuts), 1):
        headers = {"x-amz-copy-source": "/labs/source", "x-amz-copy-source-range": f"bytes={first}-{end - 1}"}
        answer = labs.ask("PUT", f"/labs/joined?partNumber={number}&uploadId={upload}", b"", headers)
        assert answer.status == 200, answer.body
        etags.append((number, answer.text("ETag")))
    assert labs.complete("/labs/joined", upload, etags).status == 200
    assert labs.get("/labs/joined").body == big
    before = labs.snapshot("labs")
    (commit,) = store.finish_open("labs", "master")
    tree = store.tree(commit)
    source, joined = tree.get("source"), tree.get("joined")
    assert source is not None
    assert joined is not None
    assert joined.content_hash == source.content_hash is not None
    assert joined.tag != source.tag
    assert labs.snapshot("labs") == before
    assert labs.get("/labs/joined").body == big
    assert labs.get("/labs/joined", {"range": "bytes=5255000-5255999"}).body == big[5255000:5256000]


def test_a_whole_source_and_mixed_parts(own_reads_job: Job) -> None:
    client = own_reads_job.client
    upload = client.create_upload("/out/k")
    first = client.put_part("/out/k", upload, 1, FIVE)
    headers = {"x-amz-copy-source": "/inp/dir/sub/c.csv"}
    second = client.ask("PUT", f"/out/k?partNumber=2&uploadId={upload}", b"", headers).text("ETag")
    assert client.complete("/out/k", upload, [(1, first), (2, second)]).status == 200
    assert client.get("/out/k").body == FIVE + client.get("/inp/dir/sub/c.csv").body


def test_a_bad_part_copy_is_refused(labs: Client, store: Store) -> None:
    labs.put("/labs/source", b"0123456789")
    upload = labs.create_upload("/labs/k")
    target = f"/labs/k?partNumber=1&uploadId={upload}"
    source = {"x-amz-copy-source": "/labs/source"}
    for headers, status, code in [
        (source | {"x-amz-copy-source-range": "bytes=0-10"}, 400, "InvalidArgument"),
        (source | {"x-amz-copy-source-range": "bytes=5-"}, 400, "InvalidArgument"),
        (source | {"x-amz-copy-source-range": "bytes=-5"}, 400, "InvalidArgument"),
        (source | {"x-amz-copy-source-range": "bytes=6-5"}, 400, "InvalidArgument"),
        (source | {"x-amz-copy-source-if-match": "x"}, 412, "PreconditionFailed"),
        ({"x-amz-copy-source": "/labs/absent"}, 404, "NoSuchKey"),
        ({"x-amz-copy-source": "/nowhere/k"}, 404, "NoSuchBucket"),
    ]:
        answer = labs.ask("PUT", target, b"", headers)
        assert (answer.status, answer.code) == (status, code), headers
    assert labs.get(f"/labs/k?uploadId={upload}").texts("Part/PartNumber") == []
    assert labs.ask("PUT", target.replace(upload, "0" * 32), b"", source).code == "NoSuchUpload"


@pytest.mark.usefixtures("small_chunks")
def test_parts_and_one_put_of_the_same_bytes_are_the_same_file(labs: Client, store: Store) -> None:
    content = noise(300_000, "p") * 18
    labs.upload("/labs/parts", {1: content[: 5 * MIB + 1], 2: content[5 * MIB + 1 :]})
    labs.put("/labs/whole", content)
    (commit,) = store.finish_open("labs", "master")
    records = dict(store.tree(commit).files())
    assert records["parts"].tag != records["whole"].tag
    assert records["parts"].content_hash == records["whole"].content_hash is not None


def test_a_complete_reads_parts_only_when_it_must(
    labs: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that this process stored itself are in memory; which of them are named is another matter."""
    reads = []
    part_rows = store.uploads.part_rows

    def counting(upload: str, after: int = 0) -> Sequence[tuple[int, bytes]]:
        reads.append(upload)
        return part_rows(upload, after)

    monkeypatch.setattr(store.uploads, "part_rows", counting)
    uploads = [labs.create_upload("/labs/k") for _ in range(3)]
    etags = [
        {number: labs.put_part("/labs/k", upload, number, UNEVEN[number]) for number in (2, 1)}
        for upload in uploads
    ]
    assert labs.complete("/labs/k", uploads[0], sorted(etags[0].items())).status == 200
    assert labs.get("/labs/k").body == UNEVEN[1] + UNEVEN[2]
    assert reads == []
    assert labs.complete("/labs/k", uploads[1], [(2, etags[1][2])]).status == 200
    assert labs.get("/labs/k").body == UNEVEN[2]
    assert reads == [uploads[1]]
    with Store.open(store.directory) as other:
        (_, taken), *_ = other.uploads.parts(uploads[2])
        other.uploads.put_part(uploads[2], 3, taken)
    assert labs.complete("/labs/k", uploads[2], [*sorted(etags[2].items()), (3, etags[2][1])]).status == 200
    assert labs.get("/labs/k").body == UNEVEN[1] + UNEVEN[2] + UNEVEN[1]
    assert reads == uploads[1:]

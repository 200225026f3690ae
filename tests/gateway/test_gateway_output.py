"""`out`, request by request: the table of the clients study, section 8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from gateway_harness import PAIRS, Answer, Job, complete_document, delete_document

MARKER_LENGTH = "x-amz-meta-x-hadoop-s3a-magic-data-length"
PENDING = "dest/__magic_job-1/job-1/tasks/t/part-0.pending"
PENDINGSET = "dest/__magic/job-1/task_0.pendingset"


@dataclass(frozen=True)
class Row:
    """One request on an `out` that holds `k`, `dir/`, and a committer's control files."""

    name: str
    method: str
    target: str
    status: int
    code: str | None = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    own_reads: int | None = None
    """The status under own-reads, where it differs; the code is None then."""


ROWS = [
    Row("head bucket", "HEAD", "/out", 200),
    Row("head bucket with slash", "HEAD", "/out/", 200),
    Row("location", "GET", "/out?location", 200),
    Row("location with empty value", "GET", "/out?location=", 200),
    Row("create out", "PUT", "/out", 200, body=b""),
    Row("create out with slash", "PUT", "/out/", 200, body=b""),
    Row("create another bucket", "PUT", "/elsewhere", 403, "AccessDenied", b""),
    Row("create an input", "PUT", "/inp", 403, "AccessDenied", b""),
    Row("delete bucket", "DELETE", "/out", 403, "AccessDenied"),
    Row("put policy", "PUT", "/out?policy", 403, "AccessDenied", b"<Policy/>"),
    Row("put lifecycle", "PUT", "/out?lifecycle", 403, "AccessDenied", b"<L/>"),
    Row("put versioning", "PUT", "/out?versioning", 403, "AccessDenied", b"<V/>"),
    Row("put encryption", "PUT", "/out?encryption", 403, "AccessDenied", b"<E/>"),
    Row("delete lifecycle", "DELETE", "/out?lifecycle", 403, "AccessDenied"),
    Row("put replication", "PUT", "/out?replication", 501, "NotImplemented", b"<R/>"),
    Row("put inventory", "PUT", "/out?inventory&id=1", 501, "NotImplemented", b"<I/>"),
    Row("get versioning", "GET", "/out?versioning", 200),
    Row("get object-lock", "GET", "/out?object-lock", 404, "ObjectLockConfigurationNotFoundError"),
    Row("get encryption", "GET", "/out?encryption", 404, "ServerSideEncryptionConfigurationNotFoundError"),
    Row("get policy", "GET", "/out?policy", 404, "NoSuchBucketPolicy"),
    Row("get cors", "GET", "/out?cors", 404, "NoSuchCORSConfiguration"),
    Row("get lifecycle", "GET", "/out?lifecycle", 404, "NoSuchLifecycleConfiguration"),
    Row("get bucket tagging", "GET", "/out?tagging", 404, "NoSuchTagSet"),
    Row("get acl", "GET", "/out?acl", 200),
    Row("list v1", "GET", "/out", 200),
    Row("list v2", "GET", "/out?list-type=2&delimiter=%2F&prefix=dest%2F&max-keys=2", 200),
    Row("list v2 empty parameters", "GET", "/out/?list-type=2&delimiter=&prefix=&start-after=", 200),
    Row("list uploads", "GET", "/out?uploads", 200),
    Row("list uploads of a prefix", "GET", "/out/?uploads=&prefix=dest/", 200),
    Row("list versions", "GET", "/out?versions", 501, "NotImplemented"),
    Row("list parts of no upload", "GET", "/out/k?uploadId=nope", 404, "NoSuchUpload"),
    Row("head own object", "HEAD", "/out/k", 200),
    Row("head marker", "HEAD", "/out/dir/", 200),
    Row("head absent object", "HEAD", "/out/absent", 404),
    Row("get control file", "GET", f"/out/{PENDING}", 200),
    Row("get control file set", "GET", f"/out/{PENDINGSET}", 200),
    Row("get range of control file", "GET", f"/out/{PENDING}", 206, headers={"range": "bytes=0-1"}),
    Row("get own object", "GET", "/out/k", 403, "AccessDenied", own_reads=200),
    Row(
        "get range of own object",
        "GET",
        "/out/k",
        403,
        "AccessDenied",
        headers={"range": "bytes=0-1"},
        own_reads=206,
    ),
    Row("get a user's own .pending", "GET", "/out/orders.pending", 403, "AccessDenied", own_reads=200),
    Row(
        "get what only looks like magic", "GET", "/out/x__magic/a.pending", 403, "AccessDenied", own_reads=200
    ),
    Row("get absent object", "GET", "/out/absent", 404, "NoSuchKey"),
    Row("get absent control file", "GET", "/out/__magic/x/none.pending", 404, "NoSuchKey"),
    Row(
        "attributes", "GET", "/out/k?attributes", 200, headers={"x-amz-object-attributes": "ETag,ObjectSize"}
    ),
    Row(
        "attributes of absent",
        "GET",
        "/out/absent?attributes",
        404,
        "NoSuchKey",
        headers={"x-amz-object-attributes": "ETag"},
    ),
    Row("tagging", "GET", "/out/k?tagging", 200),
    Row("tagging of absent", "GET", "/out/absent?tagging", 404, "NoSuchKey"),
    Row("object acl", "GET", "/out/k?acl", 200),
    Row("object acl of absent", "GET", "/out/absent?acl", 404, "NoSuchKey"),
    Row("retention", "GET", "/out/k?retention", 404, "NoSuchObjectLockConfiguration"),
    Row("select", "POST", "/out/k?select&select-type=2", 501, "NotImplemented", b"<x/>"),
    Row("torrent", "GET", "/out/k?torrent", 501, "NotImplemented"),
    Row("put", "PUT", "/out/new", 200, body=b"data"),
    Row("put marker", "PUT", "/out/newdir/", 200, body=b""),
    Row("put if absent, absent", "PUT", "/out/new", 200, body=b"d", headers={"if-none-match": "*"}),
    Row(
        "put if absent, there",
        "PUT",
        "/out/k",
        412,
        "PreconditionFailed",
        b"d",
        headers={"if-none-match": "*"},
    ),
    Row("put if match, other", "PUT", "/out/k", 412, "PreconditionFailed", b"d", headers={"if-match": '"x"'}),
    Row("put if match, absent", "PUT", "/out/absent", 404, "NoSuchKey", b"d", headers={"if-match": '"x"'}),
    *(
        Row(f"put with {name}", "PUT", "/out/new", 200, body=b"d", headers={name: value})
        for name, value in [
            ("x-amz-acl", "private"),
            ("x-amz-storage-class", "STANDARD"),
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-tagging", "a=b"),
            ("x-amz-object-annotation-directive", "EXCLUDE"),
        ]
    ),
    *(
        Row(f"put with {name}", "PUT", "/out/new", 501, "NotImplemented", b"d", headers={name: value})
        for name, value in [
            ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-object-lock-mode", "GOVERNANCE"),
        ]
    ),
    Row("create upload", "POST", "/out/new?uploads", 200, body=b""),
    Row("create upload with empty value", "POST", "/out/new?uploads=", 200, body=b""),
    Row("create upload at the root", "POST", "/out/?uploads", 400, "InvalidRequest", b""),
    Row("part of no upload", "PUT", "/out/new?partNumber=1&uploadId=no", 404, "NoSuchUpload", b"d"),
    Row(
        "complete no upload",
        "POST",
        "/out/new?uploadId=no",
        404,
        "NoSuchUpload",
        complete_document([(1, '"a"')]),
    ),
    Row("abort no upload", "DELETE", "/out/new?uploadId=no", 404, "NoSuchUpload"),
    Row("rename", "PUT", "/out/new", 200, body=b"", headers={"x-amz-copy-source": "/out/k"}),
    Row(
        "rename if match, other",
        "PUT",
        "/out/new",
        412,
        "PreconditionFailed",
        b"",
        headers={"x-amz-copy-source": "/out/k", "x-amz-copy-source-if-match": "x"},
    ),
    Row("copy an input", "PUT", "/out/new", 200, body=b"", headers={"x-amz-copy-source": "inp/a.txt"}),
    Row(
        "copy absent", "PUT", "/out/new", 404, "NoSuchKey", b"", headers={"x-amz-copy-source": "/out/absent"}
    ),
    Row(
        "copy from nowhere",
        "PUT",
        "/out/new",
        404,
        "NoSuchBucket",
        b"",
        headers={"x-amz-copy-source": "no/k"},
    ),
    Row(
        "copy to an input",
        "PUT",
        "/inp/new",
        403,
        "AccessDenied",
        b"",
        headers={"x-amz-copy-source": "/out/k"},
    ),
    Row("delete", "DELETE", "/out/k", 204),
    Row("delete absent", "DELETE", "/out/absent", 204),
    Row("delete several", "POST", "/out?delete", 200, body=delete_document(["k", "absent"])),
    Row("delete several with empty value", "POST", "/out/?delete=", 200, body=delete_document(["k"])),
    Row(
        "form upload",
        "POST",
        "/out",
        501,
        "NotImplemented",
        b"--x--",
        headers={"content-type": "multipart/form-data; boundary=x"},
    ),
    Row("put object acl", "PUT", "/out/k?acl", 200, body=b"", headers={"x-amz-acl": "private"}),
    Row("put acl of absent", "PUT", "/out/absent?acl", 404, "NoSuchKey", b""),
    Row("put object tagging", "PUT", "/out/k?tagging", 200, body=b"<Tagging><TagSet/></Tagging>"),
    Row("delete object tagging", "DELETE", "/out/k?tagging", 204),
    Row("dot segment", "PUT", "/out/a/../b", 400, "InvalidArgument", b"d"),
    Row(
        "unknown parameter and header",
        "HEAD",
        "/out/k?x-id=HeadObject",
        200,
        headers={"x-amz-te": "append-md5"},
    ),
    Row("no such method on an object", "PATCH", "/out/k", 405, "MethodNotAllowed", b""),
]


def fill(job: Job) -> None:
    job.client.put("/out/k", b"own data", {"content-type": "text/x", MARKER_LENGTH: "42"})
    job.client.put("/out/dir/", b"")
    job.client.put("/out/orders.pending", b"a user's")
    job.client.put("/out/x__magic/a.pending", b"a user's")
    job.client.put(f"/out/{PENDING}", b"{}")
    job.client.put(f"/out/{PENDINGSET}", b"[]")


def send(job: Job, row: Row) -> Answer:
    return job.client.ask(row.method, row.target, row.body, row.headers)


@pytest.mark.parametrize("pair", PAIRS, indirect=True, ids="-".join)
@pytest.mark.parametrize("own_reads", [False, True], ids=["write-only", "own-reads"])
def test_each_request_on_out_has_its_answer(launch_job: Callable[..., Job], own_reads: bool) -> None:
    job = launch_job(own_reads=own_reads)
    wrong = []
    for row in ROWS:
        fill(job)
        job.client.delete("/out/new")
        answer = send(job, row)
        relaxed = own_reads and row.own_reads is not None
        status, code = (row.own_reads, None) if relaxed else (row.status, row.code)
        found = answer.code if row.method != "HEAD" else None
        if (answer.status, found) != (status, code):
            wrong.append(f"{row.name}: {answer.status} {found}, not {status} {code}")
        if row.method == "HEAD" and answer.body:
            wrong.append(f"{row.name}: a body")
        if "x-amz-request-id" not in answer.headers:
            wrong.append(f"{row.name}: no request id")
    assert wrong == []


def test_write_only_says_how_to_get_reads(job: Job) -> None:
    fill(job)
    answer = job.client.get("/out/k")
    assert answer.code == "AccessDenied"
    assert "write-only" in answer.message
    assert "own-reads" in answer.message
    assert b"own data" not in answer.body


def test_head_tells_all_the_metadata_of_what_this_attempt_wrote(job: Job) -> None:
    fill(job)
    put = job.client.put("/out/k2", b"12345", {"content-type": "text/x", MARKER_LENGTH: "42"})
    head = job.client.head("/out/k2")
    assert head.headers["content-length"] == "5"
    assert head.headers["content-type"] == "text/x"
    assert head.headers[MARKER_LENGTH] == "42"
    assert head.etag == put.etag
    assert head.headers["last-modified"].endswith(" GMT")


def test_a_write_only_output_is_not_blind(job: Job) -> None:
    """With HEAD 404 and LIST empty, Spark reports success and loses every row."""
    job.client.put("/out/_temporary/0/task/part-0", b"rows")
    assert job.client.head("/out/_temporary/0/task/part-0").status == 200
    assert job.client.keys("out", "&prefix=_temporary/") == ["_temporary/0/task/part-0"]


def test_an_attempt_sees_nothing_of_an_earlier_one(launch_job: Callable[..., Job]) -> None:
    first = launch_job(own_reads=True)
    first.client.put("/out/secret", b"from the first attempt")
    second = launch_job(own_reads=True)
    assert second.client.keys("out") == []
    assert second.client.get("/out/secret").code == "NoSuchKey"
    copied = second.client.ask("PUT", "/out/new", b"", {"x-amz-copy-source": "/out/secret"})
    assert copied.code == "NoSuchKey"
    upload = first.client.create_upload("/out/secret2")
    assert second.client.get(f"/out/secret2?uploadId={upload}").code == "NoSuchUpload"
    part = second.client.ask("PUT", f"/out/secret2?partNumber=1&uploadId={upload}", b"x")
    assert part.code == "NoSuchUpload"


def test_a_closed_session_answers_403_because_503_would_be_retried(job: Job) -> None:
    upload = job.client.create_upload("/out/late")
    job.client.put("/out/k", b"data")
    job.session.close()
    for method, asked, body in [
        ("GET", "/", None),
        ("GET", "/inp/a.txt", None),
        ("GET", "/out?list-type=2", None),
        ("PUT", "/out/k", b"more"),
        ("PUT", f"/out/late?partNumber=1&uploadId={upload}", b"part"),
        ("POST", f"/out/late?uploadId={upload}", complete_document([(1, '"a"')])),
        ("POST", "/out/x?uploads", b""),
        ("POST", "/out?delete", delete_document(["k"])),
        ("DELETE", "/out/k", None),
        ("PUT", "/out", b""),
        ("DELETE", "/out", None),
        ("GET", "/nowhere/k", None),
    ]:
        answer = job.client.ask(method, asked, body)
        assert (answer.status, answer.code) == (403, "AccessDenied"), (method, asked)
    assert [path for path, _ in job.staging.files()] == ["k"]


def test_an_output_that_was_published_meanwhile_answers_403(job: Job) -> None:
    job.store.stagings.drop(job.staging.id)
    answer = job.client.ask("PUT", "/out/k", b"late")
    assert (answer.status, answer.code) == (403, "AccessDenied")


def test_an_upload_of_an_attempt_that_is_gone_cannot_be_completed(job: Job) -> None:
    upload = job.client.create_upload("/out/k")
    etag = job.client.put_part("/out/k", upload, 1, b"part")
    job.store.stagings.drop(job.staging.id)
    assert job.client.complete("/out/k", upload, [(1, etag)]).code == "AccessDenied"

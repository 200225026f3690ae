"""Input buckets: everything can be read, nothing written; and what a sidecar shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gateway_harness import PAIRS, Client, Job, complete_document, delete_document

READS = [
    ("HEAD", "/inp", 200, None),
    ("GET", "/inp?location", 200, None),
    ("GET", "/inp?acl", 200, None),
    ("GET", "/inp?versioning", 200, None),
    ("GET", "/inp?policy", 404, "NoSuchBucketPolicy"),
    ("GET", "/inp", 200, None),
    ("GET", "/inp?list-type=2", 200, None),
    ("GET", "/inp?uploads", 200, None),
    ("GET", "/inp?versions", 501, "NotImplemented"),
    ("GET", "/inp/a.txt", 200, None),
    ("GET", "/inp/a.txt?versionId=null", 200, None),
    ("GET", "/inp/a.txt?versionId=5", 404, "NoSuchVersion"),
    ("HEAD", "/inp/a.txt", 200, None),
    ("HEAD", "/inp/dir/", 200, None),
    ("HEAD", "/inp/dir", 404, None),
    ("HEAD", "/inp/absent", 404, None),
    ("GET", "/inp/absent", 404, "NoSuchKey"),
    ("GET", "/inp/a.txt?tagging", 200, None),
    ("GET", "/inp/a.txt?acl", 200, None),
    ("GET", "/inp/absent?tagging", 404, "NoSuchKey"),
    ("GET", "/inp/a.txt?uploadId=x", 404, "NoSuchUpload"),
]

WRITES = [
    ("PUT", "/inp", b"", {}),
    ("DELETE", "/inp", None, {}),
    ("PUT", "/inp?acl", b"", {}),
    ("PUT", "/inp?policy", b"<P/>", {}),
    ("PUT", "/inp/a.txt", b"new", {}),
    ("PUT", "/inp/new/", b"", {}),
    ("PUT", "/inp/a.txt?acl", b"", {}),
    ("PUT", "/inp/a.txt?tagging", b"<T/>", {}),
    ("DELETE", "/inp/a.txt?tagging", None, {}),
    ("PUT", "/inp/new", b"", {"x-amz-copy-source": "/inp/a.txt"}),
    ("PUT", "/inp/a.txt", b"", {"x-amz-copy-source": "/inp/a.txt", "x-amz-metadata-directive": "REPLACE"}),
    ("POST", "/inp/new?uploads", b"", {}),
    ("PUT", "/inp/new?partNumber=1&uploadId=x", b"part", {}),
    ("PUT", "/inp/new?partNumber=1&uploadId=x", b"", {"x-amz-copy-source": "/inp/a.txt"}),
    ("POST", "/inp/new?uploadId=x", complete_document([(1, '"a"')]), {}),
    ("DELETE", "/inp/new?uploadId=x", None, {}),
    ("POST", "/inp?delete", delete_document(["a.txt"]), {}),
    ("POST", "/inp?delete", b"not XML", {}),
    ("DELETE", "/inp/a.txt", None, {}),
    ("DELETE", "/inp/absent", None, {}),
]


def test_reads_of_an_input_are_answered(job: Job) -> None:
    wrong = []
    for method, target, status, code in READS:
        answer = job.client.ask(method, target)
        found = None if method == "HEAD" else answer.code
        if (answer.status, found) != (status, code):
            wrong.append(f"{method} {target}: {answer.status} {found}, not {status} {code}")
    assert wrong == []


def test_every_write_to_an_input_is_refused_and_says_why(job: Job) -> None:
    before = job.client.snapshot("inp")
    wrong = []
    for method, target, body, headers in WRITES:
        answer = job.client.ask(method, target, body, headers)
        if (answer.status, answer.code) != (403, "AccessDenied"):
            wrong.append(f"{method} {target}: {answer.status} {answer.code}")
    assert wrong == []
    assert job.client.snapshot("inp") == before
    refusal = job.client.ask("PUT", "/inp/a.txt", b"new")
    assert "'inp' is an input of this job and read-only" in refusal.message
    assert "s3://out" in refusal.message


@pytest.mark.parametrize("pair", PAIRS, indirect=True, ids="-".join)
def test_a_refused_upload_is_answered_before_its_body(job: Job) -> None:
    """Trap 4 and study 6.4: no 100 Continue for a body that nobody wants."""
    head = Client.render_head("PUT", "/inp/a.txt", {"expect": "100-continue", "content-length": "1000000"})
    answer = job.client.exchange(head, "PUT")
    assert (answer.status, answer.code) == (403, "AccessDenied")


@pytest.mark.parametrize("pair", PAIRS, indirect=True, ids="-".join)
def test_a_connection_survives_a_refused_upload(job: Job) -> None:
    """Trap 8: a 403 with unread bytes behind it must not eat the next request."""
    connection = job.client.connect()
    assert job.client.ask("PUT", "/inp/a.txt", b"x" * 300_000).status == 403
    assert job.client.get("/inp/a.txt").body == b"hello, world\n"
    assert job.client.connect() is connection


def test_the_uploads_of_an_input_are_an_empty_list(job: Job) -> None:
    assert job.client.get("/inp?uploads").texts("Upload/Key") == []


def test_list_buckets_shows_inputs_and_out_but_no_alias(job: Job) -> None:
    answer = job.client.get("/")
    assert answer.texts("Buckets/Bucket/Name") == ["inp", "other_input", "out"]
    assert all(date.endswith("Z") for date in answer.texts("Buckets/Bucket/CreationDate"))


def test_a_job_without_s3_output_has_no_out(launch_job: Callable[..., Job]) -> None:
    job = launch_job(output=False)
    assert job.client.get("/").texts("Buckets/Bucket/Name") == ["inp", "other_input"]
    assert job.client.ask("PUT", "/out/k", b"data").code == "NoSuchBucket"
    assert job.client.ask("PUT", "/pipe_line/k", b"data").code == "NoSuchBucket"


@pytest.mark.parametrize("alias", ["pipe_line", "pipe-line"])
def test_out_answers_under_the_pipelines_name(job: Job, alias: str) -> None:
    job.client.put(f"/{alias}/k", b"data")
    assert job.client.keys("out") == job.client.keys(alias) == ["k"]
    assert job.client.ask("PUT", f"/{alias}", b"").status == 200
    assert job.client.get(f"/{alias}/k").code == "AccessDenied"
    copied = job.client.ask("PUT", "/out/k2", b"", {"x-amz-copy-source": f"/{alias}/k"})
    assert copied.status == 200


def test_a_name_that_java_cannot_hold_answers_with_hyphens(job: Job) -> None:
    """Trap 24: `java.net.URI.getHost()` is null for a host with an underscore."""
    assert job.client.get("/other-input/o.txt").body == b"other"
    assert job.client.ask("PUT", "/other-input/o.txt", b"x").code == "AccessDenied"


def test_an_alias_never_hides_a_bucket_of_that_name(launch_job: Callable[..., Job]) -> None:
    job = launch_job(pipeline="inp")
    assert job.client.keys("inp")[0] == "a.txt"
    job = launch_job(pipeline="other-input")
    assert job.client.keys("other_input") == ["o.txt"]


def test_nothing_else_exists_in_a_sidecar(job: Job) -> None:
    """Traps 24 and 34: a clean 404 for bogus names; GET and LIST say NoSuchBucket."""
    for bucket in ("nowhere", "%24extremelyunlikelytoexist%24", "labs", "master.labs", "OUT", "-"):
        assert job.client.head(f"/{bucket}").status == 404
        assert job.client.get(f"/{bucket}?list-type=2").code == "NoSuchBucket"
        assert job.client.get(f"/{bucket}/a.txt").code == "NoSuchBucket"
        assert job.client.ask("PUT", f"/{bucket}/a.txt", b"x").code == "NoSuchBucket"
        assert job.client.ask("PUT", f"/{bucket}", b"").code == "AccessDenied"


def test_a_kubernetes_host_name_is_no_bucket(job: Job) -> None:
    """Trap 13: a mock took `Host: s3gw.pipe.svc:9000` for the bucket `s3gw`."""
    data = b"GET /inp/a.txt HTTP/1.1\r\nhost: out.pipe.svc:9000\r\n\r\n"
    assert job.client.exchange(data).body == b"hello, world\n"


def test_a_configured_base_domain_makes_virtual_hosts(launch_job: Callable[..., Job]) -> None:
    job = launch_job(base_domains=("s3.localhost",))
    data = b"GET /a.txt HTTP/1.1\r\nhost: inp.s3.localhost:9000\r\n\r\n"
    assert job.client.exchange(data).body == b"hello, world\n"
    data = b"GET /inp/a.txt HTTP/1.1\r\nhost: s3.localhost:9000\r\n\r\n"
    assert job.client.exchange(data).body == b"hello, world\n"


def test_health_answers_whatever_the_session_does(job: Job) -> None:
    job.session.close()
    answer = job.client.get("/-/health")
    assert (answer.status, answer.body) == (200, b"ok\n")

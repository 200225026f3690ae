from __future__ import annotations

import pytest

from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.operations import Operation, identify
from sidegate.s3.target import parse_target

NONE = Headers([])
COPY = Headers([(b"x-amz-copy-source", b"/inp/k")])


@pytest.mark.parametrize(
    ("method", "raw", "operation"),
    [
        ("GET", b"/", "ListBuckets"),
        ("GET", b"/?x-id=ListBuckets", "ListBuckets"),
        ("HEAD", b"/out", "HeadBucket"),
        ("PUT", b"/out", "CreateBucket"),
        ("DELETE", b"/out", "DeleteBucket"),
        ("GET", b"/out", "ListObjects"),
        ("GET", b"/out?list-type=2&delimiter=", "ListObjectsV2"),
        ("GET", b"/out?list-type=1", "ListObjects"),
        ("GET", b"/out?versions", "ListObjectVersions"),
        ("GET", b"/out?uploads", "ListMultipartUploads"),
        ("GET", b"/out?location=", "GetBucketLocation"),
        ("GET", b"/out?versioning", "GetBucketVersioning"),
        ("GET", b"/out?policy", "GetBucketPolicy"),
        ("GET", b"/out?cors", "GetBucketCors"),
        ("GET", b"/out?acl", "GetBucketAcl"),
        ("GET", b"/out?object-lock", "GetObjectLockConfiguration"),
        ("PUT", b"/out?policy", "PutBucket*"),
        ("DELETE", b"/out?lifecycle", "DeleteBucket*"),
        ("POST", b"/out?delete", "DeleteObjects"),
        ("POST", b"/out/?delete=", "DeleteObjects"),
        ("GET", b"/out/k", "GetObject"),
        ("GET", b"/out/k?partNumber=1", "GetObject"),
        ("GET", b"/out/k?versionId=null&response-content-type=a", "GetObject"),
        ("HEAD", b"/out/k", "HeadObject"),
        ("GET", b"/out/k?attributes", "GetObjectAttributes"),
        ("GET", b"/out/k?acl", "GetObjectAcl"),
        ("PUT", b"/out/k?acl", "PutObjectAcl"),
        ("GET", b"/out/k?tagging", "GetObjectTagging"),
        ("PUT", b"/out/k", "PutObject"),
        ("PUT", b"/out/k/", "PutObject"),
        ("DELETE", b"/out/k", "DeleteObject"),
        ("POST", b"/out/k?uploads", "CreateMultipartUpload"),
        ("POST", b"/out/k?uploads=", "CreateMultipartUpload"),
        ("PUT", b"/out/k?partNumber=1&uploadId=u", "UploadPart"),
        ("PUT", b"/out/k?uploadId=u&partNumber=1", "UploadPart"),
        ("POST", b"/out/k?uploadId=u", "CompleteMultipartUpload"),
        ("DELETE", b"/out/k?uploadId=u", "AbortMultipartUpload"),
        ("GET", b"/out/k?uploadId=u&max-parts=1", "ListParts"),
    ],
)
def test_table(method: str, raw: bytes, operation: str) -> None:
    assert identify(method, parse_target(raw, None), NONE).value == operation


def test_a_copy_source_makes_copies() -> None:
    assert identify("PUT", parse_target(b"/out/k", None), COPY) is Operation.COPY_OBJECT
    part = parse_target(b"/out/k?partNumber=1&uploadId=u", None)
    assert identify("PUT", part, COPY) is Operation.UPLOAD_PART_COPY
    assert identify("GET", parse_target(b"/out/k", None), COPY) is Operation.GET_OBJECT


def test_trap_12_unknown_parameters_are_ignored() -> None:
    target = parse_target(b"/out/k?x-id=PutObject&surprise&fetch-owner=1&list-type=2&delete", None)
    assert identify("PUT", target, NONE) is Operation.PUT_OBJECT


@pytest.mark.parametrize(
    "query",
    [
        b"AWSAccessKeyId=a&Signature=s%3D&Expires=1",
        b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=c&X-Amz-Date=d&X-Amz-Expires=1"
        b"&X-Amz-SignedHeaders=host&X-Amz-Signature=s",
    ],
)
def test_trap_40_presigned_parameters_are_no_subresources(query: bytes) -> None:
    assert identify("GET", parse_target(b"/out/k?" + query, None), NONE) is Operation.GET_OBJECT


@pytest.mark.parametrize(
    ("method", "raw", "code", "status"),
    [
        ("POST", b"/out/k?select&select-type=2", "NotImplemented", 501),
        ("POST", b"/out/k?restore", "NotImplemented", 501),
        ("GET", b"/out/k?torrent", "NotImplemented", 501),
        ("PUT", b"/out/k?retention", "NotImplemented", 501),
        ("PUT", b"/out?website", "NotImplemented", 501),
        ("GET", b"/out?inventory", "NotImplemented", 501),
        ("PUT", b"/out/k?partNumber=1", "InvalidArgument", 400),
        ("PATCH", b"/out/k", "MethodNotAllowed", 405),
        ("POST", b"/out/k", "MethodNotAllowed", 405),
        ("POST", b"/out", "MethodNotAllowed", 405),
        ("HEAD", b"/", "MethodNotAllowed", 405),
        ("OPTIONS", b"/out/k", "AccessForbidden", 403),
    ],
)
def test_refusals(method: str, raw: bytes, code: str, status: int) -> None:
    with pytest.raises(S3Error) as caught:
        identify(method, parse_target(raw, None), NONE)
    assert (caught.value.code, caught.value.status) == (code, status)


def test_a_refused_method_names_those_allowed() -> None:
    with pytest.raises(S3Error) as caught:
        identify("PATCH", parse_target(b"/", None), NONE)
    assert caught.value.headers == [(b"allow", b"GET")]


def test_a_form_upload_is_not_implemented() -> None:
    form = Headers([(b"content-type", b"multipart/form-data; boundary=x")])
    with pytest.raises(S3Error) as caught:
        identify("POST", parse_target(b"/out", None), form)
    assert caught.value.code == "NotImplemented"


def test_a_staging_committer_at_the_bucket_root_is_refused_without_a_retry() -> None:
    # Hadoop sends POST /out/?uploads for s3a://out/ itself; a 500 was retried 18 times.
    with pytest.raises(S3Error) as caught:
        identify("POST", parse_target(b"/out/?uploads", None), NONE)
    assert caught.value.status == 400

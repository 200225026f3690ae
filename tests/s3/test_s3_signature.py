"""Signatures against the examples of the AWS documentation and against botocore."""

from __future__ import annotations

import base64
import hmac
from calendar import timegm
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.signature import verify_signature
from sidegate.s3.target import parse_target

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SECRETS = {KEY: SECRET}
BASES = ("s3.amazonaws.com",)
MAY_2013 = timegm((2013, 5, 24, 0, 0, 0))
EMPTY_SHA256 = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def verify(
    method: str,
    raw: bytes,
    items: dict[bytes, bytes],
    now_seconds: float = MAY_2013,
    secrets: dict[str, str] = SECRETS,
) -> str | None:
    headers = Headers(list(items.items()))
    target = parse_target(raw, headers.get(b"host"), BASES)
    return verify_signature(method, raw, target, headers, secret_of=secrets.get, now_seconds=now_seconds)


def refusal(*arguments: object, **more: object) -> S3Error:
    with pytest.raises(S3Error) as caught:
        verify(*arguments, **more)  # type: ignore[arg-type]
    return caught.value


def v4(signed: str, signature: str) -> bytes:
    scope = f"{KEY}/20130524/us-east-1/s3/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders={signed},Signature={signature}".encode()


HOST_V4 = {b"host": b"examplebucket.s3.amazonaws.com", b"x-amz-date": b"20130524T000000Z"}
GET_OBJECT = {
    **HOST_V4,
    b"range": b"bytes=0-9",
    b"x-amz-content-sha256": EMPTY_SHA256,
    b"authorization": v4(
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
}
LIST = {
    **HOST_V4,
    b"x-amz-content-sha256": EMPTY_SHA256,
    b"authorization": v4(
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}
LIFECYCLE = {
    **HOST_V4,
    b"x-amz-content-sha256": EMPTY_SHA256,
    b"authorization": v4(
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
}
PUT_OBJECT = {
    **HOST_V4,
    b"date": b"Fri, 24 May 2013 00:00:00 GMT",
    b"x-amz-storage-class": b"REDUCED_REDUNDANCY",
    b"x-amz-content-sha256": b"44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
    b"authorization": v4(
        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
}
PRESIGNED = (
    b"/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3"
    b"%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
    b"aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)
PRESIGNED_HOST = {b"host": b"examplebucket.s3.amazonaws.com"}

# "Examples: Signature Calculations", "Authenticating Requests: Using Query Parameters".
V4_EXAMPLES = [
    ("GET", b"/test.txt", GET_OBJECT),
    ("PUT", b"/test%24file.text", PUT_OBJECT),
    ("GET", b"/?lifecycle", LIFECYCLE),
    ("GET", b"/?max-keys=2&prefix=J", LIST),
    ("GET", PRESIGNED, PRESIGNED_HOST),
]


@pytest.mark.parametrize(("method", "raw", "items"), V4_EXAMPLES)
def test_version_4_examples_of_aws(method: str, raw: bytes, items: dict[bytes, bytes]) -> None:
    assert verify(method, raw, items) == KEY
    assert refusal("DELETE", raw, items).code == "SignatureDoesNotMatch"
    assert refusal(method, raw, items, secrets={KEY: "other"}).code == "SignatureDoesNotMatch"
    assert refusal(method, raw, items, secrets={}).code == "InvalidAccessKeyId"


def v2(signature: str, date: str, **more: bytes) -> dict[bytes, bytes]:
    items = {name.replace("_", "-").encode(): value for name, value in more.items()}
    return {
        b"host": b"johnsmith.s3.amazonaws.com",
        b"date": date.encode(),
        b"authorization": f"AWS {KEY}:{signature}".encode(),
        **items,
    }


# "Signing and authenticating REST requests (AWS signature version 2)".
V2_EXAMPLES = [
    ("GET", b"/photos/puppy.jpg", v2("bWq2s1WEIj+Ydj0vQ697zp+IXMU=", "Tue, 27 Mar 2007 19:36:42 +0000")),
    (
        "PUT",
        b"/photos/puppy.jpg",
        v2("MyyxeRY7whkBe+bq8fHCL/2kKUg=", "Tue, 27 Mar 2007 21:15:45 +0000", content_type=b"image/jpeg"),
    ),
    (
        "GET",
        b"/?prefix=photos&max-keys=50&marker=puppy",
        v2("htDYFYduRNen8P9ZfE/s9SuKy0U=", "Tue, 27 Mar 2007 19:42:41 +0000"),
    ),
    ("GET", b"/?acl", v2("c2WLPFtWHVgbEmeEG93a4cG37dM=", "Tue, 27 Mar 2007 19:44:46 +0000")),
]
MARCH_2007 = timegm((2007, 3, 27, 19, 44, 0))
PRESIGNED_V2 = (
    b"/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D"
    b"&Expires=1175139620"
)


@pytest.mark.parametrize(("method", "raw", "items"), V2_EXAMPLES)
def test_version_2_examples_of_aws(method: str, raw: bytes, items: dict[bytes, bytes]) -> None:
    now = MARCH_2007 + (5400 if method == "PUT" else 0)
    assert verify(method, raw, items, now) == KEY
    assert refusal("DELETE", raw, items, now).code == "SignatureDoesNotMatch"
    assert refusal(method, raw, items, now + 86400).code == "RequestTimeTooSkewed"
    assert refusal(method, raw, items, now, {}).code == "InvalidAccessKeyId"


def test_trap_40_a_version_2_presigned_url() -> None:
    host = {b"host": b"johnsmith.s3.amazonaws.com"}
    assert verify("GET", PRESIGNED_V2, host, 1175139620) == KEY
    late = refusal("GET", PRESIGNED_V2, host, 1175139621)
    assert (late.code, late.message) == ("AccessDenied", "Request has expired")


@pytest.mark.parametrize("signed", ["/labs", "/labs/"])
def test_a_bucket_path_may_be_signed_with_a_slash_that_is_not_sent(signed: str) -> None:
    """boto3 with SigV2 sends `GET /labs` and signs `/labs/`."""
    date = "Tue, 27 Mar 2007 19:44:46 +0000"
    text = f"GET\n\n\n{date}\n{signed}"
    signature = base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha1")).decode()
    items = v2(signature, date) | {b"host": b"127.0.0.1"}
    assert verify("GET", b"/labs?list-type=2", items, MARCH_2007) == KEY
    assert refusal("GET", b"/labs/key", items, MARCH_2007).code == "SignatureDoesNotMatch"
    assert refusal("GET", b"/other", items, MARCH_2007).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(("now", "code"), [(900, None), (-900, None), (901, "S"), (-901, "S")])
def test_trap_41_a_quarter_of_an_hour_of_skew(now: int, code: str | None) -> None:
    if code is None:
        assert verify("GET", b"/test.txt", GET_OBJECT, MAY_2013 + now) == KEY
    else:
        assert refusal("GET", b"/test.txt", GET_OBJECT, MAY_2013 + now).code == "RequestTimeTooSkewed"


def test_a_presigned_url_expires() -> None:
    assert verify("GET", PRESIGNED, PRESIGNED_HOST, MAY_2013 + 86400) == KEY
    late = refusal("GET", PRESIGNED, PRESIGNED_HOST, MAY_2013 + 86401)
    assert (late.code, late.message) == ("AccessDenied", "Request has expired")
    assert refusal("GET", PRESIGNED, PRESIGNED_HOST, MAY_2013 - 901).code == "AccessDenied"


def test_a_header_added_after_signing_is_refused() -> None:
    items = {**GET_OBJECT, b"x-amz-meta-a": b"1"}
    assert refusal("GET", b"/test.txt", items).code == "AccessDenied"


def test_anonymous() -> None:
    assert verify("GET", b"/b/k", {b"host": b"x"}) is None


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (b"Basic eA==", "InvalidArgument"),
        (b"AWS nocolon", "InvalidArgument"),
        (b"AWS4-HMAC-SHA256 nonsense", "AuthorizationHeaderMalformed"),
        (b"AWS4-HMAC-SHA256 Credential=a/b,SignedHeaders=host,Signature=x", "AuthorizationHeaderMalformed"),
        (
            b"AWS4-HMAC-SHA256 Credential=a/20130525/r/s3/aws4_request,SignedHeaders=host,Signature=x",
            "AuthorizationHeaderMalformed",
        ),
        (
            b"AWS4-HMAC-SHA256 Credential=a/20130524/r/sqs/aws4_request,SignedHeaders=host,Signature=x",
            "AuthorizationHeaderMalformed",
        ),
        (
            b"AWS4-HMAC-SHA256 Credential=a/20130524/r/s3/aws4_request,SignedHeaders=host,Signature=x",
            "InvalidRequest",
        ),
    ],
)
def test_malformed_headers(authorization: bytes, code: str) -> None:
    items = {**HOST_V4, b"authorization": authorization}
    assert refusal("GET", b"/k", items).code == code


@pytest.mark.parametrize(
    "missing", [b"X-Amz-Date", b"X-Amz-Expires", b"X-Amz-Credential", b"X-Amz-SignedHeaders"]
)
def test_presigned_urls_need_every_parameter(missing: bytes) -> None:
    error = refusal("GET", PRESIGNED.replace(missing, b"Other"), PRESIGNED_HOST)
    assert error.code == "AuthorizationQueryParametersError"


@pytest.mark.parametrize("expires", [b"0", b"604801", b"x", b"99999999999999999999"])
def test_presigned_urls_live_for_a_week_at_most(expires: bytes) -> None:
    raw = PRESIGNED.replace(b"X-Amz-Expires=86400", b"X-Amz-Expires=" + expires)
    assert refusal("GET", raw, PRESIGNED_HOST).code == "AuthorizationQueryParametersError"


def test_two_signatures_at_once() -> None:
    assert refusal("GET", PRESIGNED, {**GET_OBJECT}).code == "InvalidArgument"


PATHS = [
    "/b/k",
    "/b/a%20b%2Bc/%C3%BC~%21",
    "/b//x",
    "/b?list-type=2&prefix=a%20b%2Bc&delimiter=%2F",
    "/b/k?uploads",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("signer", [S3SigV4Auth, S3SigV4QueryAuth, HmacV1Auth, HmacV1QueryAuth])
def test_what_botocore_signs_is_accepted(signer: type, path: str) -> None:
    credentials = Credentials(KEY, SECRET)
    arguments = ("s3", "external") if signer in (S3SigV4Auth, S3SigV4QueryAuth) else ()
    request = AWSRequest("PUT", f"http://127.0.0.1:9000{path}", {"x-amz-meta-a": " x  y "})
    request.headers["Content-Type"] = "text/plain"
    request.context["timestamp"] = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    signer(credentials, *arguments).add_auth(request)
    url = urlsplit(request.url)
    raw = url.path.encode() + (b"?" + url.query.encode() if url.query else b"")
    items = {name.lower().encode(): str(value).encode() for name, value in request.headers.items()}
    items.setdefault(b"host", url.netloc.encode())
    assert verify("PUT", raw, items, datetime.now(UTC).timestamp()) == KEY
    tampered = raw.replace(b"/b", b"/c", 1)
    assert refusal("PUT", tampered, items, datetime.now(UTC).timestamp()).code == "SignatureDoesNotMatch"

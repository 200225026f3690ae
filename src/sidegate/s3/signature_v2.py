"""Signature version 2, in the Authorization header or the query.

boto3 and aws CLI v1 presign with it for custom endpoints in us-east-1
(trap 40).  Source: Amazon S3 User Guide, "Signing and authenticating REST
requests (AWS signature version 2)".
"""

from __future__ import annotations

import base64
import hmac
from typing import Final

from sidegate.s3.credentials import (
    SecretLookup,
    SignedRequest,
    check_signature,
    check_skew,
    find_secret,
)
from sidegate.s3.dates import parse_http_date
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import decode_value
from sidegate.s3.target import Query

# The parameters that are part of the resource; the list of the guide and of botocore.
_SIGNED_PARAMETERS: Final = frozenset(
    {
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "defaultObjectAcl",
        "delete",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "replication",
        "requestPayment",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "select",
        "select-type",
        "storageClass",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    }
)


def verify_header(
    request: SignedRequest, authorization: str, secret_of: SecretLookup, now_seconds: float
) -> str:
    """Return the access key of a request signed in its Authorization header.

    Raises S3Error: InvalidArgument, AccessDenied, RequestTimeTooSkewed,
    InvalidAccessKeyId, SignatureDoesNotMatch.
    """
    access_key, colon, signature = authorization.removeprefix("AWS ").strip().rpartition(":")
    if not colon or not access_key:
        raise S3Error(
            "InvalidArgument", "AWS authorization header is invalid. Expected AwsAccessKeyId:signature"
        )
    date = request.headers.text(b"date") or ""
    seconds = parse_http_date(request.headers.text(b"x-amz-date") or date)
    if seconds is None:
        raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    check_skew(seconds, now_seconds)
    # "If you include the x-amz-date header, use the empty string for the Date."
    _verify(request, "" if b"x-amz-date" in request.headers else date, access_key, signature, secret_of)
    return access_key


def verify_query(request: SignedRequest, secret_of: SecretLookup, now_seconds: float) -> str:
    """Return the access key of a presigned request.

    Raises S3Error: AccessDenied once it has expired, InvalidAccessKeyId,
    SignatureDoesNotMatch.
    """
    query: Query = request.target.query
    access_key, expires = query.get("AWSAccessKeyId", ""), query.get("Expires", "")
    if not access_key or not (expires.isascii() and expires.isdigit()):
        message = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        raise S3Error("AccessDenied", message)
    if now_seconds > int(expires[:18]):
        raise S3Error("AccessDenied", "Request has expired", fields={"Expires": expires})
    _verify(request, expires, access_key, query.get("Signature", ""), secret_of)
    return access_key


def string_to_sign(request: SignedRequest, date: str, *, bucket_end: str = "") -> str:
    """Return the text that is signed; `date` is Date, Expires or "".

    `bucket_end` is what a client signs after a bucket whose path it sends
    without a slash.
    """
    md5 = request.headers.text(b"content-md5") or ""
    content_type = request.headers.text(b"content-type") or ""
    amz_headers: dict[str, list[str]] = {}
    for name, value in request.headers.items:
        if name.startswith(b"x-amz-"):
            amz_headers.setdefault(decode_value(name), []).append(decode_value(value).strip())
    lines = "".join(f"{name}:{','.join(amz_headers[name])}\n" for name in sorted(amz_headers))
    return f"{request.method}\n{md5}\n{content_type}\n{date}\n{lines}{_resource(request, bucket_end)}"


def _resource(request: SignedRequest, bucket_end: str) -> str:
    """Return bucket, path as sent, and the parameters that are part of it."""
    target = request.target
    bucket = f"/{target.bucket}" if target.virtual_host else ""
    path = bucket + decode_value(request.raw_path)
    if target.bucket is not None and target.key is None and not path.endswith("/"):
        path += bucket_end
    signed = sorted((name, value) for name, value in target.query.items() if name in _SIGNED_PARAMETERS)
    parameters = "&".join(f"{name}={value}" if value else name for name, value in signed)
    return f"{path}?{parameters}" if parameters else path


def _verify(
    request: SignedRequest, date: str, access_key: str, signature: str, secret_of: SecretLookup
) -> None:
    secret = find_secret(access_key, secret_of)
    # botocore sends /bucket and signs /bucket/, others sign what they send.
    slashed = _sign(string_to_sign(request, date, bucket_end="/"), secret)
    if hmac.compare_digest(signature.encode(), slashed.encode()):
        return
    text = string_to_sign(request, date)
    check_signature(signature, _sign(text, secret), access_key, StringToSign=text)


def _sign(text: str, secret: str) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode("ascii")

"""Signatures: who sent a request, if it says so.

Decides which of the four ways a request is signed and verifies it.  It does not
know who may do what, nor whether anonymous requests are welcome.
"""

from __future__ import annotations

from sidegate.s3 import signature_v2, signature_v4
from sidegate.s3.credentials import SecretLookup, SignedRequest
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.target import Target


def verify_signature(
    method: str,
    raw_target: bytes,
    target: Target,
    headers: Headers,
    *,
    secret_of: SecretLookup,
    now_seconds: float,
) -> str | None:
    """Return the access key that signed the request, None for an anonymous one.

    Version 4 and version 2, each in the Authorization header or the query.
    Chunk signatures of streaming payloads are not verified: the seed signature
    is, and the payload's hash or checksum by `payload`.  Raises S3Error with
    the codes of the four verifiers, InvalidArgument for two signatures at once
    or another kind.
    """
    authorization = headers.text(b"authorization")
    in_query_v4 = "X-Amz-Signature" in target.query or "X-Amz-Algorithm" in target.query
    in_query_v2 = "Signature" in target.query and "AWSAccessKeyId" in target.query
    request = SignedRequest(method, raw_target, target, headers)
    if authorization is not None:
        if in_query_v4 or in_query_v2:
            raise S3Error("InvalidArgument", "Only one auth mechanism allowed.")
        if authorization.startswith(signature_v4.ALGORITHM):
            return signature_v4.verify_header(request, authorization, secret_of, now_seconds)
        if authorization.startswith("AWS "):
            return signature_v2.verify_header(request, authorization, secret_of, now_seconds)
        raise S3Error("InvalidArgument", "Unsupported Authorization Type")
    if in_query_v4:
        if target.query.get("X-Amz-Algorithm") != signature_v4.ALGORITHM:
            raise S3Error(
                "AuthorizationQueryParametersError", "X-Amz-Algorithm only supports AWS4-HMAC-SHA256."
            )
        return signature_v4.verify_query(request, secret_of, now_seconds)
    if in_query_v2:
        return signature_v2.verify_query(request, secret_of, now_seconds)
    return None

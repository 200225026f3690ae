"""Signature version 4, in the Authorization header or the query.

Decides whether a request was signed with the secret of its access key.  Of
streaming payloads the seed signature is verified, their chunk signatures are
not; that the payload has the signed hash is verified by `payload`.

Sources: Amazon S3 API Reference, "Authenticating Requests (AWS Signature
Version 4)": "Using the Authorization Header" and "Using Query Parameters".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from calendar import timegm
from dataclasses import dataclass
from functools import lru_cache
from time import gmtime, strftime, strptime
from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from sidegate.s3.credentials import (
    MAX_SKEW_SECONDS,
    SecretLookup,
    SignedRequest,
    check_signature,
    check_skew,
    find_secret,
)
from sidegate.s3.dates import parse_http_date
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers, decode_value
from sidegate.s3.target import Query

ALGORITHM: Final = "AWS4-HMAC-SHA256"
# "The minimum value you can set is 1, and the maximum is 604800 (seven days)."
MAX_EXPIRES_SECONDS: Final = 604_800
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"

_AUTHORIZATION = re.compile(r"\s*(Credential|SignedHeaders|Signature)\s*=\s*([^,\s]+)\s*(?:,|$)")
_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII).fullmatch
# Any region is accepted; none that has a key derived once for all requests is longer.
_LONGEST_REGION = 64
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Scope:
    """The credential of a signature: key, day, region, service."""

    access_key: str
    day: str
    region: str

    def __str__(self) -> str:
        return f"{self.day}/{self.region}/s3/aws4_request"


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature and what it says it covers."""

    scope: Scope
    date: str
    signed_headers: tuple[str, ...]
    signature: str


def verify_header(
    request: SignedRequest, authorization: str, secret_of: SecretLookup, now_seconds: float
) -> str:
    """Return the access key of a request signed in its Authorization header.

    Any region is accepted.  Raises S3Error: AuthorizationHeaderMalformed,
    AccessDenied, InvalidRequest, InvalidAccessKeyId, RequestTimeTooSkewed,
    SignatureDoesNotMatch.
    """
    code = "AuthorizationHeaderMalformed"
    values = dict(_AUTHORIZATION.findall(authorization.removeprefix(ALGORITHM)))
    if len(values) != 3:
        raise S3Error(code)
    date = _header_date(request.headers)
    claim = _parse_claim(values["Credential"], date, values["SignedHeaders"], values["Signature"], code)
    payload_hash = request.headers.text(b"x-amz-content-sha256")
    if payload_hash is None:
        raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    check_skew(_seconds(date), now_seconds)
    _verify(request, claim, payload_hash, secret_of)
    return claim.scope.access_key


def verify_query(request: SignedRequest, secret_of: SecretLookup, now_seconds: float) -> str:
    """Return the access key of a presigned request.

    Raises S3Error: AuthorizationQueryParametersError, AccessDenied once it has
    expired, InvalidAccessKeyId, SignatureDoesNotMatch.
    """
    code = "AuthorizationQueryParametersError"
    query: Query = request.target.query
    try:
        credential, date = query["X-Amz-Credential"], query["X-Amz-Date"]
        names, signature = query["X-Amz-SignedHeaders"], query["X-Amz-Signature"]
        expires = query["X-Amz-Expires"]
    except KeyError as error:
        raise S3Error(code, f"Query-string authentication requires {error.args[0]}.") from error
    if not (expires.isascii() and expires.isdigit() and 1 <= int(expires[:9]) <= MAX_EXPIRES_SECONDS):
        raise S3Error(code, "X-Amz-Expires must be between 1 and 604800 seconds.")
    claim = _parse_claim(credential, date, names, signature, code)
    signed_seconds = _seconds(date)
    if now_seconds < signed_seconds - MAX_SKEW_SECONDS:
        raise S3Error("AccessDenied", "Request is not yet valid")
    if now_seconds > signed_seconds + int(expires):
        raise S3Error("AccessDenied", "Request has expired", fields={"X-Amz-Expires": expires})
    payload_hash = request.headers.text(b"x-amz-content-sha256") or UNSIGNED_PAYLOAD
    _verify(request, claim, payload_hash, secret_of)
    return claim.scope.access_key


def canonical_request(request: SignedRequest, signed_headers: tuple[str, ...], payload_hash: str) -> str:
    """Return the text that is hashed into the string to sign.

    The path is encoded once: what came is decoded and encoded again, so that it
    does not matter which unreserved characters the client escaped.
    """
    names = ";".join(signed_headers)
    lines = "".join(f"{name}:{_canonical_value(request.headers, name)}\n" for name in signed_headers)
    path = quote_from_bytes(unquote_to_bytes(request.raw_path), safe="/~")
    query = _canonical_query(request.raw_target.partition(b"?")[2])
    return f"{request.method}\n{path}\n{query}\n{lines}\n{names}\n{payload_hash}"


@lru_cache(maxsize=256)
def signing_key(secret: str, day: str, region: str) -> bytes:
    """Return the key of one day and region, derived from the secret."""
    key = f"AWS4{secret}".encode()
    for step in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


def _verify(request: SignedRequest, claim: Claim, payload_hash: str, secret_of: SecretLookup) -> None:
    _check_coverage(request.headers, claim.signed_headers)
    secret = find_secret(claim.scope.access_key, secret_of)
    canonical = canonical_request(request, claim.signed_headers, payload_hash)
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    string_to_sign = f"{ALGORITHM}\n{claim.date}\n{claim.scope}\n{digest}"
    derive = signing_key if len(claim.scope.region) <= _LONGEST_REGION else signing_key.__wrapped__
    key = derive(secret, claim.scope.day, claim.scope.region)
    computed = hmac.digest(key, string_to_sign.encode(), "sha256").hex()
    facts = {"StringToSign": string_to_sign, "CanonicalRequest": canonical}
    check_signature(claim.signature, computed, claim.scope.access_key, **facts)


def _check_coverage(headers: Headers, signed_headers: tuple[str, ...]) -> None:
    """Refuse a signature that leaves out the host or an x-amz-* header."""
    sent = {decode_value(name) for name, _ in headers.items if name.startswith(b"x-amz-")}
    sent -= {"x-amz-content-sha256"}
    missing = ({"host"} | sent) - set(signed_headers)
    if missing:
        fields = {"HeadersNotSigned": ", ".join(sorted(missing))}
        raise S3Error(
            "AccessDenied", "There were headers present in the request which were not signed", fields=fields
        )


def _parse_claim(credential: str, date: str, names: str, signature: str, code: str) -> Claim:
    # An access key may hold slashes; the four fields after it may not.
    access_key, *scope = credential.rsplit("/", 4)
    if len(scope) != 4 or not access_key or scope[2:] != ["s3", "aws4_request"]:
        message = "The credential is not <access key>/<date>/<region>/s3/aws4_request."
        raise S3Error(code, message)
    if not _DATE(date) or scope[0] != date[:8]:
        raise S3Error(code, "The date of the credential is not that of the request.")
    return Claim(Scope(access_key, scope[0], scope[1]), date, tuple(names.lower().split(";")), signature)


def _header_date(headers: Headers) -> str:
    date = headers.text(b"x-amz-date")
    if date is not None:
        return date
    seconds = parse_http_date(headers.text(b"date") or "")
    if seconds is None:
        raise S3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
    return _format_date(seconds)


def _format_date(seconds: int) -> str:
    return strftime("%Y%m%dT%H%M%SZ", gmtime(seconds))


def _seconds(date: str) -> int:
    try:
        return timegm(strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError as error:
        raise S3Error(
            "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
        ) from error


def _canonical_value(headers: Headers, name: str) -> str:
    values = [decode_value(value) for other, value in headers.items if other == name.encode()]
    return ",".join(_SPACES.sub(" ", value.strip()) for value in values)


def _canonical_query(raw_query: bytes) -> str:
    pairs = []
    for pair in raw_query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name and name != b"X-Amz-Signature":
            pairs.append((_encode_query_text(name), _encode_query_text(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encode_query_text(raw: bytes) -> str:
    return quote_from_bytes(unquote_to_bytes(raw.replace(b"+", b" ")), safe="~")

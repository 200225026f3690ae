"""Errors as an S3 client sees them: code, status, message and XML.

Decides how each code looks on the wire.  It does not know when one is raised.
Codes and statuses: Amazon S3 API Reference, "Error responses", except where a
comment names another source.
"""

from __future__ import annotations

from collections.abc import Mapping

from sidegate.errors import SidegateError
from sidegate.s3.escaping import escape_text, replace_forbidden_characters

HeaderList = list[tuple[bytes, bytes]]

CODES: dict[str, tuple[int, str]] = {
    "AccessDenied": (403, "Access Denied"),
    "AccessForbidden": (403, "CORSResponse: CORS is not enabled for this bucket."),
    "AuthorizationHeaderMalformed": (400, "The authorization header you provided is invalid."),
    "AuthorizationQueryParametersError": (400, "The authorization query parameters are invalid."),
    "BadDigest": (400, "The checksum you specified did not match what we received."),
    "BucketAlreadyExists": (409, "The requested bucket name is not available."),
    "BucketAlreadyOwnedByYou": (409, "The bucket you tried to create already exists, and you own it."),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty."),
    "ConditionalRequestConflict": (409, "A conflicting operation occurred during this request."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed object size."),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed object size."),
    "ExpiredToken": (400, "The provided token has expired."),
    "IncompleteBody": (400, "You did not provide the number of bytes specified by the request."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The access key Id you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid argument."),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidDigest": (400, "The Content-MD5 or checksum value that you specified is not valid."),
    "InvalidPart": (400, "One or more of the specified parts could not be found or its ETag differs."),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable."),
    "InvalidPartOrder": (400, "The list of parts was not in ascending order."),
    "InvalidRange": (416, "The requested range is not satisfiable."),
    "InvalidRequest": (400, "The request is not valid."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KeyTooLongError": (400, "Your key is too long."),
    "LifecycleConfigurationNotFoundError": (404, "The lifecycle configuration does not exist."),
    # versitygw #1691 and #1600 measured these two on AWS.
    "MalformedTrailerError": (400, "The request contained trailing data that was not well-formed."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MalformedXML": (400, "The XML you provided was not well-formed or did not validate."),
    "MaxMessageLengthExceeded": (400, "Your request was too big."),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size."),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingRequestBodyError": (400, "Request body is empty."),
    "NoSuchBucket": (404, "The specified bucket does not exist."),
    "NoSuchBucketPolicy": (404, "The bucket policy does not exist."),
    "NoSuchCORSConfiguration": (404, "The CORS configuration does not exist."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The lifecycle configuration does not exist."),
    "NoSuchObjectLockConfiguration": (404, "The object does not have an object lock configuration."),
    "NoSuchPublicAccessBlockConfiguration": (404, "The public access block configuration was not found."),
    "NoSuchTagSet": (404, "The TagSet does not exist."),
    "NoSuchUpload": (404, "The specified multipart upload does not exist."),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": (404, "The specified bucket does not have a website configuration."),
    "NotImplemented": (501, "A header or query you provided implies functionality that is not implemented."),
    "NotModified": (304, "Not Modified"),
    "ObjectLockConfigurationNotFoundError": (404, "Object Lock configuration does not exist."),
    "OwnershipControlsNotFoundError": (404, "The bucket ownership controls were not found."),
    "PreconditionFailed": (412, "At least one of the preconditions you specified did not hold."),
    "ReplicationConfigurationNotFoundError": (404, "The replication configuration was not found."),
    "RequestHeaderSectionTooLarge": (400, "Your request header section exceeds the maximum allowed size."),
    "RequestTimeTooSkewed": (
        403,
        "The difference between the request time and the current time is too large.",
    ),
    "RequestTimeout": (400, "Your socket connection was not read from or written to in time."),
    "ServerSideEncryptionConfigurationNotFoundError": (404, "The encryption configuration was not found."),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the one you provided.",
    ),
    # The one throttling answer that every SDK retries (measured).
    "SlowDown": (503, "Please reduce your request rate."),
    # Not one of AWS's; 507 (RFC 4918 section 11.5) is what no SDK retries.
    "StorageFull": (507, "The disk that holds the store is full."),
    "UnexpectedContent": (400, "This request does not support content."),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' does not match what was computed.",
    ),
}
"""Code → (HTTP status, default message)."""


class S3Error(SidegateError):
    """A refusal that an S3 client can read.

    `fields` become elements of the XML beside Code and Message; `headers` go
    on the response (Allow, Content-Range).  A code outside the table is a bug
    and raises KeyError.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        remedy: str | None = None,
        headers: HeaderList | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        status, default = CODES[code]
        self.code = code
        self.status = status
        self.headers = headers or []
        self.fields = dict(fields or {})
        super().__init__(message or default, remedy=remedy, **self.fields)


def render_error(error: S3Error, resource: str, request_id: str) -> bytes:
    """Return the body of an error answer; HEAD and 304 send none."""
    fields = {"Code": error.code, "Message": str(error), **error.fields}
    fields |= {"Resource": resource, "RequestId": request_id}
    elements = "".join(f"<{name}>{_text(value)}</{name}>" for name, value in fields.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{elements}</Error>'.encode()


def _text(value: str) -> str:
    return escape_text(replace_forbidden_characters(value))

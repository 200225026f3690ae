"""Operations: what a request asks for, by method, level and sub-resource.

Decides which S3 operation a request is.  It does not read parameters or
bodies, and does not know what a bucket allows.  Unknown query parameters and
headers never matter (trap 12 of the client study): only the names below do.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.target import Target


class Operation(Enum):
    """An S3 operation; the value is its name in the API Reference."""

    LIST_BUCKETS = "ListBuckets"

    HEAD_BUCKET = "HeadBucket"
    CREATE_BUCKET = "CreateBucket"
    DELETE_BUCKET = "DeleteBucket"
    LIST_OBJECTS = "ListObjects"
    LIST_OBJECTS_V2 = "ListObjectsV2"
    LIST_OBJECT_VERSIONS = "ListObjectVersions"
    LIST_MULTIPART_UPLOADS = "ListMultipartUploads"
    DELETE_OBJECTS = "DeleteObjects"

    GET_BUCKET_LOCATION = "GetBucketLocation"
    GET_BUCKET_VERSIONING = "GetBucketVersioning"
    GET_BUCKET_ACL = "GetBucketAcl"
    GET_BUCKET_POLICY = "GetBucketPolicy"
    GET_BUCKET_POLICY_STATUS = "GetBucketPolicyStatus"
    GET_BUCKET_CORS = "GetBucketCors"
    GET_BUCKET_TAGGING = "GetBucketTagging"
    GET_BUCKET_ENCRYPTION = "GetBucketEncryption"
    GET_BUCKET_LIFECYCLE = "GetBucketLifecycleConfiguration"
    GET_BUCKET_REPLICATION = "GetBucketReplication"
    GET_BUCKET_WEBSITE = "GetBucketWebsite"
    GET_BUCKET_LOGGING = "GetBucketLogging"
    GET_BUCKET_NOTIFICATION = "GetBucketNotificationConfiguration"
    GET_BUCKET_REQUEST_PAYMENT = "GetBucketRequestPayment"
    GET_BUCKET_ACCELERATE = "GetBucketAccelerateConfiguration"
    GET_BUCKET_OWNERSHIP = "GetBucketOwnershipControls"
    GET_OBJECT_LOCK = "GetObjectLockConfiguration"
    GET_PUBLIC_ACCESS_BLOCK = "GetPublicAccessBlock"
    PUT_BUCKET_ACL = "PutBucketAcl"
    PUT_BUCKET_CONFIGURATION = "PutBucket*"
    DELETE_BUCKET_CONFIGURATION = "DeleteBucket*"

    GET_OBJECT = "GetObject"
    HEAD_OBJECT = "HeadObject"
    GET_OBJECT_ATTRIBUTES = "GetObjectAttributes"
    PUT_OBJECT = "PutObject"
    COPY_OBJECT = "CopyObject"
    DELETE_OBJECT = "DeleteObject"
    GET_OBJECT_ACL = "GetObjectAcl"
    PUT_OBJECT_ACL = "PutObjectAcl"
    GET_OBJECT_TAGGING = "GetObjectTagging"
    PUT_OBJECT_TAGGING = "PutObjectTagging"
    DELETE_OBJECT_TAGGING = "DeleteObjectTagging"
    GET_OBJECT_RETENTION = "GetObjectRetention"
    GET_OBJECT_LEGAL_HOLD = "GetObjectLegalHold"

    CREATE_MULTIPART_UPLOAD = "CreateMultipartUpload"
    UPLOAD_PART = "UploadPart"
    UPLOAD_PART_COPY = "UploadPartCopy"
    COMPLETE_MULTIPART_UPLOAD = "CompleteMultipartUpload"
    ABORT_MULTIPART_UPLOAD = "AbortMultipartUpload"
    LIST_PARTS = "ListParts"


_O = Operation
Table = dict[str, dict[str, Operation]]

# method → sub-resource → operation; "" is the request without a sub-resource.
SERVICE: Final[Table] = {"GET": {"": _O.LIST_BUCKETS}}

BUCKET: Final[Table] = {
    "GET": {
        "": _O.LIST_OBJECTS,
        "list-type": _O.LIST_OBJECTS_V2,
        "versions": _O.LIST_OBJECT_VERSIONS,
        "uploads": _O.LIST_MULTIPART_UPLOADS,
        "location": _O.GET_BUCKET_LOCATION,
        "versioning": _O.GET_BUCKET_VERSIONING,
        "acl": _O.GET_BUCKET_ACL,
        "policy": _O.GET_BUCKET_POLICY,
        "policyStatus": _O.GET_BUCKET_POLICY_STATUS,
        "cors": _O.GET_BUCKET_CORS,
        "tagging": _O.GET_BUCKET_TAGGING,
        "encryption": _O.GET_BUCKET_ENCRYPTION,
        "lifecycle": _O.GET_BUCKET_LIFECYCLE,
        "replication": _O.GET_BUCKET_REPLICATION,
        "website": _O.GET_BUCKET_WEBSITE,
        "logging": _O.GET_BUCKET_LOGGING,
        "notification": _O.GET_BUCKET_NOTIFICATION,
        "requestPayment": _O.GET_BUCKET_REQUEST_PAYMENT,
        "accelerate": _O.GET_BUCKET_ACCELERATE,
        "ownershipControls": _O.GET_BUCKET_OWNERSHIP,
        "object-lock": _O.GET_OBJECT_LOCK,
        "publicAccessBlock": _O.GET_PUBLIC_ACCESS_BLOCK,
    },
    "HEAD": {"": _O.HEAD_BUCKET},
    "PUT": {
        "": _O.CREATE_BUCKET,
        "acl": _O.PUT_BUCKET_ACL,
        "versioning": _O.PUT_BUCKET_CONFIGURATION,
        "policy": _O.PUT_BUCKET_CONFIGURATION,
        "cors": _O.PUT_BUCKET_CONFIGURATION,
        "tagging": _O.PUT_BUCKET_CONFIGURATION,
        "encryption": _O.PUT_BUCKET_CONFIGURATION,
        "lifecycle": _O.PUT_BUCKET_CONFIGURATION,
    },
    "POST": {"delete": _O.DELETE_OBJECTS},
    "DELETE": {
        "": _O.DELETE_BUCKET,
        "policy": _O.DELETE_BUCKET_CONFIGURATION,
        "cors": _O.DELETE_BUCKET_CONFIGURATION,
        "tagging": _O.DELETE_BUCKET_CONFIGURATION,
        "encryption": _O.DELETE_BUCKET_CONFIGURATION,
        "lifecycle": _O.DELETE_BUCKET_CONFIGURATION,
    },
}

OBJECT: Final[Table] = {
    "GET": {
        "": _O.GET_OBJECT,
        "uploadId": _O.LIST_PARTS,
        "attributes": _O.GET_OBJECT_ATTRIBUTES,
        "acl": _O.GET_OBJECT_ACL,
        "tagging": _O.GET_OBJECT_TAGGING,
        "retention": _O.GET_OBJECT_RETENTION,
        "legal-hold": _O.GET_OBJECT_LEGAL_HOLD,
    },
    "HEAD": {"": _O.HEAD_OBJECT},
    "PUT": {
        "": _O.PUT_OBJECT,
        "uploadId": _O.UPLOAD_PART,
        "acl": _O.PUT_OBJECT_ACL,
        "tagging": _O.PUT_OBJECT_TAGGING,
    },
    "POST": {"uploads": _O.CREATE_MULTIPART_UPLOAD, "uploadId": _O.COMPLETE_MULTIPART_UPLOAD},
    "DELETE": {
        "": _O.DELETE_OBJECT,
        "uploadId": _O.ABORT_MULTIPART_UPLOAD,
        "tagging": _O.DELETE_OBJECT_TAGGING,
    },
}

_COPIES: Final = {_O.PUT_OBJECT: _O.COPY_OBJECT, _O.UPLOAD_PART: _O.UPLOAD_PART_COPY}

# Features we do not have: refused, so that no one mistakes `PUT k?restore` for `PUT k`.
_FEATURES: Final = frozenset(
    {
        "abac",
        "analytics",
        "annotation",
        "intelligent-tiering",
        "inventory",
        "metadataConfiguration",
        "metadataTable",
        "metrics",
        "renameObject",
        "restore",
        "select",
        "session",
        "torrent",
    }
)
# Parameters where they are not listed above.
_PARAMETERS: Final = frozenset({"", "list-type", "delete"})


def _subresources(table: Table) -> frozenset[str]:
    return frozenset(name for entries in table.values() for name in entries) - _PARAMETERS | _FEATURES


_BUCKET_SUBRESOURCES: Final = _subresources(BUCKET)
_OBJECT_SUBRESOURCES: Final = _subresources(OBJECT)


def identify(method: str, target: Target, headers: Headers) -> Operation:
    """Return the operation; raises S3Error MethodNotAllowed or NotImplemented."""
    table = OBJECT if target.key is not None else BUCKET if target.bucket is not None else SERVICE
    entries = table.get(method)
    if entries is None:
        raise _method_refused(method, table)
    if method == "POST" and entries.keys().isdisjoint(target.query):
        check_form_upload(method, target, headers)
        raise _post_refused(target)
    operation = _by_subresource(entries, target) if target.query else entries.get("")
    if operation is None:
        raise _method_refused(method, table)
    if method == "PUT":
        if operation is _O.PUT_OBJECT and "partNumber" in target.query:
            raise S3Error("InvalidArgument", "partNumber was given without uploadId.")
        if b"x-amz-copy-source" in headers:
            return _COPIES.get(operation, operation)
    elif operation is _O.LIST_OBJECTS_V2 and target.query["list-type"] != "2":
        return _O.LIST_OBJECTS
    return operation


def _by_subresource(entries: dict[str, Operation], target: Target) -> Operation | None:
    """Return what the query names; raises NotImplemented for what this method lacks."""
    for name in target.query:
        operation = entries.get(name)
        if operation is not None:
            return operation
    if target.bucket is not None:
        known = _OBJECT_SUBRESOURCES if target.key is not None else _BUCKET_SUBRESOURCES
        for name in target.query:
            if name in known:
                raise S3Error("NotImplemented", f"The sub-resource {name!r} is not implemented here.")
    return entries.get("")


def _method_refused(method: str, table: Table) -> S3Error:
    if method == "OPTIONS":
        return S3Error("AccessForbidden")
    allowed = ", ".join(sorted(table))
    return S3Error(
        "MethodNotAllowed",
        headers=[(b"allow", allowed.encode())],
        fields={"Method": method, "AllowedMethods": allowed},
    )


def check_form_upload(method: str, target: Target, headers: Headers) -> None:
    """Raise S3Error NotImplemented for what a browser's form uploads (API: POST Object)."""
    if method != "POST" or target.query or target.bucket is None:
        return
    content_type = headers.get(b"content-type") or b""
    if content_type.lower().startswith(b"multipart/form-data"):
        raise S3Error(
            "NotImplemented", "Uploads by HTML form are not implemented.", remedy="use a presigned PUT"
        )


def _post_refused(target: Target) -> S3Error:
    """Say why a POST is no operation."""
    if "uploads" in target.query or "uploadId" in target.query:
        # What Hadoop's staging committers send when the destination is the bucket root.
        return S3Error("InvalidRequest", "A multipart upload needs a key.", remedy="write below a folder")
    if not _FEATURES.isdisjoint(target.query):
        return S3Error("NotImplemented")
    return _method_refused("POST", OBJECT if target.key is not None else BUCKET)

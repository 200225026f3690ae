"""Small sub-resources: ?acl, ?policy and the like, answered alike by every bucket.

Decides the fixed answer to each.  It does not know whether the bucket or the
object exists, nor who may ask: check that first.  The codes are those that
clients look for (s3cmd reads ?policy and ?cors, mc ?object-lock and ?encryption).
"""

from __future__ import annotations

from typing import Final

from sidegate.s3.errors import S3Error
from sidegate.s3.operations import Operation
from sidegate.s3.responses import OWNER, render_document

_O = Operation

_ACL: Final = render_document(
    "AccessControlPolicy",
    f"<Owner>{OWNER}</Owner><AccessControlList><Grant>"
    '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
    f"{OWNER}</Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>",
)

DOCUMENTS: Final[dict[Operation, bytes]] = {
    _O.GET_BUCKET_VERSIONING: render_document("VersioningConfiguration", ""),
    _O.GET_BUCKET_LOGGING: render_document("BucketLoggingStatus", ""),
    _O.GET_BUCKET_NOTIFICATION: render_document("NotificationConfiguration", ""),
    _O.GET_BUCKET_ACCELERATE: render_document("AccelerateConfiguration", ""),
    _O.GET_BUCKET_REQUEST_PAYMENT: render_document(
        "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"
    ),
    _O.GET_BUCKET_ACL: _ACL,
    _O.GET_OBJECT_ACL: _ACL,
    _O.GET_OBJECT_TAGGING: render_document("Tagging", "<TagSet></TagSet>"),
}
"""Operations that are answered 200 with a document."""

ABSENT: Final[dict[Operation, str]] = {
    _O.GET_BUCKET_POLICY: "NoSuchBucketPolicy",
    _O.GET_BUCKET_POLICY_STATUS: "NoSuchBucketPolicy",
    _O.GET_BUCKET_CORS: "NoSuchCORSConfiguration",
    _O.GET_BUCKET_TAGGING: "NoSuchTagSet",
    _O.GET_BUCKET_ENCRYPTION: "ServerSideEncryptionConfigurationNotFoundError",
    _O.GET_BUCKET_LIFECYCLE: "NoSuchLifecycleConfiguration",
    _O.GET_BUCKET_REPLICATION: "ReplicationConfigurationNotFoundError",
    _O.GET_BUCKET_WEBSITE: "NoSuchWebsiteConfiguration",
    _O.GET_BUCKET_OWNERSHIP: "OwnershipControlsNotFoundError",
    _O.GET_OBJECT_LOCK: "ObjectLockConfigurationNotFoundError",
    _O.GET_PUBLIC_ACCESS_BLOCK: "NoSuchPublicAccessBlockConfiguration",
    _O.GET_OBJECT_RETENTION: "NoSuchObjectLockConfiguration",
    _O.GET_OBJECT_LEGAL_HOLD: "NoSuchObjectLockConfiguration",
}
"""Operations that are answered 404 with this code."""

ACCEPTED: Final[dict[Operation, int]] = {
    _O.PUT_BUCKET_ACL: 200,
    _O.PUT_OBJECT_ACL: 200,
    _O.PUT_OBJECT_TAGGING: 200,
    _O.DELETE_OBJECT_TAGGING: 204,
}
"""Operations that do nothing and are answered with this status and no body."""

REFUSED: Final = frozenset((_O.PUT_BUCKET_CONFIGURATION, _O.DELETE_BUCKET_CONFIGURATION))
"""Operations that no bucket allows: AccessDenied."""


def is_subresource(operation: Operation) -> bool:
    """Whether `answer_subresource` answers the operation."""
    return operation in DOCUMENTS or operation in ABSENT or operation in ACCEPTED or operation in REFUSED


def answer_subresource(operation: Operation) -> tuple[int, bytes]:
    """Return (status, document); raises S3Error with the code of what is absent."""
    if operation in REFUSED:
        raise S3Error("AccessDenied", "The configuration of a bucket cannot be changed through S3.")
    if operation in ABSENT:
        raise S3Error(ABSENT[operation])
    if operation in ACCEPTED:
        return ACCEPTED[operation], b""
    return 200, DOCUMENTS[operation]

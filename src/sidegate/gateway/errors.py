"""Errors of the layers below as S3 clients see them: one table."""

from __future__ import annotations

from sidegate import errors
from sidegate.http.errors import Reason
from sidegate.pfs.disk import StorageFull
from sidegate.s3.errors import S3Error

_CODES: tuple[tuple[type[errors.SidegateError], str], ...] = (
    (StorageFull, "StorageFull"),
    (errors.NotFound, "NoSuchKey"),
    (errors.Precondition, "PreconditionFailed"),
    (errors.Denied, "AccessDenied"),
    (errors.Conflict, "AccessDenied"),
    (errors.AlreadyExists, "BucketAlreadyOwnedByYou"),
    (errors.Unsupported, "NotImplemented"),
    (errors.Unavailable, "SlowDown"),
    (errors.Corrupt, "InternalError"),
    (errors.Invalid, "InvalidArgument"),
)
"""A Conflict is a write into an output that was closed meanwhile: not to be retried."""

_REASONS: dict[Reason, str] = {
    Reason.MALFORMED_HEAD: "InvalidRequest",
    Reason.FRAMING: "IncompleteBody",
    Reason.HEAD_TOO_LARGE: "RequestHeaderSectionTooLarge",
    Reason.METHOD: "MethodNotAllowed",
    Reason.VERSION: "InvalidRequest",
    Reason.EXPECTATION: "InvalidRequest",
    Reason.HEAD_TIMEOUT: "RequestTimeout",
    Reason.BODY_TIMEOUT: "RequestTimeout",
    Reason.PEER_GONE: "IncompleteBody",
    Reason.HANDLER_FAILED: "InternalError",
    Reason.TOO_MANY_CONNECTIONS: "SlowDown",
    Reason.ABANDONED: "InternalError",
}


def as_s3_error(error: errors.SidegateError) -> S3Error:
    """Return the S3 error for one of ours."""
    if isinstance(error, S3Error):
        return error
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "InternalError")
    return S3Error(code, error.message, remedy=error.remedy)


def rejection_error(reason: Reason) -> S3Error:
    """Return the S3 error for a request that HTTP refused."""
    return S3Error(_REASONS[reason])

"""Who may use a gateway: everyone, or the holders of its keys.

The sidecar takes every request: whoever reaches it is the job, and signatures
are not looked at.  `sidegate serve` beyond loopback has keys, and each grants
everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sidegate.http.message import Request
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.operations import check_form_upload
from sidegate.s3.signature import verify_signature
from sidegate.s3.target import Target

Authorize = Callable[[Request, Target, Headers], None]
"""Raises S3Error unless the request may be served."""


def require_keys(secrets: Mapping[str, str], clock: Callable[[], int]) -> Authorize:
    """Return what admits only requests signed with one of `secrets` (key to secret).

    An upload by form has its signature in a field of it; those are refused as what they are.
    `clock` gives microseconds since the epoch.
    """

    def authorize(request: Request, target: Target, headers: Headers) -> None:
        signer = verify_signature(
            request.method,
            request.target,
            target,
            headers,
            secret_of=secrets.get,
            now_seconds=clock() / 1_000_000,
        )
        if signer is None:
            check_form_upload(request.method, target, headers)
            raise S3Error("AccessDenied", "The request is not signed, and this gateway requires it.")

    return authorize

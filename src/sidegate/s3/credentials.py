"""What both signature versions need: the request as signed, and its keys.

Decides clock skew and how a signature is compared.  It does not know where
secrets are kept: they are looked up through a function, as is the time.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.target import Target

# "Signing and authenticating REST requests": within 15 minutes of the server's clock.
MAX_SKEW_SECONDS: Final = 15 * 60

SecretLookup = Callable[[str], str | None]
"""Access key → secret key, or None for an unknown one."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as its client signed it."""

    method: str
    raw_target: bytes
    target: Target
    headers: Headers

    @property
    def raw_path(self) -> bytes:
        """The path as sent, without query and authority."""
        path = self.raw_target.partition(b"?")[0]
        if path[:1] == b"/":
            return path
        return b"/" + path.split(b"//", 1)[-1].partition(b"/")[2]


def find_secret(access_key: str, secret_of: SecretLookup) -> str:
    """Return the secret; raises S3Error InvalidAccessKeyId."""
    secret = secret_of(access_key)
    if secret is None:
        raise S3Error("InvalidAccessKeyId", fields={"AWSAccessKeyId": access_key})
    return secret


def check_skew(signed_seconds: float, now_seconds: float) -> None:
    """Raise S3Error RequestTimeTooSkewed beyond 15 minutes either way."""
    if abs(now_seconds - signed_seconds) > MAX_SKEW_SECONDS:
        raise S3Error(
            "RequestTimeTooSkewed", fields={"MaxAllowedSkewMilliseconds": str(MAX_SKEW_SECONDS * 1000)}
        )


def check_signature(provided: str, computed: str, access_key: str, **fields: str) -> None:
    """Compare in constant time; raises S3Error SignatureDoesNotMatch.

    `fields` show the client what was signed here, as AWS does.
    """
    if not hmac.compare_digest(provided.encode(), computed.encode()):
        facts = {"AWSAccessKeyId": access_key, "SignatureProvided": provided, **fields}
        raise S3Error("SignatureDoesNotMatch", fields=facts)

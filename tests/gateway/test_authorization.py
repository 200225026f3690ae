"""What a gateway with keys says to those who do not sign with one."""

from __future__ import annotations

import pytest

from sidegate.gateway.authorization import require_keys
from sidegate.http.message import NO_BODY, Request
from sidegate.s3.errors import S3Error
from sidegate.s3.headers import Headers
from sidegate.s3.target import parse_target

AUTHORIZE = require_keys({"lab": "secret"}, lambda: 0)


@pytest.mark.parametrize(
    ("method", "target", "headers", "code"),
    [
        ("GET", b"/labs/k", [], "AccessDenied"),
        ("POST", b"/labs?delete", [(b"content-type", b"multipart/form-data; boundary=x")], "AccessDenied"),
        # Its signature is in a field of the form.
        ("POST", b"/labs/", [(b"content-type", b"multipart/form-data; boundary=x")], "NotImplemented"),
    ],
)
def test_unsigned_requests_are_refused_as_what_they_are(
    method: str, target: bytes, headers: list[tuple[bytes, bytes]], code: str
) -> None:
    request = Request(method, target, "1.1", headers, NO_BODY, "")
    with pytest.raises(S3Error) as caught:
        AUTHORIZE(request, parse_target(target, None), Headers(headers))
    assert caught.value.code == code

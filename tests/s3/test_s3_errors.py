from __future__ import annotations

from xml.etree import ElementTree

import pytest

from sidegate.errors import SidegateError
from sidegate.s3.errors import CODES, S3Error, render_error


def test_every_code_has_an_error_status_and_a_message() -> None:
    for code, (status, message) in CODES.items():
        assert 300 < status < 600, code
        assert message, code


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("NoSuchKey", 404),
        ("AccessDenied", 403),
        ("PreconditionFailed", 412),
        ("InvalidRange", 416),
        ("MissingContentLength", 411),
        ("SlowDown", 503),
        ("NotImplemented", 501),
        ("BucketAlreadyOwnedByYou", 409),
    ],
)
def test_status(code: str, status: int) -> None:
    assert S3Error(code).status == status


def test_an_unknown_code_is_a_bug() -> None:
    with pytest.raises(KeyError):
        S3Error("Nonsense")


def test_it_is_one_of_our_errors_and_carries_data() -> None:
    error = S3Error("EntityTooSmall", fields={"ProposedSize": "1"})
    assert isinstance(error, SidegateError)
    assert error.details == {"ProposedSize": "1"}


def test_xml_holds_fields_remedy_resource_and_request_id() -> None:
    error = S3Error("AccessDenied", "no <data>", remedy="set own-reads", fields={"Reason": "a & b\x00"})
    root = ElementTree.fromstring(render_error(error, "/out/k<\x01", "id7"))
    assert root.tag == "Error"
    assert {child.tag: child.text for child in root} == {
        "Code": "AccessDenied",
        "Message": "no <data> (set own-reads)",
        "Reason": "a & b\ufffd",
        "Resource": "/out/k<\ufffd",
        "RequestId": "id7",
    }

"""What a client made up is not kept because it was asked once: it may be as long as a request."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest
from gateway_harness import Client

from sidegate.s3.documents import parse_complete
from sidegate.s3.errors import S3Error
from sidegate.s3.escaping import encode_url
from sidegate.s3.headers import Headers
from sidegate.s3.signature import verify_signature
from sidegate.s3.target import bucket_of_host, parse_target

LENGTH = 50_000
COUNT = 60


def kept_bytes(ask: Callable[[str], object]) -> int:
    """Return how much more is allocated after long texts, each another, were asked for."""
    with suppress(S3Error):
        ask("first")
    tracemalloc.start()
    try:
        for number in range(COUNT):
            with suppress(S3Error):
                ask(f"{number:04d}" + LENGTH * "x")
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def verify_region(region: str) -> None:
    scope = f"key/20130524/{region}/s3/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={scope},SignedHeaders=host;x-amz-date,Signature=0"
    headers = Headers(
        [
            (b"host", b"s3.test"),
            (b"x-amz-date", b"20130524T000000Z"),
            (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
            (b"authorization", authorization.encode()),
        ]
    )
    secrets = {"key": "secret"}
    verify_signature(
        "GET", b"/b/k", parse_target(b"/b/k", None), headers, secret_of=secrets.get, now_seconds=1369353600
    )


RESERVED = str.maketrans("0123456789", "!#$&()*+,;")

ASKING: dict[str, Callable[[str], object]] = {
    "host": lambda text: bucket_of_host(f"{text}.s3.test".encode(), ("s3.test",)),
    "authority": lambda text: parse_target(f"http://other{text}.s3.test/k".encode(), None, ("s3.test",)),
    "prefix": lambda text: encode_url(text.replace("x", "%").translate(RESERVED)),
    "element": lambda text: parse_complete(f"<a{text}/>".encode()),
    "region": verify_region,
}


@pytest.mark.parametrize("name", ASKING)
def test_long_texts_are_not_remembered(name: str) -> None:
    assert kept_bytes(ASKING[name]) < LENGTH * COUNT // 4


def test_long_targets_are_not_remembered(general: Client) -> None:
    assert kept_bytes(lambda text: general.get(f"/nobucket/k?a={text}")) < LENGTH * COUNT // 4


def test_the_answers_are_the_same() -> None:
    long = "x" * LENGTH
    assert bucket_of_host(f"{long}.s3.test:80".encode(), ("s3.test",)) == long
    assert encode_url("a" + "é" * 1000) == "a" + "%C3%A9" * 1000
    with pytest.raises(S3Error, match="signature") as caught:
        verify_region(long)
    assert caught.value.code == "SignatureDoesNotMatch"

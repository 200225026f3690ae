"""Namespaces: which buckets a gateway shows and who may make or remove them."""

from __future__ import annotations

from typing import Protocol

from sidegate.gateway.buckets import Bucket
from sidegate.gateway.traffic import Traffic
from sidegate.s3.errors import S3Error


class Namespace(Protocol):
    """The buckets of one gateway.  Calls may do I/O unless they say otherwise."""

    @property
    def traffic(self) -> Traffic | None:
        """Where requests are counted, None where nobody asks."""

    def peek(self, name: str) -> Bucket | None:
        """Return a bucket as it is right now if that is known without I/O, else None.

        Called on the event loop for each request: what it returns holds for that
        request only.
        """

    def get(self, name: str) -> Bucket:
        """Return a bucket; raises S3Error NoSuchBucket, AccessDenied when closed."""

    def list(self) -> list[tuple[str, int]]:
        """Return (name, creation time in microseconds) of the buckets to show."""

    def create(self, name: str) -> None:
        """Make a bucket; raises S3Error."""

    def delete(self, name: str) -> None:
        """Remove a bucket; raises S3Error."""


def no_such_bucket(name: str) -> S3Error:
    """Return the refusal of an unknown bucket."""
    return S3Error("NoSuchBucket", fields={"BucketName": name})

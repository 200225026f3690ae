"""Where a run works on a server: a bucket that it makes, or a folder in one that it was told to use.

Taken before anything is stored, given back at the end: also when the run is
interrupted, uploads that are still open included, and nothing that is not the run's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from sidegate.bench.client import Answer, Client, Refused, Unanswered
from sidegate.bench.corpus import LISTED_BODY
from sidegate.errors import Denied, SidegateError, Unsupported

NAME_PREFIX: Final = "sidegate-bench-"
CLAIM_SECONDS: Final = 20.0
"""How long a server may be silent that is asked for a place: with one that hangs nothing is lost yet."""

Tell = Callable[[str], None]
"""Gets what happens in a run, line by line."""


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, and the folder in it that belongs to this run: none when the bucket does."""

    bucket: str
    folder: str = ""

    @property
    def path(self) -> str:
        """What stands before a key in a request."""
        return f"{self.bucket}/{self.folder}" if self.folder else self.bucket

    @property
    def prefix(self) -> str:
        """What all keys of this run begin with."""
        return f"{self.folder}/" if self.folder else ""


@contextmanager
def claimed(
    client: Client, label: str, bucket: str | None, *, use_existing: bool, tell: Tell, tell_left: Tell
) -> Iterator[Place]:
    """Make a bucket, or take one that is there if that is allowed; remove at the end what was stored.

    `tell_left` gets what had to be left.  Raises Denied for a bucket that the run did
    not make, Refused when none can be made, Unsupported for a server that does not give
    back what it takes, Unavailable.
    """
    place = _choose(client, label, bucket, use_existing=use_existing)
    with ExitStack() as stack:
        stack.callback(_give_back, client, label, place, tell, tell_left)
        if not place.folder:
            try:
                _make_bucket(client, label, place.bucket)
            except (Unanswered, KeyboardInterrupt):
                tell_left(
                    f"{label} was asked to make the bucket {place.bucket} and has not answered: "
                    "it may make it yet"
                )
                raise
            except SidegateError:
                stack.pop_all()  # there is nothing to give back
                raise
        _probe(client, label, place)
        yield place


def _choose(client: Client, label: str, bucket: str | None, *, use_existing: bool) -> Place:
    """Return where to work; raises Denied for a bucket that is somebody else's."""
    if bucket is None or not _is_there(client, label, bucket):
        return Place(bucket or NAME_PREFIX + secrets.token_hex(6))
    if not use_existing:
        raise Denied(
            f"{label} has a bucket {bucket!r} that this run did not make",
            remedy="leave out --bucket, or allow it with --use-existing",
        )
    return Place(bucket, NAME_PREFIX + secrets.token_hex(6))


def _make_bucket(client: Client, label: str, bucket: str) -> None:
    answer = client.ask("PUT", f"/{bucket}", silence_seconds=CLAIM_SECONDS)
    if answer.status not in (200, 204):
        raise Refused(
            f"{label} does not let this run make a bucket: {answer.error()}",
            remedy="check keys and region, or name a bucket: --bucket NAME --use-existing",
        )


def _is_there(client: Client, label: str, bucket: str) -> bool:
    """Whether there is a bucket, be it somebody else's; raises Refused when the server does not say."""
    status = client.ask("HEAD", f"/{bucket}", silence_seconds=CLAIM_SECONDS).status
    if status in (200, 301, 307, 403, 404):  # API_HeadBucket: moved, or forbidden
        return status != 404
    raise Refused(
        f"{label} does not say whether there is a bucket {bucket!r}: {status}",
        remedy="it may not allow that name; leave out --bucket for a random one",
    )


def _probe(client: Client, label: str, place: Place) -> None:
    """See that what is written can be read."""
    path = f"/{place.path}/probe"
    written = client.ask("PUT", path, body=LISTED_BODY, silence_seconds=CLAIM_SECONDS)
    if written.status != 200:
        raise Unsupported(
            f"{label} takes no writes into bucket {place.bucket!r}: {written.error()}",
            remedy="a read-only server cannot be measured: this run loads its own data",
        )
    read = client.ask("GET", path, silence_seconds=CLAIM_SECONDS)
    if read.status != 200:
        raise Unsupported(
            f"{label} takes writes into bucket {place.bucket!r} and does not give them back: {read.error()}",
            remedy="the `out` of a sidegate job is like that; `sidegate bench self` measures one",
        )
    if read.body != LISTED_BODY:
        raise Unsupported(
            f"{label} gives back other bytes than were written to {path}: {read.body[:40]!r}",
            remedy="it cannot be measured",
        )


def _give_back(client: Client, label: str, place: Place, tell: Tell, tell_left: Tell) -> None:
    """Remove what the run stored there.  An interrupt ends that, and no more than that."""
    tell(f"removing what was stored on {label}")
    try:
        left = _remove(client, place)
    except KeyboardInterrupt:
        left = f"{place.path} is left behind: interrupted while it was being removed"
    if left is not None:
        tell_left(f"{label}: {left}")


def _remove(client: Client, place: Place) -> str | None:
    """Remove what the run stored; returns what had to be left, None when nothing had to be."""
    try:
        _abort_uploads(client, place)
        client.clear(place.bucket, place.prefix)
        if client.keeps_versions(place.bucket):
            client.clear_versions(place.bucket, place.prefix)
        answer = None if place.folder else client.ask("DELETE", f"/{place.bucket}")
    except SidegateError as error:
        return f"{place.path} is left behind: {error.message}"
    return _left(place, answer)


def _abort_uploads(client: Client, place: Place) -> None:
    """End the uploads that are open, where the server says which.

    s3s-fs and rclone do not; what a cell opened there it has ended itself.
    """
    try:
        uploads = client.open_uploads(place.bucket)
    except Refused:
        return
    for key, upload in uploads:
        if key.startswith(place.prefix):
            client.abort_upload(place.bucket, key, upload)


def _left(place: Place, answer: Answer | None) -> str | None:
    if answer is None or answer.status in (200, 204, 404):
        return None
    return f"the bucket {place.bucket} is left behind: {answer.error()}"

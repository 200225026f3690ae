"""What a run stores before it measures, and takes away afterwards.

A run works in a bucket that it made, or in a folder of its own of a bucket that
it was told to use; it removes what it made, uploads that are still open
included, and nothing else.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidegate.bench import plans
from sidegate.bench.cells import Cell
from sidegate.bench.client import DELETED_AT_ONCE, Answer, Client, Refused
from sidegate.bench.corpus import LISTED_BODY, SMALL_BYTES, Scale, Stored, listed_key
from sidegate.bench.target import Target
from sidegate.bench.wrong_answers import shown_answer
from sidegate.errors import Denied, SidegateError, Unsupported
from sidegate.native import Script
from sidegate.native.exchange import Exchange, Payload, Rhythm

NAME_PREFIX: Final = "sidegate-bench-"
LOADING_SECONDS: Final = 300.0
LOADING_CONNECTIONS: Final = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, and the folder in it that belongs to this run: none when the bucket does."""

    bucket: str
    folder: str = ""

    @property
    def path(self) -> str:
        """What stands before a key in a request."""
        return f"{self.bucket}/{self.folder}" if self.folder else self.bucket


def claim(client: Client, label: str, bucket: str | None, *, use_existing: bool) -> Place:
    """Make a bucket, or take one that is there if that is allowed.

    Raises Denied for a bucket that the run did not make, Refused when none can
    be made, Unsupported for a server that does not give back what it takes.
    """
    name = bucket or NAME_PREFIX + secrets.token_hex(6)
    if bucket is not None and _is_there(client, label, bucket):
        if not use_existing:
            raise Denied(
                f"{label} has a bucket {bucket!r} that this run did not make",
                remedy="leave out --bucket, or allow it with --use-existing",
            )
        place = Place(bucket, NAME_PREFIX + secrets.token_hex(6))
    else:
        answer = client.ask("PUT", f"/{name}")
        if answer.status not in (200, 204):
            raise Refused(
                f"{label} does not let this run make a bucket: {answer.error()}",
                remedy="check keys and region, or name a bucket: --bucket NAME --use-existing",
            )
        place = Place(name)
    try:
        _probe(client, label, place)
    except SidegateError:
        remove(client, place)
        raise
    return place


def _is_there(client: Client, label: str, bucket: str) -> bool:
    """Whether there is a bucket, be it somebody else's; raises Refused when the server does not say."""
    status = client.ask("HEAD", f"/{bucket}").status
    if status in (200, 301, 307, 403, 404):  # API_HeadBucket: moved, or forbidden
        return status != 404
    raise Refused(
        f"{label} does not say whether there is a bucket {bucket!r}: {status}",
        remedy="it may not allow that name; leave out --bucket for a random one",
    )


def _probe(client: Client, label: str, place: Place) -> None:
    """See that what is written can be read."""
    path = f"/{place.path}/probe"
    written = client.ask("PUT", path, body=LISTED_BODY)
    if written.status != 200:
        raise Unsupported(
            f"{label} takes no writes into bucket {place.bucket!r}: {written.error()}",
            remedy="a read-only server cannot be measured: this run loads its own data",
        )
    read = client.ask("GET", path)
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


def load(target: Target, cells: Sequence[Cell], scale: Scale) -> None:
    """Store what the cells read; raises Refused, Unavailable."""
    stored = {one.key: one for cell in cells for one in plans.stored_objects(cell, scale)}
    small = [one for one in stored.values() if one.size_bytes <= SMALL_BYTES]
    if small:
        exchanges = [_put(target, one.key, one.size_bytes) for one in small]
        _send(target, exchanges, small[0].payload, small[0].serials[0])
    for one in stored.values():
        if one.size_bytes > SMALL_BYTES:
            _load_large(target, one)
    if any("listed" in cell.needs for cell in cells):
        keys = [listed_key(number, scale.listed_keys) for number in range(scale.listed_keys)]
        exchanges = [_put(target, key, len(LISTED_BODY)) for key in keys]
        _send(target, exchanges, Payload(LISTED_BODY), 0)


def remove(client: Client, place: Place) -> str | None:
    """Remove what the run stored; returns what had to be left, None when nothing had to be."""
    try:
        _abort_uploads(client, place)
        client.clear(place.bucket, place.folder)
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
        if key.startswith(place.folder):
            client.abort_upload(place.bucket, key, upload)


def _left(place: Place, answer: Answer | None) -> str | None:
    if answer is None or answer.status in (200, 204, 404):
        return None
    return f"the bucket {place.bucket} is left behind: {answer.error()}"


def _put(target: Target, key: str, size_bytes: int) -> Exchange:
    fields = {"content-length": str(size_bytes)}
    return Exchange(target.signer.head("PUT", f"/{target.writes}/{key}", headers=fields), 200)


def _send(target: Target, exchanges: list[Exchange], payload: Payload, first_serial: int) -> list[bytes]:
    """Make each exchange once; returns the beginnings of the answers when they are few."""
    count = len(exchanges)
    tally = target.load(
        Script(exchanges, payload),
        min(LOADING_CONNECTIONS, count),
        Rhythm(LOADING_SECONDS, count, 60.0, False),
        first_serial=first_serial,
        keep_answers=count <= DELETED_AT_ONCE,
    )
    if tally.answered == count:
        return tally.answers
    if tally.examples:
        position, answer = tally.examples[0]
        line = exchanges[position].head.partition(b"?")[0].partition(b" HTTP")[0].decode("latin-1")
        raise Refused(f"{target.label} did not take {line}: {shown_answer(answer)}")
    raise Refused(
        f"{target.label} took {tally.answered} of {count} objects in {tally.seconds:.0f} s",
        remedy="use a smaller --scale",
    )


def _load_large(target: Target, stored: Stored) -> None:
    if len(stored.serials) == 1:
        _send(target, [_put(target, stored.key, stored.size_bytes)], stored.payload, stored.serials[0])
        return
    with target.client() as client:
        upload = client.begin_upload(target.writes, stored.key)
        parts = plans.part_exchanges(
            target, stored.key, upload, len(stored.serials), len(stored.payload.template)
        )
        answers = _send(target, parts, stored.payload, stored.serials[0])
        body = plans.completion([plans.etag_of(answer) for answer in answers])
        client.demand("POST", f"/{target.writes}/{stored.key}", [("uploadId", upload)], body)

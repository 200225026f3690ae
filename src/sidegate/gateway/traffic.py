"""What a job does with its buckets: requests, objects, bytes, refusals.

Counted on the event loop's thread alone, so nothing is locked; other threads may
look at any time and see numbers of the same moment, give or take a request.
Bytes are those of objects, as sent or received so far; a copy moves none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, cast

from sidegate.http.message import FileSegment, Response, Segment, Segments
from sidegate.s3.errors import S3Error
from sidegate.s3.operations import Operation

OBJECTS_TOLD_APART = 1 << 16
"""Beyond this a bucket's objects are no longer told apart: about 10 MB of keys."""

READ, LOOK, LIST, WRITE, COPY, DELETE, OTHER = "read", "look", "list", "write", "copy", "delete", "other"

_O = Operation
_GET = _O.GET_OBJECT

KINDS: Mapping[Operation, str] = {
    _O.GET_OBJECT: READ,
    _O.HEAD_OBJECT: LOOK,
    _O.GET_OBJECT_ATTRIBUTES: LOOK,
    _O.LIST_OBJECTS: LIST,
    _O.LIST_OBJECTS_V2: LIST,
    _O.PUT_OBJECT: WRITE,
    _O.CREATE_MULTIPART_UPLOAD: WRITE,
    _O.UPLOAD_PART: WRITE,
    _O.COMPLETE_MULTIPART_UPLOAD: WRITE,
    _O.ABORT_MULTIPART_UPLOAD: WRITE,
    _O.COPY_OBJECT: COPY,
    _O.UPLOAD_PART_COPY: COPY,
    _O.DELETE_OBJECT: DELETE,
    _O.DELETE_OBJECTS: DELETE,
}
"""Operation → kind of request; all others are OTHER."""

_WRITES_WHOLE = frozenset((_O.PUT_OBJECT, _O.COMPLETE_MULTIPART_UPLOAD))

_DID = {READ: "read", WRITE: "wrote to", COPY: "copied to", DELETE: "deleted"}

_EXPECTED = frozenset((304, 404, 412))
"""Answers that a client asks for: a look-up of what may not be there, a condition."""


class BucketTraffic:
    """The counts of one bucket, whichever of its names a request used."""

    __slots__ = (
        "is_exact",
        "name",
        "other_requests",
        "read_keys",
        "reads",
        "received_bytes",
        "refusals",
        "sent_bytes",
        "written_keys",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.reads = 0
        """Requests of kind READ, apart from the others because they are many."""
        self.other_requests: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.read_keys: set[str] = set()
        self.written_keys: set[str] = set()
        self.is_exact = True
        """Whether the sets hold every key; else there were more than they hold."""
        self.sent_bytes = 0
        self.received_bytes = 0

    def count_answer(self, operation: Operation, key: str, response: Response) -> None:
        """Count a request that was carried out; its body is counted while it leaves."""
        if operation is _GET:
            self.count_read(key, len(response.body))
            if response.segments is not None:
                response.segments = self._counted(response.segments)
            return
        self.other_requests[KINDS.get(operation, OTHER)] += 1
        if operation in _WRITES_WHOLE:
            self._note_written(key)

    def count_put(self, key: str) -> None:
        """Count a PUT that was carried out."""
        self.other_requests[WRITE] += 1
        self._note_written(key)

    def count_read(self, key: str, sent_bytes: int) -> None:
        """Count a GET that was answered with so many bytes at once."""
        self.reads += 1
        self.sent_bytes += sent_bytes
        if key not in self.read_keys:
            self._tell_apart(self.read_keys, key)

    def count_segments(self, key: str, segments: Iterator[Segment]) -> Iterator[Segment]:
        """Count a GET whose body leaves in segments, each when it does."""
        self.count_read(key, 0)
        return self._count(segments)

    def count_look(self) -> None:
        """Count a HEAD of an object that is there."""
        self.other_requests[LOOK] += 1

    def take(self) -> dict[str, Any]:
        """Return what was counted since the last time, as plain data, and count from zero."""
        taken = {
            "reads": self.reads,
            "other_requests": dict(self.other_requests),
            "refusals": dict(self.refusals),
            "read_keys": list(self.read_keys),
            "written_keys": list(self.written_keys),
            "is_exact": self.is_exact,
            "sent_bytes": self.sent_bytes,
            "received_bytes": self.received_bytes,
        }
        self.__init__(self.name)  # type: ignore[misc]
        return taken

    def add(self, taken: Mapping[str, Any]) -> None:
        """Count what another process has taken."""
        self.reads += taken["reads"]
        self.other_requests.update(taken["other_requests"])
        self.refusals.update(taken["refusals"])
        for name in ("read_keys", "written_keys"):
            keys: set[str] = getattr(self, name)
            for key in taken[name]:
                if key not in keys:
                    self._tell_apart(keys, key)
        self.is_exact = self.is_exact and taken["is_exact"]
        self.sent_bytes += taken["sent_bytes"]
        self.received_bytes += taken["received_bytes"]

    def count_request(self, kind: str) -> None:
        """Count a request that came to nothing."""
        if kind == READ:
            self.reads += 1
        else:
            self.other_requests[kind] += 1

    @property
    def requests(self) -> dict[str, int]:
        """The requests by kind."""
        reads = {READ: self.reads} if self.reads else {}
        return {**reads, **self.other_requests}

    def _note_written(self, key: str) -> None:
        if key not in self.written_keys:
            self._tell_apart(self.written_keys, key)

    def _tell_apart(self, keys: set[str], key: str) -> None:
        if len(keys) < OBJECTS_TOLD_APART:
            keys.add(key)
        else:
            self.is_exact = False

    def _counted(self, segments: Segments) -> Segments:
        if hasattr(segments, "__anext__"):
            return self._count_later(cast("AsyncIterator[Segment]", segments))
        return self._count(segments)

    def _count(self, segments: Iterator[Segment]) -> Iterator[Segment]:
        for segment in segments:
            self.sent_bytes += _size_bytes(segment)
            yield segment

    async def _count_later(self, segments: AsyncIterator[Segment]) -> AsyncIterator[Segment]:
        try:
            async for segment in segments:
                self.sent_bytes += _size_bytes(segment)
                yield segment
        finally:
            if hasattr(segments, "aclose"):
                await segments.aclose()


def _size_bytes(segment: Segment) -> int:
    return segment.length if isinstance(segment, FileSegment) else len(segment)


class Traffic:
    """What one session's buckets were asked for."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """`names` maps each name that a bucket answers to, to the one it is shown by."""
        self.buckets = {shown: BucketTraffic(shown) for shown in names.values()}
        self.by_name: Mapping[str | None, BucketTraffic] = {
            name: self.buckets[shown] for name, shown in names.items()
        }
        """The counts by every name; a request without a bucket has the name None."""
        self._denials: dict[tuple[str, str], str] = {}

    def denials(self) -> Iterable[tuple[tuple[str, str], str]]:
        """Return (bucket and kind, sentence) of the first denied request of each kind."""
        return list(self._denials.items())

    def take(self) -> dict[str, Any]:
        """Return what was counted since the last time, as plain data, and count from zero."""
        denials, self._denials = self._denials, {}
        return {
            "buckets": {name: bucket.take() for name, bucket in self.buckets.items()},
            "denials": [[*which, sentence] for which, sentence in denials.items()],
        }

    def add(self, taken: Mapping[str, Any]) -> None:
        """Count what another process has taken from a session with the same buckets."""
        for name, counts in taken["buckets"].items():
            self.buckets[name].add(counts)
        for bucket, kind, sentence in taken["denials"]:
            self._denials.setdefault((bucket, kind), sentence)

    def count_refusal(
        self, operation: Operation, bucket: str | None, key: str | None, error: S3Error
    ) -> None:
        """Count a request that was refused, and keep the sentence for its kind."""
        counts = self.by_name.get(bucket)
        kind = KINDS.get(operation, OTHER)
        if counts is not None:
            counts.count_request(kind)
            if error.status not in _EXPECTED:
                counts.refusals[error.code] += 1
        if error.code == "AccessDenied":
            # One sentence for all names that are no bucket: a job may try thousands.
            which = (counts.name if counts is not None else "", kind if kind in _DID else operation.value)
            if which not in self._denials:
                self._denials[which] = _describe(operation, kind, bucket, key, error)


def _describe(operation: Operation, kind: str, bucket: str | None, key: str | None, error: S3Error) -> str:
    place = f"s3://{bucket or ''}" + (f"/{key}" if key is not None else "")
    did = _DID.get(kind, f"asked for {operation.value} of")
    reason = error.message[:1].lower() + error.message[1:].removesuffix(".")
    return f"the job {did} {place}: {reason}" + (f"; {error.remedy}" if error.remedy else "")

"""From cells to exchanges: requests rendered beforehand, and what must come back.

Where one request would do, many are rendered that differ in their signatures, so
that no server answers the same bytes twice from a cache of requests.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from xml.sax.saxutils import escape, unescape

from sidegate.bench.cells import Cell
from sidegate.bench.corpus import (
    PAGE_KEYS,
    SMALL_BYTES,
    Scale,
    Stored,
    incompressible,
    large_object,
    listed_key,
    measurements,
    plain_object,
    small_object,
    table_object,
)
from sidegate.bench.target import Target
from sidegate.native.exchange import Exchange, Payload

LARGE_POOL: Final = 64
"""Different requests for one large object."""

Matches = Callable[[bytes, dict[str, str]], bool]
"""Whether body and headers of an answer are right."""

OUTPUT_PREFIX: Final = "written"
_BARE_FROM_MEMORY_BYTES: Final = 32 << 10
_LISTING_BYTES: Final = 300_000
"""About how long a page of 1000 keys is."""

_FOLDERS_QUERY: Final = (("list-type", "2"), ("delimiter", "/"), ("prefix", "keys/"))
_FOLDERS_BYTES: Final = 9_000


@dataclass(frozen=True, slots=True)
class Expected:
    """What a sampled request must return in full, asked outside of the measured time."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]
    matches: Matches


def reading_exchanges(cell: Cell, target: Target, scale: Scale) -> list[Exchange]:
    """Return what asks a target for the answers of a reading cell."""
    return list(_READING[cell.operation](cell, target, scale))


def bare_exchanges(cell: Cell, target: Target, scale: Scale) -> list[Exchange]:
    """Return what asks the yardstick for about the same, none when there is no such."""
    size = cell.moved_bytes(scale)
    head = target.signer.head
    match cell.operation:
        case "head":
            return [
                Exchange(head("HEAD", f"/bytes/{0:021d}/{n:06d}.bin", variant=n), 200, 0)
                for n in range(scale.pool)
            ]
        case "get" | "range":
            kind = "bytes" if size <= _BARE_FROM_MEMORY_BYTES else "file"
            count = scale.pool if size <= _BARE_FROM_MEMORY_BYTES else LARGE_POOL
        case "list" | "folders":
            kind, count = "bytes", LARGE_POOL
            size = _LISTING_BYTES if cell.operation == "list" else _FOLDERS_BYTES
        case "put" if not cell.digest:
            fields = {"content-length": str(size)}
            return [
                Exchange(head("PUT", f"/drop/{n:021d}/{n:06d}", headers=fields, variant=n), 200)
                for n in range(LARGE_POOL)
            ]
        case _:
            return []
    return [
        Exchange(head("GET", f"/{kind}/{size:021d}/{n:06d}.bin", variant=n), 200, size) for n in range(count)
    ]


def stored_objects(cell: Cell, scale: Scale) -> list[Stored]:
    """Return the objects that a cell reads or copies."""
    size = scale.size(cell.size_bytes)
    found: list[Stored] = []
    if "small" in cell.needs or "branch" in cell.needs:
        found += [small_object(number) for number in range(scale.small_objects)]
    if "large" in cell.needs:
        found.append(large_object(scale))
    if "plain" in cell.needs:
        found.append(plain_object(size or scale.size(64 << 20)))
    if "table" in cell.needs:
        found.append(table_object(size))
    return found


def payload_of(cell: Cell, scale: Scale) -> Payload:
    """Return the bodies that an uploading cell sends."""
    size = cell.moved_bytes(scale)
    return measurements(size) if cell.compressible else incompressible(size)


def written_key(cell: Cell, number: int) -> str:
    """Return the key of the n-th object that a cell writes."""
    return f"{written_folder(cell)}/{number % 64:02d}/{number:08d}.bin"


def written_folder(cell: Cell) -> str:
    """Return the folder of all that a cell writes."""
    return f"{OUTPUT_PREFIX}/{cell.name}"


def put_exchange(
    cell: Cell,
    target: Target,
    number: int,
    variant: int,
    length_bytes: int,
    headers: dict[str, str] | None = None,
    payload_hash: str | None = None,
    tail: bytes = b"",
) -> Exchange:
    """Return one upload of the object `number`; a hash is signed in headers, as SDKs do."""
    fields = {"content-length": str(length_bytes), **(headers or {})}
    path = f"/{target.writes}/{written_key(cell, number)}"
    if payload_hash is None:
        return Exchange(target.signer.head("PUT", path, headers=fields, variant=variant), 200)
    signer = target.signer.in_style("header")
    head = signer.head("PUT", path, headers=fields, payload_hash=payload_hash, variant=variant)
    return Exchange(head, 200, tail=tail)


def copy_exchanges(cell: Cell, target: Target, scale: Scale, upload: str | None) -> list[Exchange]:
    """Return copies of the plain object, as parts of an upload when one is given."""
    (source,) = stored_objects(cell, scale)
    fields = {"x-amz-copy-source": f"/{target.reads}/{source.key}", "content-length": "0"}
    found = []
    for number in range(LARGE_POOL):
        query = [("partNumber", str(number + 1)), ("uploadId", upload)] if upload else []
        path = f"/{target.writes}/{written_key(cell, 0 if upload else number)}"
        head = target.signer.head("PUT", path, query, fields, variant=number)
        found.append(Exchange(head, 200, holds=b"ETag>"))
    return found


def creation_exchange(target: Target, key: str) -> Exchange:
    """Return the beginning of an upload."""
    head = target.signer.head("POST", f"/{target.writes}/{key}", [("uploads", "")], {"content-length": "0"})
    return Exchange(head, 200, holds=b"UploadId>")


def upload_id_in(answer: bytes) -> str:
    """Return the id in the answer to the beginning of an upload, empty when there is none."""
    found = re.search(rb"UploadId>([^<]+)<", answer.partition(b"\r\n\r\n")[2])
    return unescape(found[1].decode(), {"&quot;": '"', "&#34;": '"'}) if found else ""


def copy_exchange(target: Target, source: str, key: str) -> Exchange:
    """Return the copy of an object, `source` with its bucket."""
    fields = {"x-amz-copy-source": f"/{source}", "content-length": "0"}
    return Exchange(target.signer.head("PUT", f"/{target.writes}/{key}", (), fields), 200, holds=b"ETag>")


def part_exchanges(target: Target, key: str, upload: str, count: int, part_bytes: int) -> list[Exchange]:
    """Return the parts of an upload."""
    fields = {"content-length": str(part_bytes)}
    return [
        Exchange(
            target.signer.head(
                "PUT",
                f"/{target.writes}/{key}",
                [("partNumber", str(number)), ("uploadId", upload)],
                fields,
                variant=number,
            ),
            200,
        )
        for number in range(1, count + 1)
    ]


def range_copy_exchanges(
    target: Target, key: str, upload: str, source: str, ranges: Sequence[tuple[int, int]]
) -> list[Exchange]:
    """Return the parts of an upload as copies of ranges of an object; ends are exclusive."""
    found = []
    for number, (start, end) in enumerate(ranges, 1):
        fields = {
            "x-amz-copy-source": source,
            "x-amz-copy-source-range": f"bytes={start}-{end - 1}",
            "content-length": "0",
        }
        query = [("partNumber", str(number)), ("uploadId", upload)]
        head = target.signer.head("PUT", f"/{target.writes}/{key}", query, fields, variant=number)
        found.append(Exchange(head, 200, holds=b"ETag>"))
    return found


def etag_in_body(answer: bytes) -> str:
    """Return the ETag in the document of an answer to a copy, empty when there is none."""
    found = re.search(rb"<ETag>(.*?)</ETag>", answer.partition(b"\r\n\r\n")[2])
    return unescape(found[1].decode(), {"&quot;": '"', "&#34;": '"'}) if found else ""


def etag_of(answer: bytes) -> str:
    """Return the ETag in the head of an answer, empty when there is none."""
    for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"etag":
            return value.strip().decode("latin-1")
    return ""


def completion_exchange(target: Target, key: str, upload: str, etags: Sequence[str]) -> Exchange:
    """Return the Complete of an upload.  An error that comes with status 200 has no ETag."""
    document = completion(etags)
    head = target.signer.head(
        "POST",
        f"/{target.writes}/{key}",
        [("uploadId", upload)],
        {"content-length": str(len(document)), "content-type": "application/xml"},
    )
    return Exchange(head + document, 200, holds=b"ETag>")


def completion(etags: Sequence[str]) -> bytes:
    """Return the body of a CompleteMultipartUpload."""
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def expectations(cell: Cell, target: Target, scale: Scale, count: int) -> Iterator[Expected]:
    """Yield a sample of what a reading cell must return in full."""
    return itertools.islice(_EXPECTED[cell.operation](cell, target, scale), count)


def _objects(cell: Cell, target: Target, scale: Scale, method: str, bucket: str) -> Iterator[Exchange]:
    stored = stored_objects(cell, scale)
    bodies: list[bytes | None] = [None] * len(stored)
    if method == "GET" and stored[0].size_bytes <= SMALL_BYTES:
        bodies = [one.read(0, one.size_bytes) for one in stored]
    for number in range(scale.pool if len(stored) > 1 else LARGE_POOL):
        one, body = stored[number % len(stored)], bodies[number % len(stored)]
        head = target.signer.head(method, f"/{bucket}/{one.key}", variant=number)
        yield Exchange(head, 200, 0 if method == "HEAD" else one.size_bytes, body)


def _ranges(cell: Cell, target: Target, scale: Scale) -> Iterator[Exchange]:
    size = cell.moved_bytes(scale)
    for number, offset in enumerate(_offsets(size, scale.large_bytes, scale.pool)):
        fields = {"range": f"bytes={offset}-{offset + size - 1}"}
        head = target.signer.head("GET", f"/{target.reads}/large.bin", headers=fields, variant=number)
        yield Exchange(head, 206, size)


def _offsets(size: int, end: int, count: int) -> list[int]:
    source = random.Random(7)
    return [source.randrange(end - size + 1) for _ in range(count)]


def _pages(cell: Cell, target: Target, scale: Scale) -> Iterator[Exchange]:
    place, keys = _listed(cell, target, scale)
    for number in range(LARGE_POOL * 4):
        path, query = _listing(place, _page_query(number, keys))
        yield Exchange(target.signer.head("GET", path, query, variant=number), 200)


def _listed(cell: Cell, target: Target, scale: Scale) -> tuple[str, int]:
    if "many" in cell.needs:
        return target.many or target.reads, scale.many_keys
    return target.reads, scale.listed_keys


def _page_query(number: int, keys: int) -> list[tuple[str, str]]:
    """Return the query of one page; pages are asked for all over the keys."""
    query = [("list-type", "2"), ("max-keys", str(PAGE_KEYS)), ("prefix", "keys/")]
    first = _page_start(number, keys)
    return [*query, ("start-after", listed_key(first - 1, keys))] if first else query


def _page_start(number: int, keys: int) -> int:
    pages = keys // PAGE_KEYS
    return (number * 7919 % pages) * PAGE_KEYS  # a prime: neighbours are not asked one after another


def _folders(cell: Cell, target: Target, scale: Scale) -> Iterator[Exchange]:
    path, query = _listing(target.reads, _FOLDERS_QUERY)
    for number in range(LARGE_POOL * 4):
        yield Exchange(target.signer.head("GET", path, query, variant=number), 200)


def _listing(place: str, query: Sequence[tuple[str, str]]) -> tuple[str, list[tuple[str, str]]]:
    """Return path and query of a listing in a bucket, or in a folder of one."""
    bucket, _, folder = place.partition("/")
    inside = f"{folder}/" if folder else ""
    keyed = ("prefix", "start-after")
    return f"/{bucket}", [(name, inside + value if name in keyed else value) for name, value in query]


def _read_bucket(cell: Cell, target: Target) -> str:
    return (target.branch or target.reads) if "branch" in cell.needs else target.reads


_READING: Final[dict[str, Callable[[Cell, Target, Scale], Iterator[Exchange]]]] = {
    "head": lambda cell, target, scale: _objects(cell, target, scale, "HEAD", target.reads),
    "get": lambda cell, target, scale: _objects(cell, target, scale, "GET", target.reads),
    "open": lambda cell, target, scale: _objects(cell, target, scale, "GET", _read_bucket(cell, target)),
    "range": _ranges,
    "list": _pages,
    "folders": _folders,
}


def _expected_objects(cell: Cell, target: Target, scale: Scale) -> Iterator[Expected]:
    for one in stored_objects(cell, scale):
        path = f"/{_read_bucket(cell, target)}/{one.key}"
        if cell.operation == "head":
            yield Expected("HEAD", path, (), (), _is_long(one.size_bytes))
        else:
            yield Expected("GET", path, (), (), _equals(one.pieces))


def _expected_ranges(cell: Cell, target: Target, scale: Scale) -> Iterator[Expected]:
    size, stored = cell.moved_bytes(scale), large_object(scale)
    for offset in _offsets(size, scale.large_bytes, scale.pool):
        headers = (("range", f"bytes={offset}-{offset + size - 1}"),)
        wanted = _equals(partial(_slice, stored, offset, offset + size))
        yield Expected("GET", f"/{target.reads}/{stored.key}", (), headers, wanted)


def _expected_pages(cell: Cell, target: Target, scale: Scale) -> Iterator[Expected]:
    place, keys = _listed(cell, target, scale)
    for number in range(keys // PAGE_KEYS):
        first = _page_start(number, keys)
        ends = [listed_key(n, keys).encode() for n in (first, first + PAGE_KEYS - 1)]
        path, query = _listing(place, _page_query(number, keys))
        yield Expected("GET", path, tuple(query), (), _holds(b"<Contents>", PAGE_KEYS, ends))


def _expected_folders(cell: Cell, target: Target, scale: Scale) -> Iterator[Expected]:
    path, query = _listing(target.reads, _FOLDERS_QUERY)
    wanted = _holds(b"<CommonPrefixes>", 100, [b"keys/group-0000/", b"keys/group-0099/"])
    yield Expected("GET", path, tuple(query), (), wanted)


def _slice(stored: Stored, offset: int, end: int) -> list[bytes]:
    return [stored.read(offset, end)]


def _is_long(size_bytes: int) -> Matches:
    return lambda body, fields: fields.get("content-length") == str(size_bytes)


def _equals(
    pieces: Callable[[], Iterable[bytes]],
) -> Matches:
    return lambda body, fields: body == b"".join(pieces())


def _holds(element: bytes, count: int, texts: list[bytes]) -> Matches:
    return lambda body, fields: body.count(element) == count and all(text in body for text in texts)


_EXPECTED: Final[dict[str, Callable[[Cell, Target, Scale], Iterator[Expected]]]] = {
    "head": _expected_objects,
    "get": _expected_objects,
    "open": _expected_objects,
    "range": _expected_ranges,
    "list": _expected_pages,
    "folders": _expected_folders,
}

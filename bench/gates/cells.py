"""The cells: what is asked of the measured server, and how often.

Everything that one run sends is the same in the next: keys, bodies and their
order come from counters.  Counts are chosen so that a cell takes a few seconds
under callgrind.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from corpus import INPUT, SMALL_BYTES, Scale, listed_key, small_key

GATE_SCALE = Scale(True, object_bytes=2 << 20, small_objects=32, listed_keys=5000)
RANGE_BYTES = 64 << 10
RANGES = 10
"""As many as rounds in a phase, or phases would differ by how many extents their ranges cross."""

PAGE_KEYS = 1000
PART_BYTES = 4 << 20
PART_KEY = "parts.bin"
BRANCH_BUCKET = "results"
SEED = 20260401


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing that is counted; `kind` says who does it.

    "sidecar" and "branch" are requests, to a job's gateway and to the open one;
    "inside" is an operation of the measured process itself.  `warm` rounds come
    first, then `count`, then three times `count`: the difference of these two is
    what counts, so that what happens once cancels out.  They come `repeats` times,
    and the least of each counts: so nothing that a timer did in between is in it.
    Where rounds build on one another that would hide work put off, and so it is 1.
    `calls_allowed`: how many more system calls a round may make; wider only where
    they vary.
    """

    name: str
    reason: str
    kind: str
    warm: int
    count: int
    repeats: int = 1
    calls_allowed: float = 0.5

    @property
    def phases(self) -> list[int]:
        """How many rounds come before each mark."""
        return [self.warm, *[self.count, 3 * self.count] * self.repeats]


CELLS = (
    Cell("HEAD 4 KiB", "what every client asks before it reads", "sidecar", 40, 10, repeats=10),
    Cell("GET 4 KiB", "many small files: the cost of a request", "sidecar", 40, 10, repeats=10),
    Cell("GET 64 KiB range", "how Parquet readers read", "sidecar", 40, 10, repeats=10),
    Cell("PUT 4 KiB", "many small outputs of a job", "sidecar", 40, 40),
    Cell("PUT 4 KiB durable", "the same to a branch, synced before the answer", "branch", 40, 40),
    Cell("LIST 1000", "a page out of 5000 keys", "sidecar", 5, 5, repeats=3),
    # Reads and writes of 50 are as large as what has arrived by then, and packs begin now and then.
    Cell("multipart part 4 MiB", "how large files are uploaded", "sidecar", 1, 2, calls_allowed=4.0),
    Cell("chunk + hash 1 MiB", "what every stored byte goes through", "inside", 2, 8),
    Cell("index lookup", "a key in a tree of 5000", "inside", 100, 500),
)

# As a signing SDK sends them; the sidecar checks no signature.
_HEADERS = (
    b"Host: 127.0.0.1:80\r\n"
    b"User-Agent: aws-cli/1.42.0 md/Botocore#1.40.0 ua/2.1 os/linux md/arch#x86_64 lang/python#3.11\r\n"
    b"Accept-Encoding: identity\r\n"
    b"X-Amz-Date: 20260101T000000Z\r\n"
    b"X-Amz-Content-SHA256: UNSIGNED-PAYLOAD\r\n"
    b"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request, "
    b"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + b"0123456789abcdef" * 4 + b"\r\n"
    b"amz-sdk-invocation-id: 5f0c1f6e-7d3e-4f6b-9f0a-3f0f6b5a2c11\r\n"
    b"amz-sdk-request: attempt=1\r\n"
)


def cell_named(name: str) -> Cell:
    """Return a cell; raises ValueError, which names those there are."""
    cells = {cell.name: cell for cell in CELLS}
    if name not in cells:
        raise ValueError(f"there is no cell {name!r}; use one of: {', '.join(cells)}")
    return cells[name]


def request(method: str, target: str, headers: bytes = b"", body: bytes = b"") -> bytes:
    """Return a request as it is sent."""
    length = b"Content-Length: %d\r\n" % len(body) if body or method in ("PUT", "POST") else b""
    return b"%b %b HTTP/1.1\r\n%b%b%b\r\n%b" % (
        method.encode(),
        target.encode(),
        _HEADERS,
        headers,
        length,
        body,
    )


def start_upload() -> bytes:
    """Return the request for the upload that parts belong to."""
    return request("POST", f"/out/{PART_KEY}?uploads")


def requests_of(cell: Cell, upload_id: str) -> Iterator[bytes]:
    """Yield the requests of a cell without end; the same in each run."""
    source = random.Random(f"{SEED} {cell.name}")
    serial = 0
    while True:
        yield _REQUESTS[cell.name](serial, source, upload_id)
        serial += 1


def _read(method: str, serial: int) -> bytes:
    return request(method, f"/{INPUT}/{small_key(serial % GATE_SCALE.small_objects)}")


def _range(serial: int) -> bytes:
    first = random.Random(SEED + serial % RANGES).randrange(GATE_SCALE.object_bytes - RANGE_BYTES)
    return request("GET", f"/{INPUT}/raw.bin", b"Range: bytes=%d-%d\r\n" % (first, first + RANGE_BYTES - 1))


def _put(bucket: str, serial: int, source: random.Random) -> bytes:
    return request("PUT", f"/{bucket}/small/{serial:08d}.bin", body=source.randbytes(SMALL_BYTES))


def _page(serial: int) -> bytes:
    first = serial % (GATE_SCALE.listed_keys // PAGE_KEYS) * PAGE_KEYS
    after = f"&start-after={listed_key(first - 1)}" if first else ""
    return request("GET", f"/{INPUT}?list-type=2&prefix=keys%2F&max-keys={PAGE_KEYS}{after}")


def _part(serial: int, source: random.Random, upload_id: str) -> bytes:
    target = f"/out/{PART_KEY}?partNumber={serial + 1}&uploadId={upload_id}"
    return request("PUT", target, body=source.randbytes(PART_BYTES))


_REQUESTS = {
    "HEAD 4 KiB": lambda serial, source, upload: _read("HEAD", serial),
    "GET 4 KiB": lambda serial, source, upload: _read("GET", serial),
    "GET 64 KiB range": lambda serial, source, upload: _range(serial),
    "PUT 4 KiB": lambda serial, source, upload: _put("out", serial, source),
    "PUT 4 KiB durable": lambda serial, source, upload: _put(BRANCH_BUCKET, serial, source),
    "LIST 1000": lambda serial, source, upload: _page(serial),
    "multipart part 4 MiB": _part,
}

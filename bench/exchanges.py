"""From workloads to exchanges: requests rendered beforehand, with their answers.

Requests are as a signing SDK sends them, about 600 bytes; the signature is not
checked by either server.  The yardstick gets the same bytes but for the target,
which is as long.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

from corpus import INPUT, SMALL_BYTES, Corpus, incompressible, listed_key, sha256, small_key
from load import Exchange, Job, Outcome

RANGE_BYTES = 64 << 10
PAGE_KEYS = 1000
OUTPUT = "out"
POOLED_PUTS = 512
"""Small bodies sent to the yardstick over and over; the gateway gets new ones."""

_SIGNED = (
    b"Host: 127.0.0.1:80\r\n"
    b"User-Agent: aws-cli/1.42.0 md/Botocore#1.40.0 ua/2.1 os/linux md/arch#x86_64 lang/python#3.11\r\n"
    b"Accept-Encoding: identity\r\n"
    b"X-Amz-Date: 20260101T000000Z\r\n"
    b"X-Amz-Content-SHA256: UNSIGNED-PAYLOAD\r\n"
    b"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request, "
    b"SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
    b"Signature=" + b"0123456789abcdef" * 4 + b"\r\n"
    b"amz-sdk-invocation-id: 5f0c1f6e-7d3e-4f6b-9f0a-3f0f6b5a2c11\r\n"
    b"amz-sdk-request: attempt=1\r\n"
)

_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class Workload:
    """One entry of workloads.toml."""

    name: str
    reason: str
    operation: str
    object: str
    connections: int
    bare: str
    unit: str
    goal: dict[str, float] | None = None


def moved_bytes(workload: Workload, corpus: Corpus) -> int:
    """Return the payload of one exchange, 0 where it is not the point."""
    if workload.operation in ("head", "list"):
        return 0
    if workload.operation == "range":
        return RANGE_BYTES
    return SMALL_BYTES if workload.object == "small" else len(corpus.raw)


def gateway_job(
    workload: Workload,
    corpus: Corpus,
    address: tuple[str, int],
    count: int,
    *,
    poll: bool,
    connections: int | None = None,
) -> Job:
    """Return what asks the gateway for `count` exchanges."""
    return Job(
        address=address,
        shape=_shape(workload),
        exchanges=_gateway_exchanges(workload, corpus, count),
        connections=connections or workload.connections,
        count=count,
        poll=poll,
        payload_seed=1,
        payload_bytes=len(corpus.raw),
        unique=True,
    )


def bare_job(workload: Workload, corpus: Corpus, address: tuple[str, int], count: int, *, poll: bool) -> Job:
    """Return what asks the yardstick for the same."""
    return Job(
        address=address,
        shape=_shape(workload),
        exchanges=_bare_exchanges(workload, corpus),
        connections=workload.connections,
        count=count,
        poll=poll,
        payload_seed=1,
        payload_bytes=len(corpus.raw),
    )


def verification(workload: Workload, corpus: Corpus, limit: int) -> list[Exchange]:
    """Return exchanges of a reading workload whose answers are to be compared in full."""
    return [] if workload.operation == "put" else _gateway_exchanges(workload, corpus, limit)[:limit]


def readback(job: Job, outcome: Outcome, limit: int) -> list[Exchange]:
    """Return reads of what an upload job wrote last."""
    if job.shape == "upload":
        written = [(job.exchanges[number], digest) for number, digest in outcome.uploads]
    else:
        last = job.exchanges[-limit:]
        written = [(e, sha256(e.request[-SMALL_BYTES:])) for e in last]
    return [
        Exchange(_request("GET", e.request.split(b" ", 2)[1].decode()), digest=digest)
        for e, digest in written
    ]


def _shape(workload: Workload) -> str:
    if workload.object == "small" and workload.operation != "list":
        return "small"
    return "upload" if workload.operation == "put" else "download"


def _request(method: str, target: str, headers: bytes = b"", body: bytes = b"") -> bytes:
    return b"%b %b HTTP/1.1\r\n%b%b\r\n%b" % (method.encode(), target.encode(), _SIGNED, headers, body)


def _gateway_exchanges(workload: Workload, corpus: Corpus, count: int) -> list[Exchange]:
    if workload.operation == "put":
        return _puts(workload, corpus, count)
    if workload.operation == "list":
        return _lists(corpus)
    if workload.operation == "range":
        return _ranges(corpus)
    if workload.object != "small":
        name, data = {
            "raw": ("raw.bin", corpus.raw),
            "compressed": ("measurements.csv", corpus.compressed),
        }[workload.object]
        return [Exchange(_request("GET", f"/{INPUT}/{name}"), body_bytes=len(data), digest=sha256(data))]
    if workload.operation == "head":
        targets = [f"/{INPUT}/{small_key(number)}" for number in range(len(corpus.small))]
        return [Exchange(_request("HEAD", target), method="HEAD", digest=sha256(b"")) for target in targets]
    return [
        Exchange(_request("GET", f"/{INPUT}/{small_key(number)}"), 200, SMALL_BYTES, data, sha256(data))
        for number, data in enumerate(corpus.small)
    ]


def _ranges(corpus: Corpus) -> list[Exchange]:
    source = random.Random(7)
    found = []
    for _ in range(256):
        offset = source.randrange(len(corpus.raw) - RANGE_BYTES)
        end = offset + RANGE_BYTES
        request = _request("GET", f"/{INPUT}/raw.bin", b"Range: bytes=%d-%d\r\n" % (offset, end - 1))
        found.append(Exchange(request, 206, RANGE_BYTES, digest=sha256(corpus.raw[offset:end])))
    return found


def _lists(corpus: Corpus) -> list[Exchange]:
    """Return the requests of each page, as if a client paged through."""
    found = []
    for first in range(0, corpus.listed_keys - PAGE_KEYS + 1, PAGE_KEYS):
        after = f"&start-after={listed_key(first - 1)}" if first else ""
        target = f"/{INPUT}?list-type=2&prefix=keys%2F&max-keys={PAGE_KEYS}{after}"
        ends = (listed_key(first).encode(), listed_key(first + PAGE_KEYS - 1).encode())
        holds = ((b"<Contents>", PAGE_KEYS), *((b"<Key>%b</Key>" % key, 1) for key in ends))
        found.append(Exchange(_request("GET", target), holds=holds))
    return found


def _puts(workload: Workload, corpus: Corpus, count: int) -> list[Exchange]:
    if workload.object == "small":
        return [_small_put(f"/{OUTPUT}/small/{number:08d}.bin", number) for number in _serials(count)]
    headers = b"Content-Length: %d\r\n" % len(corpus.raw)
    return [
        Exchange(_request("PUT", f"/{OUTPUT}/large/{number:08d}.bin", headers), body_bytes=0, method="PUT")
        for number in _serials(count)
    ]


def _serials(count: int) -> list[int]:
    return list(itertools.islice(_serial, count))


def _small_put(target: str, number: int) -> Exchange:
    body = incompressible(SMALL_BYTES, (1 << 32) + number)
    request = _request("PUT", target, b"Content-Length: %d\r\n" % SMALL_BYTES, body)
    return Exchange(request, body_bytes=0, method="PUT")


def _bare_exchanges(workload: Workload, corpus: Corpus) -> list[Exchange]:
    if workload.bare == "none":
        return [Exchange(_request("HEAD", f"/{'head':/<31}"), method="HEAD")]
    if workload.bare == "drop":
        if workload.object == "small":
            return [_small_put(f"/drop/{number:021d}", number) for number in range(POOLED_PUTS)]
        headers = b"Content-Length: %d\r\n" % len(corpus.raw)
        return [Exchange(_request("PUT", f"/drop/{0:021d}", headers), body_bytes=0, method="PUT")]
    size = _list_bytes(corpus) if workload.operation == "list" else moved_bytes(workload, corpus)
    return [Exchange(_request("GET", f"/{workload.bare}/{size:021d}"), body_bytes=size)]


def _list_bytes(corpus: Corpus) -> int:
    """Return about how long a page of 1000 keys is."""
    return PAGE_KEYS * 300

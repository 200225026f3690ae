"""Speed of the native modules; `extra_info` has GB/s of the best round.

Only the compiled ones: the pure twins are two to three orders slower at cutting.
"""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from corpus import Scale
from figures import Figure, of_bytes, of_rounds
from sidegate.bench.servers import Cores, start_yardstick
from sidegate.bench.signing import Signer
from sidegate.bench.target import Target
from sidegate.http.limits import Limits
from sidegate.http.loopback import connect_unpaced
from sidegate.http.loops import select_parser
from sidegate.native import (
    AwsChunkedDecoder,
    GearScanner,
    HeadScanner,
    Sha256,
    collect_parts,
    describe,
    scan_completion,
    select,
    update_together,
)
from sidegate.native.exchange import Exchange, Rhythm
from sidegate.pfs.files import ExtentList, FileRecord, encode_record
from sidegate.pfs.ids import NodeId
from timing import timed

KIB, MIB = 1 << 10, 1 << 20
RULE = (256 * KIB, MIB, 4 * MIB)

pytestmark = pytest.mark.skipif(describe().implementation == "pure", reason=describe().reason)


Measure = Callable[[str, Callable[[], Any], int], Any]

# As a signing SDK sends it.
SIGNED_READ = (
    b"GET /labresults/small/000042.bin HTTP/1.1\r\n"
    b"Host: 127.0.0.1:80\r\n"
    b"User-Agent: aws-cli/1.42.0 md/Botocore#1.40.0 ua/2.1 os/linux md/arch#x86_64 lang/python#3.11\r\n"
    b"Accept-Encoding: identity\r\n"
    b"Range: bytes=100-4195\r\n"
    b"X-Amz-Date: 20260101T000000Z\r\n"
    b"X-Amz-Content-SHA256: UNSIGNED-PAYLOAD\r\n"
    b"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request, "
    b"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + b"0123456789abcdef" * 4 + b"\r\n"
    b"amz-sdk-invocation-id: 5f0c1f6e-7d3e-4f6b-9f0a-3f0f6b5a2c11\r\n"
    b"amz-sdk-request: attempt=1\r\n"
    b"\r\n"
)
HEADS = 64


@pytest.fixture(scope="module")
def incompressible(scale: Scale) -> bytes:
    return blake3(b"sidegate bench input v1").digest(length=scale.object_bytes)


@pytest.fixture
def measure(benchmark: Any, scale: Scale, report: Callable[[Figure], None]) -> Measure:
    """Run `work` over and over, report its speed, return its answer."""

    def run(name: str, work: Callable[[], Any], size_bytes: int) -> Any:
        timing = timed(benchmark, work, scale.rounds + 2, warmup_rounds=1)
        benchmark.extra_info["implementation"] = describe().implementation
        benchmark.extra_info["GB/s"] = round(size_bytes / min(timing.seconds) / 1e9, 2)
        report(of_bytes(name, size_bytes, timing))
        return timing.answer

    return run


def chunks_of(data: bytes) -> list[memoryview]:
    scanner, view, chunks = GearScanner(*RULE), memoryview(data), []
    while (consumed := scanner.scan(view)) >= 0:
        chunks.append(view[:consumed])
        view = view[consumed:]
    return [*chunks, view]


def test_gear(benchmark: Any, measure: Measure, incompressible: bytes) -> None:
    chunks = measure("chunk", lambda: chunks_of(incompressible), len(incompressible))
    lengths = [len(chunk) for chunk in chunks]
    assert sum(lengths) == len(incompressible)
    assert RULE[0] <= min(lengths[:-1]) <= max(lengths) <= RULE[2]
    benchmark.extra_info["chunks"] = len(lengths)
    benchmark.extra_info["mean_bytes"] = sum(lengths) // len(lengths)


def test_gear_and_blake3(measure: Measure, incompressible: bytes) -> None:
    def cut_and_hash() -> list[bytes]:
        return [blake3(chunk).digest() for chunk in chunks_of(incompressible)]

    digests = measure("chunk + hash", cut_and_hash, len(incompressible))
    assert digests[0] == blake3(chunks_of(incompressible)[0]).digest()


@pytest.mark.parametrize("block_bytes", [16 * KIB, 256 * KIB, MIB])
def test_gear_in_blocks(measure: Measure, incompressible: bytes, block_bytes: int) -> None:
    """No cut and no skip: every byte hashed, on both sides of the GIL threshold."""
    view = memoryview(incompressible)[: 16 * MIB]
    blocks = [view[start : start + block_bytes] for start in range(0, len(view), block_bytes)]
    scanner = GearScanner(1, 1 << 40, 1 << 40)
    passes = iter(range(1, 1 << 30))

    def scan() -> int:
        assert set(map(scanner.scan, blocks)) == {-1}
        return next(passes)

    name = f"chunk, no cut, blocks of {block_bytes >> 10} KiB"
    pass_count = measure(name, scan, len(view))
    assert scanner.chunk_bytes == pass_count * len(view)


@pytest.mark.parametrize("block_bytes", [256 * KIB, MIB])
def test_aws_chunked(measure: Measure, incompressible: bytes, block_bytes: int) -> None:
    view = memoryview(incompressible)
    header = b"10000;chunk-signature=" + b"0" * 64 + b"\r\n"
    parts = [header + view[start : start + 64 * KIB] + b"\r\n" for start in range(0, len(view), 64 * KIB)]
    body = memoryview(b"".join([*parts, b"0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n"]))
    blocks = [body[start : start + block_bytes] for start in range(0, len(body), block_bytes)]

    def decode() -> int:
        decoder = AwsChunkedDecoder(signed=True, trailers=False)
        for block in blocks:
            decoder.feed(block)
        assert decoder.finished
        return int(decoder.decoded_bytes)

    name = f"aws-chunked, blocks of {block_bytes >> 10} KiB"
    assert measure(name, decode, len(body)) == len(incompressible)


@pytest.mark.parametrize("chunk_bytes", [64 * KIB, MIB])
def test_aws_chunked_in_place(measure: Measure, incompressible: bytes, chunk_bytes: int) -> None:
    """Copied to a block, then taken out of the framing: one chunk is not moved, of 16 one stays."""
    pieces = [incompressible[start : start + chunk_bytes] for start in range(0, MIB, chunk_bytes)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    blocks = [bytearray(body) for _ in range(16)]

    def strip() -> int:
        total = 0
        for block in blocks:
            block[:] = body
            start, end = AwsChunkedDecoder(signed=False, trailers=False).strip(block)
            total += end - start
        return total

    name = f"aws-chunked in place, chunks of {chunk_bytes >> 10} KiB"
    assert measure(name, strip, len(blocks) * len(body)) == len(blocks) * MIB


@pytest.mark.parametrize("way", ["hashlib", "1", "2", "3"])
def test_sha256(measure: Measure, incompressible: bytes, way: str) -> None:
    """What streams of a MiB at a time cost together, beside hashlib and beside one after the other."""
    count = 1 if way == "hashlib" else int(way)
    part_bytes = min(len(incompressible) // count, 16 * MIB)
    views = [memoryview(incompressible)[part * part_bytes :][:part_bytes] for part in range(count)]

    def digests(new: Callable[[], Any], update: Callable[[Any, Any], None]) -> list[bytes]:
        streams = [new() for _ in views]
        for start in range(0, part_bytes, MIB):
            update(streams, [view[start : start + MIB] for view in views])
        return [stream.digest() for stream in streams]

    def one_by_one(streams: Any, pieces: Any) -> None:
        for stream, piece in zip(streams, pieces, strict=True):
            stream.update(piece)

    new, update = (hashlib.sha256, one_by_one) if way == "hashlib" else (Sha256, update_together)
    found = measure(f"SHA-256, {way}", lambda: digests(new, update), count * part_bytes)
    assert found == digests(hashlib.sha256, one_by_one)


@pytest.mark.parametrize("way", ["sendfile", "pipe", "pipe, in Python"])
def test_file_to_socket(measure: Measure, incompressible: bytes, tmp_path: Path, way: str) -> None:
    """A file to a socket that is emptied whenever it is full: what receiving costs is the same in all."""
    size_bytes = min(len(incompressible), 16 * MIB)
    (tmp_path / "file").write_bytes(incompressible[:size_bytes])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = connect_unpaced(listener.getsockname(), 10.0)
        far, _ = listener.accept()
    near.setblocking(False)
    room = bytearray(4 * MIB)
    native, pure = (select(mode)[1]["file_pipe"].FilePipe(MIB) for mode in ("require", "off"))
    with near, far, (tmp_path / "file").open("rb") as file:
        out, source = near.fileno(), file.fileno()

        def by_sendfile(offset: int, count: int) -> int:
            return os.sendfile(out, source, offset, count)

        send = {
            "sendfile": by_sendfile,
            "pipe": lambda offset, count: native.send(out, source, offset, count),
            "pipe, in Python": lambda offset, count: pure.send(out, source, offset, count),
        }[way]

        def pass_on() -> int:
            sent = received = 0
            while received < size_bytes:
                if sent < size_bytes:
                    sent += send(sent, min(size_bytes - sent, 1_100_000))
                while received < sent:
                    received += far.recv_into(room, sent - received, socket.MSG_TRUNC)
            return received

        assert measure(f"file to socket, {way}", pass_on, size_bytes) == size_bytes
    native.close()
    pure.close()


def test_heads_scanned(measure: Measure) -> None:
    buffer = memoryview(SIGNED_READ * HEADS)
    scanner = HeadScanner(
        buffer, head_bytes=1 << 16, header_count=200, wanted=(b"if-match",), declined=(b"expect",)
    )

    def scan() -> int:
        position, count = 0, 0
        while position < len(buffer):
            found = scanner.scan(position, len(buffer))
            assert found is not None
            position, count = found[0], count + 1
        return count

    assert measure(f"{HEADS} heads of reads, scanned", scan, len(buffer)) == HEADS


def test_heads_parsed(measure: Measure) -> None:
    """The same by the parser that every other request takes, for comparison."""
    buffer = memoryview(SIGNED_READ * HEADS)
    recorder = Recorder()
    parser = select_parser("httptools")(recorder, Limits())

    def parse() -> int:
        before = recorder.count
        parser.feed(buffer)
        return recorder.count - before

    assert measure(f"{HEADS} heads of reads, parsed", parse, len(buffer)) == HEADS


PARTS = 640


def test_completion_document(measure: Measure) -> None:
    """What the Complete of 5 GiB names, in columns."""
    form = '<Part><ETag>"%032x-1"</ETag><PartNumber>%d</PartNumber></Part>'
    listed = "".join([form % (number, number) for number in range(1, PARTS + 1)])
    document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    name = f"Complete of {PARTS} parts, its document"
    assert measure(name, lambda: scan_completion(document), len(document)).names.count(b":") == PARTS


def test_completion_records(measure: Measure) -> None:
    """What is stored of these parts, in columns."""
    extents = ExtentList(NodeId(bytes(32)), 8)
    rows = [
        (number, encode_record(FileRecord(8 * MIB, f"{number:032x}-1", 1, extents)))
        for number in range(1, PARTS + 1)
    ]
    name, rows_bytes = f"Complete of {PARTS} parts, their records", sum(len(record) for _, record in rows)
    assert measure(name, lambda: collect_parts(rows), rows_bytes).names.count(b":") == PARTS


class Recorder:
    """Counts the heads that a parser reports."""

    count = 0

    def head_received(self, *parts: object) -> None:
        self.count += 1

    def body_received(self, data: bytes) -> None:
        raise AssertionError("a read has no body")

    def body_finished(self) -> None:
        raise AssertionError("a read has no body")


@pytest.mark.parametrize("mode", ["require", "off"], ids=["compiled", "pure"])
def test_load(benchmark: Any, scale: Scale, report: Callable[[Figure], None], mode: str) -> None:
    """What a small exchange costs the load generator itself: it must be less than any server takes."""
    _, modules = select(mode)
    with tempfile.TemporaryDirectory(prefix="sidegate-bench-") as folder:
        file = Path(folder) / "empty"
        file.write_bytes(b"")
        cores = Cores.choose()
        server = start_yardstick("bare", file, cores.server, Path(folder))
        target = Target(server.endpoint, Signer(server.endpoint.authority, "none", None, time.time))
        head = target.signer.head("GET", f"/bytes/{4096:021d}")
        script = modules["load"].Script([Exchange(head, 200, 4096, bytes(4096))])
        count = max(200, int(20_000 * scale.seconds))
        try:
            timing = timed(
                benchmark,
                lambda: target.load(script, 16, Rhythm(60.0, count, 60.0, False)),
                rounds=scale.rounds,
                warmup_rounds=1,
            )
        finally:
            server.stop()
    assert timing.answer.answered == count
    costs = [seconds / count * 1e6 for seconds in timing.cpu_seconds]
    report(of_rounds(f"load generator, {mode}", "us/req", costs))

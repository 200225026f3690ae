"""What both twins of the native modules promise, one suite for either."""

from __future__ import annotations

import json
import random
from functools import cache
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from blake3 import blake3

from sidegate.errors import Invalid
from sidegate.native import FramingError, FramingKind, select
from sidegate.native.cut_rule import gear_table
from sidegate.native.framing import MAX_HEADER_LINE_BYTES, MAX_TRAILER_BYTES

VECTORS = Path(__file__).parent.parent / "vectors"
GEAR = json.loads((VECTORS / "gear.json").read_text("utf-8"))
AWS_CHUNKED = json.loads((VECTORS / "aws_chunked.json").read_text("utf-8"))

SMALL_RULE = (64, 256, 1024)
# What the pure twin scans within a second or so on a slow machine.
PURE_INPUT_BYTES = 1 << 20


@pytest.fixture(params=["native", "pure"])
def twin(request: pytest.FixtureRequest) -> SimpleNamespace:
    mode = {"native": "require", "pure": "off"}[request.param]
    try:
        selection, modules = select(mode)
    except ModuleNotFoundError as absent:
        pytest.skip(f"not compiled: {absent}")
    assert selection.implementation == request.param
    return SimpleNamespace(
        name=request.param,
        GearScanner=modules["gear"].GearScanner,
        AwsChunkedDecoder=modules["aws_chunked"].AwsChunkedDecoder,
        HeadScanner=modules["heads"].HeadScanner,
    )


def test_portable_twin_runs_everywhere() -> None:
    assert select("off")[0].implementation == "pure"


@cache
def golden_input(kind: str, input_bytes: int) -> bytes:
    if kind == "blake3":
        return blake3(b"sidegate gear input v1").digest(length=input_bytes)
    if kind == "zero":
        return bytes(input_bytes)
    text = bytearray()
    for number in count():
        text += b"%d\n" % number
        if len(text) >= input_bytes:
            break
    return bytes(text[:input_bytes])


def split(data: bytes, *, seed: int, longest: int) -> list[bytes]:
    lengths, pieces, offset = random.Random(seed), [], 0
    while offset < len(data):
        end = offset + lengths.randint(0, longest)
        pieces.append(data[offset:end])
        offset = end
    return pieces


def ends_of(scanner: Any, pieces: list[bytes]) -> list[int]:
    ends, start = [], 0
    for piece in pieces:
        view = memoryview(piece)
        while (consumed := scanner.scan(view)) >= 0:
            start += consumed
            ends.append(start)
            view = view[consumed:]
        start += len(view)
    return ends


# --- gear


def test_gear_table_is_golden() -> None:
    golden, table = GEAR["table"], gear_table()
    assert [f"{word:016x}" for word in table[:4]] == golden["first_words"]
    assert blake3(b"".join(word.to_bytes(8, "little") for word in table)).hexdigest() == golden["blake3"]


@pytest.mark.parametrize(
    "case", GEAR["cases"], ids=lambda case: f"{case['input']}-{case['min_bytes']}-{case['average_bytes']}"
)
def test_gear_cuts_are_golden(twin: SimpleNamespace, case: dict[str, Any]) -> None:
    if twin.name == "pure" and case["input_bytes"] > PURE_INPUT_BYTES:
        pytest.skip("too much data for the pure twin; the smaller cases cover it")
    data = golden_input(case["input"], case["input_bytes"])
    rule = case["min_bytes"], case["average_bytes"], case["max_bytes"]
    assert ends_of(twin.GearScanner(*rule), [data]) == case["ends"]
    longest = 2 * case["max_bytes"]
    assert ends_of(twin.GearScanner(*rule), split(data, seed=1, longest=longest)) == case["ends"]
    with_more = ends_of(twin.GearScanner(*rule), [data, b"trailing data" * 100])
    assert with_more[: len(case["ends"])] == case["ends"]


@pytest.mark.parametrize("kind", ["blake3", "text", "zero"])
def test_gear_cuts_byte_by_byte(twin: SimpleNamespace, kind: str) -> None:
    data = golden_input(kind, 8192)
    bytewise = [data[i : i + 1] for i in range(len(data))]
    assert ends_of(twin.GearScanner(*SMALL_RULE), bytewise) == ends_of(twin.GearScanner(*SMALL_RULE), [data])


def test_gear_cuts_follow_the_definition(twin: SimpleNamespace) -> None:
    """A third reading of the rule: each hash is summed anew, no state kept."""
    smallest, average, largest, data = 100, 128, 300, golden_input("blake3", 6000)
    table, expected, start = gear_table(), [], 0
    for end in range(1, len(data) + 1):
        length = end - start
        hash_ = sum(table[data[end - 1 - age]] << age for age in range(min(length, 64))) % 2**64
        bits = 9 if length < average else 5  # all of them below bit 16
        matches = (hash_ >> (16 - bits)) % 2**bits == 0
        if length == largest or (length >= smallest and matches):
            expected.append(end)
            start = end
    assert ends_of(twin.GearScanner(smallest, average, largest), [data]) == expected


def test_gear_cuts_follow_the_definition_above_the_low_bits(twin: SimpleNamespace) -> None:
    smallest, average, largest, data = 5000, 8192, 20000, golden_input("blake3", 100_000)
    table, expected, start, hash_ = gear_table(), [], 0, 0
    for end in range(1, len(data) + 1):
        hash_ = (2 * hash_ + table[data[end - 1]]) % 2**64
        length = end - start
        more = 5 if length < average else 1  # besides ten below bit 16
        matches = hash_ // 2**6 % 2**10 == 0 and hash_ // 2 ** (63 - more) % 2**more == 0
        if length == largest or (length >= smallest and matches):
            expected.append(end)
            start = end
    assert ends_of(twin.GearScanner(smallest, average, largest), [data]) == expected


def test_gear_counts_the_current_chunk(twin: SimpleNamespace) -> None:
    scanner = twin.GearScanner(*SMALL_RULE)
    data = golden_input("blake3", 8192)
    first = ends_of(twin.GearScanner(*SMALL_RULE), [data])[0]
    assert scanner.chunk_bytes == 0
    assert scanner.scan(data[: first - 1]) == -1
    assert scanner.chunk_bytes == first - 1
    assert scanner.scan(b"") == -1
    assert scanner.chunk_bytes == first - 1
    assert scanner.scan(data[first - 1 :]) == 1
    assert scanner.chunk_bytes == 0


def test_gear_reset_begins_a_new_chunk(twin: SimpleNamespace) -> None:
    data = golden_input("blake3", 8192)
    scanner = twin.GearScanner(*SMALL_RULE)
    assert scanner.scan(b"something else entirely" * 2) == -1
    scanner.reset()
    assert scanner.chunk_bytes == 0
    assert ends_of(scanner, [data]) == ends_of(twin.GearScanner(*SMALL_RULE), [data])


@pytest.mark.parametrize(
    "rule",
    [
        (0, 256, 1024),
        (-1, 256, 1024),
        (64, 255, 1024),
        (1, 8, 16),
        (1, 0, 16),
        (1, -16, 16),
        (257, 256, 1024),
        (64, 256, 255),
        (64, 256, (1 << 40) + 1),
        (1, 1 << 80, 1 << 81),
    ],
)
def test_gear_refuses_impossible_rules(twin: SimpleNamespace, rule: tuple[int, int, int]) -> None:
    with pytest.raises(Invalid):
        twin.GearScanner(*rule)


@pytest.mark.parametrize("rule", [(64.0, 256, 1024), (64, "256", 1024), (64, 256, None)])
def test_gear_refuses_rules_of_other_types(twin: SimpleNamespace, rule: tuple[Any, Any, Any]) -> None:
    with pytest.raises(TypeError):
        twin.GearScanner(*rule)


def test_gear_accepts_the_extreme_rules(twin: SimpleNamespace) -> None:
    assert twin.GearScanner(min_bytes=1, average_bytes=16, max_bytes=16).scan(bytes(17)) in range(1, 17)
    assert twin.GearScanner(1 << 40, 1 << 40, 1 << 40).scan(bytes(1 << 16)) == -1


# --- buffers, for both classes

BUFFERS = [
    bytes,
    bytearray,
    memoryview,
    lambda data: memoryview(bytearray(data)),
    lambda data: memoryview(data).cast("H"),
    lambda data: memoryview(data).cast("B", (len(data) // 2, 2)),
    lambda data: memoryview(b"--" + data + b"--")[2:-2],
]
NO_BUFFERS = [
    ("text", TypeError),
    (None, TypeError),
    (7, TypeError),
    ([1, 2], TypeError),
    (memoryview(bytes(64))[::2], BufferError),
    (memoryview(bytes(64))[::-1], BufferError),
]


@pytest.mark.parametrize("kind", range(len(BUFFERS)))
def test_any_contiguous_buffer_is_read(twin: SimpleNamespace, kind: int) -> None:
    data = golden_input("blake3", 2048)
    scanner = twin.GearScanner(*SMALL_RULE)
    assert scanner.scan(BUFFERS[kind](data)) == twin.GearScanner(*SMALL_RULE).scan(data) > 0
    decoder = twin.AwsChunkedDecoder(signed=False, trailers=False)
    assert decoder.feed(BUFFERS[kind](b"0800\r\n" + data + b"\r\n00\r\n\r\n")) == data


@pytest.mark.parametrize("empty", [b"", bytearray(), memoryview(b""), memoryview(b"ab")[2:]])
def test_an_empty_buffer_changes_nothing(twin: SimpleNamespace, empty: Any) -> None:
    scanner, decoder = (
        twin.GearScanner(*SMALL_RULE),
        twin.AwsChunkedDecoder(signed=False, trailers=True),
    )
    assert (scanner.scan(empty), scanner.chunk_bytes) == (-1, 0)
    assert (decoder.feed(empty), decoder.decoded_bytes, decoder.finished) == (b"", 0, False)


@pytest.mark.parametrize(("wrong", "error"), NO_BUFFERS)
def test_other_objects_are_refused(twin: SimpleNamespace, wrong: Any, error: type[Exception]) -> None:
    scanner = twin.GearScanner(*SMALL_RULE)
    with pytest.raises(error):
        scanner.scan(wrong)
    decoder = twin.AwsChunkedDecoder(signed=False, trailers=False)
    with pytest.raises(error):
        decoder.feed(wrong)
    assert decoder.feed(b"1\r\nx\r\n0\r\n\r\n") == b"x", "a refused object is no fault of the body"


def test_buffers_are_released(twin: SimpleNamespace) -> None:
    data = bytearray(golden_input("blake3", 2048))
    assert twin.GearScanner(*SMALL_RULE).scan(data) > 0
    data.append(0)  # BufferError while anything holds the buffer
    decoder = twin.AwsChunkedDecoder(signed=False, trailers=False)
    body = bytearray(b"3\r\nabc\r\n")
    decoder.feed(body)
    body.append(0)
    fault = bytearray(b"1\r\nabc")
    with pytest.raises(FramingError):
        decoder.feed(fault)
    fault.append(0)


# --- aws-chunked


def decoder_for(twin: SimpleNamespace, case: dict[str, Any]) -> Any:
    return twin.AwsChunkedDecoder(signed=case["signed"], trailers=case["trailers"])


def pieces_of(body: bytes) -> list[list[bytes]]:
    """The body whole, byte by byte, and cut in two at every place."""
    halves = [[body[:at], body[at:]] for at in range(len(body) + 1)]
    return [[body], [body[at : at + 1] for at in range(len(body))], *halves]


def by_name(case: Any) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", AWS_CHUNKED["complete"], ids=by_name)
def test_complete_bodies_decode(twin: SimpleNamespace, case: dict[str, Any]) -> None:
    body, payload = case["body"].encode("latin-1"), case["payload"].encode("latin-1")
    for pieces in pieces_of(body):
        decoder = decoder_for(twin, case)
        assert b"".join(map(decoder.feed, pieces)) == payload
        assert decoder.finished is (case["ending"] == "closed")
        decoder.finish()
        decoder.finish()
        assert decoder.finished is True
        assert decoder.trailers == [tuple(trailer) for trailer in case["trailer_list"]]
        assert decoder.decoded_bytes == len(payload)


@pytest.mark.parametrize("case", AWS_CHUNKED["complete"], ids=by_name)
def test_complete_bodies_are_stripped_in_place(twin: SimpleNamespace, case: dict[str, Any]) -> None:
    body, payload = case["body"].encode("latin-1"), case["payload"].encode("latin-1")
    for pieces in pieces_of(body):
        decoder, found = decoder_for(twin, case), b""
        for piece in pieces:
            block = bytearray(b"<" + piece + b">")
            start, end = decoder.strip(memoryview(block)[1:-1])
            found += block[1 + start : 1 + end]
            assert block[:1] + block[-1:] == b"<>", "it writes outside of the block"
            block.append(0)  # BufferError while anything holds the buffer
        assert found == payload
        decoder.finish()
        assert decoder.trailers == [tuple(trailer) for trailer in case["trailer_list"]]
        assert decoder.decoded_bytes == len(payload)


@pytest.mark.parametrize(
    ("sizes", "place"),
    [((9,), (3, 12)), ((2, 9), (8, 19)), ((9, 2, 3), (3, 17)), ((2, 1, 9, 1), (13, 26)), ((4, 4), (3, 11))],
)
def test_the_longest_piece_stays_where_it_is(
    twin: SimpleNamespace, sizes: tuple[int, ...], place: tuple[int, int]
) -> None:
    pieces = [bytes(range(65 + 10 * number, 65 + 10 * number + size)) for number, size in enumerate(sizes)]
    block = bytearray(b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
    longest = max(pieces, key=len)
    before = block.index(longest)
    decoder = twin.AwsChunkedDecoder(signed=False, trailers=False)
    assert decoder.strip(block) == place
    assert block[place[0] : place[1]] == b"".join(pieces)
    assert block.index(longest) == before
    assert decoder.strip(bytearray()) == (0, 0)


@pytest.mark.parametrize("case", AWS_CHUNKED["faulty"], ids=by_name)
def test_stripping_finds_the_same_faults(twin: SimpleNamespace, case: dict[str, Any]) -> None:
    decoder, block = decoder_for(twin, case), bytearray(case["body"].encode("latin-1"))
    with pytest.raises(FramingError) as caught:
        decoder.strip(block)
    assert (caught.value.kind, caught.value.offset) == (case["kind"], case["offset"])
    block.append(0)
    with pytest.raises(FramingError):
        decoder.strip(bytearray())


@pytest.mark.parametrize("wrong", [b"1\r\nx\r\n", memoryview(b"1\r\nx\r\n"), memoryview(bytearray(8))[::2]])
def test_what_cannot_be_written_to_is_not_stripped(twin: SimpleNamespace, wrong: Any) -> None:
    decoder = twin.AwsChunkedDecoder(signed=False, trailers=False)
    with pytest.raises(BufferError):
        decoder.strip(wrong)
    assert decoder.feed(b"1\r\nx\r\n0\r\n\r\n") == b"x", "a refused block is no fault of the body"


@pytest.mark.parametrize("case", AWS_CHUNKED["complete"], ids=by_name)
def test_data_after_the_end_is_refused(twin: SimpleNamespace, case: dict[str, Any]) -> None:
    body = case["body"].encode("latin-1")
    decoder = decoder_for(twin, case)
    decoder.feed(body)
    decoder.finish()
    assert decoder.feed(b"") == b""
    with pytest.raises(FramingError) as after_finish:
        decoder.feed(b"\r\n")
    assert (after_finish.value.kind, after_finish.value.offset) == (FramingKind.DATA_AFTER_END, len(body))
    if case["ending"] == "closed":
        with pytest.raises(FramingError) as at_once:
            decoder_for(twin, case).feed(body + b"\r\n")
        assert (at_once.value.kind, at_once.value.offset) == (FramingKind.DATA_AFTER_END, len(body))


def test_a_closed_body_is_finished_only_at_its_last_byte(twin: SimpleNamespace) -> None:
    for case in AWS_CHUNKED["complete"]:
        decoder, body = decoder_for(twin, case), case["body"].encode("latin-1")
        decoder.feed(body[:-1])
        assert decoder.finished is False, case["name"]


@pytest.mark.parametrize("case", AWS_CHUNKED["faulty"], ids=by_name)
def test_faults_are_raised_at_their_byte(twin: SimpleNamespace, case: dict[str, Any]) -> None:
    body, offset = case["body"].encode("latin-1"), case["offset"]
    for before, after in [
        (b"", body),
        (body[:offset], body[offset:]),
        (body[: offset // 2], body[offset // 2 :]),
    ]:
        decoder = decoder_for(twin, case)
        decoder.feed(before)
        with pytest.raises(FramingError) as caught:
            decoder.feed(after)
        assert (caught.value.kind, caught.value.offset) == (case["kind"], offset)
        assert caught.value.details == {"kind": case["kind"], "offset": offset}
    decoder = decoder_for(twin, case)
    for at in range(offset):
        decoder.feed(body[at : at + 1])
    with pytest.raises(FramingError):
        decoder.feed(body[offset : offset + 1])


@pytest.mark.parametrize("case", AWS_CHUNKED["truncated"], ids=by_name)
def test_truncated_bodies_do_not_finish(twin: SimpleNamespace, case: dict[str, Any]) -> None:
    body = case["body"].encode("latin-1")
    decoder = decoder_for(twin, case)
    decoder.feed(body)
    with pytest.raises(FramingError) as caught:
        decoder.finish()
    assert (caught.value.kind, caught.value.offset) == (FramingKind.TRUNCATED, len(body))
    assert decoder.finished is False


def test_a_fault_is_final(twin: SimpleNamespace) -> None:
    decoder = twin.AwsChunkedDecoder(signed=False, trailers=False)
    with pytest.raises(FramingError) as first:
        decoder.feed(b"2\r\nab\r\n3\r\nabcd")
    for call in (lambda: decoder.feed(b"\r\n0\r\n\r\n"), lambda: decoder.feed(b""), decoder.finish):
        with pytest.raises(FramingError) as again:
            call()
        assert (again.value.kind, again.value.offset) == (first.value.kind, first.value.offset)
    assert (decoder.finished, decoder.decoded_bytes) == (False, 5)


def test_header_lines_have_a_limit(twin: SimpleNamespace) -> None:
    longest = b"0;" + b"x" * (MAX_HEADER_LINE_BYTES - 3) + b"\r"
    decoder = twin.AwsChunkedDecoder(signed=False, trailers=False)
    decoder.feed(longest + b"\n\r\n")
    assert decoder.finished
    with pytest.raises(FramingError) as caught:
        twin.AwsChunkedDecoder(signed=False, trailers=False).feed(longest + b"x")
    assert (caught.value.kind, caught.value.offset) == (FramingKind.HEADER_TOO_LONG, MAX_HEADER_LINE_BYTES)


@pytest.mark.parametrize("line", [b"a:b\r\n", b"a:b\n", b"a:" + b"x" * 507 + b"\r\n"])
def test_trailers_have_a_limit(twin: SimpleNamespace, line: bytes) -> None:
    fill = line * ((MAX_TRAILER_BYTES - 20) // len(line))
    last = b"z:" + b"x" * (MAX_TRAILER_BYTES - len(fill) - 6) + b"\r\n\r\n"
    assert len(fill + last) == MAX_TRAILER_BYTES
    decoder = twin.AwsChunkedDecoder(signed=False, trailers=True)
    decoder.feed(b"0\r\n" + fill + last)
    assert decoder.finished
    with pytest.raises(FramingError) as caught:
        twin.AwsChunkedDecoder(signed=False, trailers=True).feed(b"0\r\n" + fill + b"x" + last)
    assert (caught.value.kind, caught.value.offset) == (FramingKind.TRAILERS_TOO_LONG, 3 + MAX_TRAILER_BYTES)


def test_an_unending_trailer_line_meets_the_limit(twin: SimpleNamespace) -> None:
    decoder = twin.AwsChunkedDecoder(signed=False, trailers=True)
    decoder.feed(b"0\r\n" + b"x" * MAX_TRAILER_BYTES)
    with pytest.raises(FramingError, match="trailers are longer"):
        decoder.feed(b"x")


def test_the_largest_size_is_read(twin: SimpleNamespace) -> None:
    decoder = twin.AwsChunkedDecoder(signed=False, trailers=False)
    assert decoder.feed(b"ffffffffffffffff\r\nabc") == b"abc"
    assert decoder.feed(b"def") == b"def"
    assert decoder.decoded_bytes == 6


@pytest.mark.parametrize("chunk_bytes", [5, 4096, 65536, 1 << 20])
@pytest.mark.parametrize("block_bytes", [1000, 65536, 1 << 21])
def test_chunks_and_blocks_need_not_align(twin: SimpleNamespace, chunk_bytes: int, block_bytes: int) -> None:
    payload = golden_input("blake3", min(1 << 20, chunk_bytes * 500) + 3)
    body = b"".join(
        b"%x;chunk-signature=%064x\r\n%s\r\n" % (len(part), start, part)
        for start in range(0, len(payload), chunk_bytes)
        for part in [payload[start : start + chunk_bytes]]
    )
    body += b"0;chunk-signature=%064x\r\n\r\n" % 0
    decoder = twin.AwsChunkedDecoder(signed=True, trailers=False)
    blocks = [body[start : start + block_bytes] for start in range(0, len(body), block_bytes)]
    assert b"".join(map(decoder.feed, blocks)) == payload
    assert decoder.finished


def test_the_list_of_trailers_is_the_callers(twin: SimpleNamespace) -> None:
    decoder = twin.AwsChunkedDecoder(signed=False, trailers=True)
    decoder.feed(b"0\r\na:b\r\n")
    decoder.trailers.clear()
    assert decoder.trailers == [("a", "b")]


def test_options_are_named(twin: SimpleNamespace) -> None:
    with pytest.raises(TypeError):
        twin.AwsChunkedDecoder(True, False)
    with pytest.raises(TypeError):
        twin.AwsChunkedDecoder(signed=True)


# --- heads


def scan(twin: SimpleNamespace, head: bytes, **limits: int) -> Any:
    scanner = twin.HeadScanner(
        head,
        **({"head_bytes": 1 << 16, "header_count": 100} | limits),
        wanted=(b"if-match", b"x-mode"),
        declined=(b"transfer-encoding", b"expect"),
        parameters=(b"x-id", b"X-Amz-Signature"),
    )
    return scanner.scan(0, len(head))


def plain(target: bytes = b"/b/k", lines: bytes = b"", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: h\r\n%b\r\n" % (method, target, lines)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (plain(), (False, "/b/k", b"h", -1, -1, None, None)),
        (plain(method=b"HEAD"), (True, "/b/k", b"h", -1, -1, None, None)),
        (plain(b"/"), (False, "/", b"h", -1, -1, None, None)),
        (plain(b"//k//"), (False, "//k//", b"h", -1, -1, None, None)),
        (plain(b"/b%2Dc/a%20%c3%a9%2F+"), (False, "/b-c/a \u00e9/+", b"h", -1, -1, None, None)),
        (plain(b"/b/k?x-id=a%20b&X-Amz-Signature=0"), (False, "/b/k", b"h", -1, -1, None, None)),
        (plain(b"/b/k?x-id"), (False, "/b/k", b"h", -1, -1, None, None)),
        (plain(lines=b"RANGE: bytes=1-2 \r\n"), (False, "/b/k", b"h", 1, 2, None, None)),
        (plain(lines=b"range:bytes=07-\r\n"), (False, "/b/k", b"h", 7, -1, None, None)),
        (plain(lines=b"Range: bytes=-3\r\n"), (False, "/b/k", b"h", -1, 3, None, None)),
        (plain(lines=b'If-Match: "a"\r\nX-Mode:\r\n'), (False, "/b/k", b"h", -1, -1, b'"a"', b"")),
        (plain(lines=b"content-length: 0\r\n"), (False, "/b/k", b"h", -1, -1, None, None)),
        (plain(lines=b"Connection: Keep-Alive\r\nX: \t~\r\n"), (False, "/b/k", b"h", -1, -1, None, None)),
    ],
)
def test_plain_heads_are_recognised(twin: SimpleNamespace, head: bytes, expected: tuple[Any, ...]) -> None:
    assert scan(twin, head) == (len(head), *expected)
    assert scan(twin, head + b"GET / HTTP/1.1\r\n") == (len(head), *expected)
    assert all(scan(twin, head[:end]) is None for end in range(len(head)))


@pytest.mark.parametrize(
    "head",
    [
        plain(method=b"PUT"),
        plain(method=b"get"),
        b"\r\n" + plain(),
        plain().replace(b"1.1", b"1.0"),
        plain().replace(b"Host: h\r\n", b""),
        plain().replace(b"Host: h", b"Host: "),
        plain().replace(b"\r\n", b"\n"),
        plain(b"http://h/b/k"),
        plain(b"*"),
        plain(b"/b/k#f"),
        plain(b"/b/\xc3\xa9"),
        plain(b"/b/%c3"),
        plain(b"/b/%zz"),
        plain(b"/b/%4"),
        plain(b"/b%2fk"),
        plain(b"/b/" + b"a" * 5000),
        plain(b"/b/k?"),
        plain(b"/b/k?x-id&"),
        plain(b"/b/k?uploads"),
        plain(b"/b/k?X-ID=a"),
        plain(b"/b/k?x-id=%00"),
        plain(b"/b/k?x-id=%c3%a9"),
        plain(b"/b/k?x-id%3d=a"),
        plain(lines=b"Host: h\r\n"),
        plain(lines=b"Content-Length: 1\r\n"),
        plain(lines=b"Content-Length: 00\r\n"),
        plain(lines=b"Content-Length: +0\r\n"),
        plain(lines=b"Content-Length: 0\r\nContent-Length: 0\r\n"),
        plain(lines=b"transfer-encoding: chunked\r\n"),
        plain(lines=b"Expect: 100-continue\r\n"),
        plain(lines=b"Connection: close\r\n"),
        plain(lines=b"Connection: keep-alive, x\r\n"),
        plain(lines=b"Range: bytes=0-1\r\nRange: bytes=0-1\r\n"),
        plain(lines=b"If-Match: a\r\nif-match: a\r\n"),
        plain(lines=b"Range: bytes=2-1\r\n"),
        plain(lines=b"Range: bytes=0-1,2-3\r\n"),
        plain(lines=b"Range: bytes=-\r\n"),
        plain(lines=b"Range: bytes= 0-1\r\n"),
        plain(lines=b"Range: items=0-1\r\n"),
        plain(lines=b"Range: bytes=0-1234567890123456789\r\n"),
        plain(lines=b"X : a\r\n"),
        plain(lines=b"X: a\r\n folded\r\n"),
        plain(lines=b"X: a\rb\r\n"),
        plain(lines=b"X: \x00\r\n"),
        plain(lines=b"X: \xff\r\n"),
        plain(lines=b": a\r\n"),
        plain(lines=b"X\r\n"),
    ],
)
def test_other_heads_are_left_alone(twin: SimpleNamespace, head: bytes) -> None:
    assert scan(twin, head) is None


def scan_put(twin: SimpleNamespace, head: bytes) -> Any:
    scanner = twin.HeadScanner(
        head,
        head_bytes=1 << 16,
        header_count=100,
        wanted=(b"content-type", b"x-amz-content-sha256"),
        declined=(b"transfer-encoding", b"if-match"),
        parameters=(b"x-id",),
        writes=True,
        family=b"x-amz-",
        ignored=(b"x-amz-date",),
    )
    return scanner.scan(0, len(head))


def plain_put(lines: bytes = b"", length: bytes = b"Content-Length: 3\r\n") -> bytes:
    return plain(b"/b/k?x-id=PutObject", length + lines, b"PUT")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (plain_put(), (3, None, None)),
        (plain_put(length=b"content-length: 000000000\r\n"), (0, None, None)),
        (plain_put(length=b"content-length: 999999999\r\n"), (999_999_999, None, None)),
        (plain_put(b"Content-Type: a/b\r\nX-Amz-Content-SHA256: c\r\n"), (3, b"a/b", b"c")),
        (plain_put(b"X-Amz-Date: d\r\nX-Amz-Date: d\r\nx-amz: e\r\nx-am-b: f\r\n"), (3, None, None)),
        (plain_put(b"a" * 50 + b": b\r\n"), (3, None, None)),
    ],
)
def test_plain_puts_are_recognised(twin: SimpleNamespace, head: bytes, expected: tuple[Any, ...]) -> None:
    assert scan_put(twin, head + b"abc") == (len(head), False, "/b/k", b"h", 0, *expected)
    assert all(scan_put(twin, head[:end]) is None for end in range(len(head)))


@pytest.mark.parametrize(
    "head",
    [
        plain(),
        plain(method=b"HEAD"),
        plain(method=b"POST"),
        plain_put(length=b""),
        plain_put(length=b"Content-Length: \r\n"),
        plain_put(length=b"Content-Length: -1\r\n"),
        plain_put(length=b"Content-Length: 1a\r\n"),
        plain_put(length=b"Content-Length: 1234567890\r\n"),
        plain_put(b"Content-Length: 3\r\n"),
        plain_put(b"Range: bytes=0-1\r\n"),
        plain_put(b"If-Match: a\r\n"),
        plain_put(b"Transfer-Encoding: chunked\r\n"),
        plain_put(b"x-amz-: a\r\n"),
        plain_put(b"X-AMZ-Meta-Colour: red\r\n"),
        plain_put(b"x-amz-meta-" + b"a" * 50 + b": b\r\n"),
        plain_put(b"X-Amz-Content-SHA256: a\r\nx-amz-content-sha256: a\r\n"),
    ],
)
def test_other_puts_are_left_alone(twin: SimpleNamespace, head: bytes) -> None:
    assert scan_put(twin, head) is None


def test_heads_beyond_a_limit_are_left_alone(twin: SimpleNamespace) -> None:
    head = plain(lines=b"A: b\r\n")
    assert scan(twin, head, head_bytes=len(head), header_count=2) is not None
    assert scan(twin, head, head_bytes=len(head) - 1) is None
    assert scan(twin, head, header_count=1) is None


def test_scanner_reads_the_buffer_as_it_is_now(twin: SimpleNamespace) -> None:
    head, buffer = plain(), bytearray(200)
    scanner = twin.HeadScanner(buffer, head_bytes=200, header_count=9)
    assert scanner.scan(0, 200) is None
    buffer[7 : 7 + len(head)] = head
    assert scanner.scan(7, 200) == (7 + len(head), False, "/b/k", b"h", -1, -1)
    for start, end in ((-1, 5), (5, 4), (0, 201)):
        with pytest.raises(ValueError, match="buffer"):
            scanner.scan(start, end)


@pytest.mark.parametrize(
    "names",
    [
        {"wanted": (b"Range",)},
        {"wanted": (b"range",)},
        {"declined": (b"host",)},
        {"wanted": (b"a",), "declined": (b"a",)},
        {"wanted": (b"a b",)},
        {"parameters": (b"",)},
        {"parameters": (b"x" * 41,)},
        {"wanted": tuple(b"a%d" % number for number in range(13))},
        {"parameters": tuple(b"a%d" % number for number in range(65))},
        {"family": b"A"},
        {"family": b"a b"},
        {"family": b"a" * 41},
        {"ignored": (b"a",), "wanted": (b"a",)},
    ],
)
def test_scanner_refuses_names(twin: SimpleNamespace, names: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        twin.HeadScanner(b"", head_bytes=1, header_count=1, **names)

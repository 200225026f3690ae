"""Differential tests: the compiled module against its twin, on anything."""

from __future__ import annotations

import ctypes
import mmap
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidegate.errors import Invalid
from sidegate.native import FramingError, select
from sidegate.native.framing import MAX_HEADER_LINE_BYTES, MAX_TRAILER_BYTES

try:
    _, native = select("require")
except ModuleNotFoundError as absent:
    pytest.skip(f"nothing to compare, not compiled: {absent}", allow_module_level=True)
_, pure = select("off")
native_gear, native_aws_chunked, native_heads = native["gear"], native["aws_chunked"], native["heads"]
pure_gear, pure_aws_chunked, pure_heads = pure["gear"], pure["aws_chunked"], pure["heads"]

Outcome = tuple[Any, ...]


def outcome(call: Callable[[], Any]) -> Outcome:
    """What a call returned, or how exactly it failed."""
    try:
        return ("returned", call())
    except FramingError as error:
        return (type(error), error.kind, error.offset, str(error))
    except (TypeError, BufferError, ValueError) as error:
        return (type(error),)


def split(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


# --- gear

places = st.lists(st.integers(0, 1 << 16), max_size=12)
rules = st.tuples(st.integers(1, 300), st.integers(4, 8), st.integers(0, 600)).map(
    lambda drawn: (min(drawn[0], 1 << drawn[1]), 1 << drawn[1], (1 << drawn[1]) + drawn[2])
)
inputs = st.one_of(
    st.binary(max_size=3000),
    st.randoms(use_true_random=False).map(lambda random: random.randbytes(random.randint(0, 6000))),
    st.tuples(st.binary(max_size=70), st.integers(0, 80)).map(lambda drawn: drawn[0] * drawn[1]),
)


def gear_trace(scanner: Any, pieces: list[bytes], reset_at: int) -> list[Outcome]:
    trace: list[Outcome] = []
    for number, piece in enumerate(pieces):
        if number == reset_at:
            scanner.reset()
        view = memoryview(piece)
        while True:
            consumed = scanner.scan(view)
            trace.append((consumed, scanner.chunk_bytes))
            if consumed < 0:
                break
            view = view[consumed:]
    return trace


def assert_gears_agree(rule: tuple[int, int, int], pieces: list[bytes], reset_at: int = -1) -> None:
    native = gear_trace(native_gear.GearScanner(*rule), pieces, reset_at)
    assert native == gear_trace(pure_gear.GearScanner(*rule), pieces, reset_at)


@settings(deadline=None)
@given(rule=rules, data=inputs, places=places, reset_at=st.integers(0, 30))
def test_gear_twins_agree(rule: tuple[int, int, int], data: bytes, places: list[int], reset_at: int) -> None:
    assert_gears_agree(rule, split(data, places), reset_at)


BEST_FILTER = native_gear.use_filter(2)


@pytest.fixture(params=[0, 1, 2], ids=["no filter", "AVX2", "AVX-512"])
def filter_level(request: pytest.FixtureRequest) -> Iterator[int]:
    if request.param > BEST_FILTER:
        pytest.skip("this processor has no such instructions")
    assert native_gear.use_filter(request.param) == request.param
    yield request.param
    native_gear.use_filter(BEST_FILTER)


long_inputs = st.one_of(
    st.randoms(use_true_random=False).map(lambda random: random.randbytes(random.randint(0, 120_000))),
    st.tuples(st.binary(min_size=1, max_size=90), st.integers(0, 1500)).map(
        lambda drawn: drawn[0] * drawn[1]
    ),
    st.tuples(st.integers(0, 1 << 32), st.sampled_from([2, 3, 16]), st.integers(0, 60_000)).map(
        lambda drawn: bytes(Random(drawn[0]).choices(range(drawn[1]), k=drawn[2]))
    ),
)


@pytest.mark.usefixtures("filter_level")
@settings(max_examples=60)
@given(exponent=st.integers(11, 14), data=long_inputs, places=places, min_bytes=st.integers(1, 2048))
def test_gear_twins_agree_where_groups_are_passed_over(
    exponent: int, data: bytes, places: list[int], min_bytes: int
) -> None:
    assert_gears_agree((min_bytes, 1 << exponent, 8 << exponent), split(data, places))


@pytest.mark.usefixtures("filter_level")
@settings(max_examples=60)
@given(exponent=st.integers(4, 14), data=long_inputs, places=places, min_bytes=st.integers(1, 16))
def test_gear_twins_agree_where_groups_have_many_candidates(
    exponent: int, data: bytes, places: list[int], min_bytes: int
) -> None:
    assert_gears_agree((min_bytes, 1 << exponent, 8 << exponent), split(data, places))


@pytest.mark.usefixtures("filter_level")
@pytest.mark.parametrize("seed", range(4))
def test_gear_twins_agree_on_a_long_stream(seed: int) -> None:
    """Long enough for ends under both masks, at every place in a group."""
    data = Random(seed).randbytes(1_500_000)
    assert_gears_agree((64, 1 << 11, 1 << 14), [data])


def test_the_filter_looks_at_nothing_outside_of_the_block() -> None:
    """The block ends and begins at pages that cannot be touched, so that it would crash."""
    page = mmap.PAGESIZE
    area = mmap.mmap(-1, 4 * page)
    libc = ctypes.CDLL(None, use_errno=True)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for number in (0, 3):
        assert libc.mprotect(ctypes.c_void_p(start + number * page), page, 0) == 0, ctypes.get_errno()
    block = memoryview(area)[page : 3 * page]
    block[:] = Random(7).randbytes(2 * page)
    for level in range(BEST_FILTER + 1):
        native_gear.use_filter(level)
        for skipped in range(130):
            assert_gears_agree((1, 1 << 13, 1 << 16), [block[skipped:], block[: 2 * page - skipped]])
    assert native_gear.use_filter(BEST_FILTER) == BEST_FILTER


integers = st.one_of(st.integers(-3, 40), st.sampled_from([64, 256, 255, 1 << 40, (1 << 40) + 1, 1 << 70]))


@given(rule=st.tuples(*[st.one_of(integers, st.sampled_from([None, 1.0, "1", True]))] * 3))
def test_gear_twins_refuse_the_same_rules(rule: tuple[Any, Any, Any]) -> None:
    def attempt(module: Any) -> Outcome:
        try:
            return ("scanner", module.GearScanner(*rule).chunk_bytes)
        except (Invalid, TypeError, OverflowError) as error:
            return (type(error), str(error))

    assert attempt(native_gear) == attempt(pure_gear)


# --- aws-chunked

headers = st.one_of(
    st.just(b""), st.just(b";chunk-signature=00ff"), st.sampled_from([b";", b";x", b" ", b";chunk-signature"])
)
chunks = st.tuples(st.binary(min_size=1, max_size=40), headers).map(
    lambda drawn: b"%x%s\r\n%s\r\n" % (len(drawn[0]), drawn[1], drawn[0])
)
sections = st.lists(
    st.sampled_from(
        [
            b"a:b\r\n",
            b"a:b\n",
            b"\r\n",
            b"\n",
            b"x-amz-trailer-signature:0\r\n",
            b"A: b \r\n",
            b"a\r\n",
            b"\r",
        ]
    ),
    max_size=5,
).map(b"".join)
bodies = st.tuples(st.lists(chunks, max_size=5).map(b"".join), headers, sections).map(
    lambda drawn: drawn[0] + b"0" + drawn[1] + b"\r\n" + drawn[2]
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    body = draw(bodies)
    start = draw(st.integers(0, len(body)))
    end = min(len(body), start + draw(st.integers(0, 3)))
    return body[:start] + draw(st.binary(max_size=3)) + body[end:]


def decoder_trace(decoder: Any, pieces: list[bytes]) -> list[Outcome]:
    trace: list[Outcome] = []
    for piece in pieces:
        trace.append(outcome(lambda piece=piece: decoder.feed(piece)))  # type: ignore[misc]
        trace.append((decoder.finished, decoder.decoded_bytes, decoder.trailers))
    trace.append(outcome(decoder.finish))
    trace.append((decoder.finished, decoder.decoded_bytes, decoder.trailers))
    return trace


@settings(deadline=None, max_examples=500)
@given(
    body=st.one_of(bodies, damaged(), st.binary(max_size=60)),
    places=places,
    signed=st.booleans(),
    trailers=st.booleans(),
)
@example(body=b"0;" + b"x" * MAX_HEADER_LINE_BYTES, places=[7], signed=False, trailers=False)
@example(
    body=b"0\r\n" + b"a:b\n" * (MAX_TRAILER_BYTES // 4) + b"\r\n", places=[9], signed=False, trailers=True
)
@example(body=b"fFfFfFfFfFfFfFfF\r\nabc", places=[2, 19], signed=False, trailers=True)
def test_decoder_twins_agree(body: bytes, places: list[int], signed: bool, trailers: bool) -> None:
    pieces = split(body, places)
    native = decoder_trace(native_aws_chunked.AwsChunkedDecoder(signed=signed, trailers=trailers), pieces)
    pure = decoder_trace(pure_aws_chunked.AwsChunkedDecoder(signed=signed, trailers=trailers), pieces)
    assert native == pure


@settings(deadline=None)
@given(body=st.one_of(bodies, damaged()), places=places, signed=st.booleans(), trailers=st.booleans())
def test_decoding_does_not_depend_on_the_split(
    body: bytes, places: list[int], signed: bool, trailers: bool
) -> None:
    def final_state(pieces: list[bytes]) -> list[Outcome]:
        decoder = native_aws_chunked.AwsChunkedDecoder(signed=signed, trailers=trailers)
        return decoder_trace(decoder, pieces)[-3:]

    whole, pieces = final_state([body]), final_state(split(body, places))
    assert whole[1:] == pieces[1:]


@st.composite
def framed(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A payload and the same in chunks of random sizes, many of them short."""
    sizes = draw(st.lists(st.one_of(st.integers(1, 20), st.integers(1, 5000)), max_size=12))
    payload = draw(st.randoms(use_true_random=False)).randbytes(sum(sizes))
    body, offset = bytearray(), 0
    for size in sizes:
        body += b"%x;chunk-signature=%064x\r\n%b\r\n" % (size, offset, payload[offset : offset + size])
        offset += size
    return payload, bytes(body + b"0;chunk-signature=00\r\na:b\r\n\r\n")


@settings(deadline=None)
@given(framed=framed(), places=places)
def test_stripped_blocks_make_the_payload(framed: tuple[bytes, bytes], places: list[int]) -> None:
    payload, body = framed
    for module in (native_aws_chunked, pure_aws_chunked):
        decoder, found = module.AwsChunkedDecoder(signed=True, trailers=True), b""
        for piece in split(body, places):
            block = bytearray(piece)
            start, end = decoder.strip(block)
            found += block[start:end]
        decoder.finish()
        assert (found, decoder.trailers) == (payload, [("a", "b")])


@settings(deadline=None, max_examples=300)
@given(body=st.one_of(bodies, damaged()), places=places, signed=st.booleans(), trailers=st.booleans())
def test_stripping_twins_agree(body: bytes, places: list[int], signed: bool, trailers: bool) -> None:
    traces = []
    for module in (native_aws_chunked, pure_aws_chunked):
        decoder, trace = module.AwsChunkedDecoder(signed=signed, trailers=trailers), []
        for piece in split(body, places):
            block = bytearray(piece)
            place = outcome(partial(decoder.strip, block))
            payload = block[slice(*place[1])] if place[0] == "returned" else None
            trace.append((place, payload, decoder.finished, decoder.decoded_bytes, decoder.trailers))
        traces.append(trace)
    assert traces[0] == traces[1]


# --- buffers and shape

objects = st.one_of(
    st.binary(max_size=400),
    st.binary(max_size=400).map(bytearray),
    st.binary(max_size=400).map(memoryview),
    st.tuples(st.binary(max_size=400), st.integers(-3, 3).filter(bool)).map(
        lambda drawn: memoryview(drawn[0])[:: drawn[1]]
    ),
    st.binary(max_size=100).map(lambda data: memoryview(data * 8).cast("d") if data else memoryview(b"")),
    st.text(max_size=4),
    st.none(),
    st.integers(),
    st.lists(st.integers(0, 255), max_size=3),
)


@settings(deadline=None)
@given(data=objects)
def test_twins_take_the_same_objects(data: Any) -> None:
    native, pure = native_gear.GearScanner(16, 64, 256), pure_gear.GearScanner(16, 64, 256)
    assert outcome(lambda: native.scan(data)) == outcome(lambda: pure.scan(data))
    assert native.chunk_bytes == pure.chunk_bytes
    decoders = [
        module.AwsChunkedDecoder(signed=False, trailers=True)
        for module in (native_aws_chunked, pure_aws_chunked)
    ]
    for decoder in decoders:
        decoder.feed(b"100\r\n")
    assert outcome(lambda: decoders[0].feed(data)) == outcome(lambda: decoders[1].feed(data))


def test_a_released_view_is_refused_alike() -> None:
    view = memoryview(b"abc")
    view.release()
    for module in (native_gear, pure_gear):
        assert outcome(lambda module=module: module.GearScanner(16, 64, 256).scan(view)) == (ValueError,)


@pytest.mark.parametrize(
    ("native", "pure"),
    [
        (native_gear.GearScanner, pure_gear.GearScanner),
        (native_aws_chunked.AwsChunkedDecoder, pure_aws_chunked.AwsChunkedDecoder),
    ],
)
def test_twins_have_the_same_members(native: type, pure: type) -> None:
    def members(class_: type) -> set[str]:
        return {name for name in dir(class_) if not name.startswith("_")}

    assert members(native) == members(pure)


def test_feeding_a_decoder_that_is_feeding_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled twin points into the block, so it must not be re-entered."""
    decoder = native_aws_chunked.AwsChunkedDecoder(signed=False, trailers=True)
    attempts = []

    def parse(line: bytes) -> tuple[str, str]:
        with pytest.raises(RuntimeError) as caught:
            decoder.feed(b"1\r\nx\r\n" * 100)
        attempts.append(caught.value)
        return ("name", line.decode())

    monkeypatch.setattr(native_aws_chunked, "parse_trailer_line", parse)
    assert decoder.feed(b"3\r\nabc\r\n0\r\na:b\r\n") == b"abc"
    assert len(attempts) == 1
    assert decoder.feed(b"\r\n") == b""
    assert decoder.finished


def test_a_large_block_is_scanned_without_the_gil() -> None:
    """With no switches by time, only a scan that lets go lets us look."""
    scanner, block = native_gear.GearScanner(1, 1 << 40, 1 << 40), bytes(64 << 20)
    started, done = threading.Event(), []

    def scan() -> None:
        started.set()
        scanner.scan(block)
        done.append(True)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        thread = threading.Thread(target=scan)
        thread.start()
        started.wait()
        seen_running = not done
    finally:
        sys.setswitchinterval(interval)
    thread.join()
    assert seen_running
    assert scanner.chunk_bytes == len(block)


# --- heads

NAMES_TOLD = {
    "wanted": (b"if-match", b"x-amz-checksum-mode"),
    "declined": (b"expect", b"if-none-match"),
    "parameters": (b"x-id", b"X-Amz-Signature"),
}
LINES = [
    b"Host: h",
    b"host:h:80 ",
    b"Host:",
    b"Range: bytes=0-5",
    b"range: bytes=5-",
    b"RANGE:bytes=-5",
    b"Range: bytes=5-4",
    b"Range: bytes=0-1,3-4",
    b"Range: bytes=0-%d" % 10**17,
    b"Range: bytes=0-%d" % 10**18,
    b"Range: bytes=-",
    b"Range: Bytes=1-2",
    b'If-Match: "a"',
    b"If-Match:",
    b"If-None-Match: *",
    b"Content-Length: 0",
    b"content-length:1",
    b"Content-Length: 00",
    b"Connection: Keep-Alive",
    b"Connection: close",
    b"x-amz-checksum-mode: ENABLED",
    b"X-Other: \t v \x7e ",
    b"X-Other: \x7f",
    b"X-Other: \xc3\xa9",
    b" folded",
    b"no colon",
    b"space before : colon",
    b": nothing before",
    b"x" * 60 + b": long name",
]
PIECES = [
    b"/",
    b"a",
    b"%41",
    b"%2f",
    b"%2F",
    b"%c3%a9",
    b"%ff",
    b"%0",
    b"%zz",
    b" ",
    b"?",
    b"&",
    b"=",
    b"+",
    b"#",
]
PIECES += [b"x-id", b"X-Amz-Signature", b"x-id=GetObject", b"uploads", b"%00", b"%20", b"~", b'"', b"\r\n"]

targets = st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)
heads = st.tuples(
    st.sampled_from([b"GET /", b"HEAD /", b"GET ", b"PUT /", b"get /", b"\r\nGET /"]),
    st.one_of(st.sampled_from([b"", b"b/k", b"b/k?x-id=GetObject"]), targets),
    st.sampled_from([b" HTTP/1.1\r\n"] * 5 + [b" HTTP/1.0\r\n", b" HTTP/1.1\n", b"  HTTP/1.1\r\n", b"\r\n"]),
    st.lists(st.sampled_from(LINES), max_size=6).map(
        lambda lines: b"".join(line + b"\r\n" for line in lines)
    ),
    st.sampled_from([b"\r\n"] * 4 + [b"", b"\r", b"\n", b"\r\nGET / HTTP/1.1\r\n"]),
).map(b"".join)


@st.composite
def damaged_heads(draw: st.DrawFn) -> bytes:
    head = draw(heads)
    start = draw(st.integers(0, len(head)))
    return head[:start] + draw(st.binary(max_size=3)) + head[start + draw(st.integers(0, 3)) :]


@settings(deadline=None, max_examples=1500)
@given(
    head=st.one_of(heads, damaged_heads()),
    before=st.integers(0, 3),
    head_bytes=st.sampled_from([40, 1 << 16]),
    header_count=st.integers(0, 8),
)
@example(head=b"GET / HTTP/1.1\r\nhost:h\r\n\r\n", before=1, head_bytes=27, header_count=1)
@example(head=b"GET / HTTP/1.1\r\nhost:h\r\n\r\n", before=0, head_bytes=26, header_count=1)
@example(head=b"GET / HTTP/1.1\r\nhost:h\r\na:\r\n\r\n", before=0, head_bytes=99, header_count=1)
@example(
    head=b"GET /%s HTTP/1.1\r\nhost:h\r\n\r\n" % (b"a" * 4095), before=0, head_bytes=9999, header_count=1
)
@example(
    head=b"GET /%s HTTP/1.1\r\nhost:h\r\n\r\n" % (b"a" * 4096), before=0, head_bytes=9999, header_count=1
)
def test_head_twins_agree(head: bytes, before: int, head_bytes: int, header_count: int) -> None:
    buffer = b"#" * before + head
    found = [
        module.HeadScanner(buffer, head_bytes=head_bytes, header_count=header_count, **NAMES_TOLD).scan(
            before, len(buffer)
        )
        for module in (native_heads, pure_heads)
    ]
    assert found[0] == found[1]


@given(cut=st.integers(0, 200))
def test_head_twins_wait_for_the_whole_head(cut: int) -> None:
    head = b"GET /b/k?x-id=GetObject HTTP/1.1\r\nHost: h\r\nRange: bytes=0-9\r\n\r\n"
    for module in (native_heads, pure_heads):
        scanner = module.HeadScanner(head + b"x" * 200, head_bytes=1 << 16, header_count=9, **NAMES_TOLD)
        assert (scanner.scan(0, cut) is not None) == (cut >= len(head))


@given(
    wanted=st.lists(st.sampled_from([b"a", b"Range", b"host", b"", b"x" * 41, b"a b"]), max_size=10),
    declined=st.lists(st.sampled_from([b"a", b"b", b"connection", b"C"]), max_size=3),
    parameters=st.lists(st.sampled_from([b"x", b"X", b"", b"=", b"y" * 41]), max_size=70),
)
def test_head_twins_refuse_the_same_names(
    wanted: list[bytes], declined: list[bytes], parameters: list[bytes]
) -> None:
    def attempt(module: Any) -> Outcome:
        names = {"wanted": wanted, "declined": declined, "parameters": parameters}
        try:
            return (module.HeadScanner(b"", head_bytes=9, header_count=9, **names).scan(0, 0),)
        except Invalid as error:
            return (type(error), str(error))

    assert attempt(native_heads) == attempt(pure_heads)

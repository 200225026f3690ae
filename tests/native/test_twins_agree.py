"""Differential tests: the compiled module against its twin, on anything."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from itertools import pairwise
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
native_gear, native_aws_chunked = native["gear"], native["aws_chunked"]
pure_gear, pure_aws_chunked = pure["gear"], pure["aws_chunked"]

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


@settings(deadline=None)
@given(rule=rules, data=inputs, places=places, reset_at=st.integers(0, 30))
def test_gear_twins_agree(rule: tuple[int, int, int], data: bytes, places: list[int], reset_at: int) -> None:
    pieces = split(data, places)
    native = gear_trace(native_gear.GearScanner(*rule), pieces, reset_at)
    assert native == gear_trace(pure_gear.GearScanner(*rule), pieces, reset_at)


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

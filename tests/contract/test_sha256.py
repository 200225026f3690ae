"""What both twins of SHA-256 promise: the digests of FIPS 180-4, wherever streams are split."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from contract_harness import load_twin
from hypothesis import given
from hypothesis import strategies as st

from sidegate.native import MOST_TOGETHER

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "sha256.json").read_text("utf-8"))
PROCESSOR = Path("/proc/cpuinfo")
TWINS = ["native", "pure"]
BLOCK_BYTES = 64
COUNTS = range(1, MOST_TOGETHER + 1)


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> Any:
    return load_twin(request.param, "sha256")


def digest_of(twin: Any, *pieces: bytes) -> bytes:
    stream = twin.Sha256()
    for piece in pieces:
        stream.update(piece)
    return bytes(stream.digest())


def test_two_at_once_where_the_processor_can() -> None:
    """Else the compiled module would pass all of this by hashlib alone, and cost twice as much."""
    if platform.machine() != "x86_64" or not PROCESSOR.exists():
        pytest.skip("what this processor can is not known here")
    assert load_twin("native", "sha256").pairs is ("sha_ni" in PROCESSOR.read_text("utf-8").split())
    assert load_twin("pure", "sha256").pairs is False
    assert load_twin("native", "sha256").MOST_TOGETHER == load_twin("pure", "sha256").MOST_TOGETHER == 3


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['text'][:8]}-{case['times']}")
def test_published_digests(twin: Any, case: dict[str, Any]) -> None:
    data, expected = bytes.fromhex(case["text"]) * case["times"], bytes.fromhex(case["digest"])
    assert digest_of(twin, data) == expected
    if len(data) < 2000:
        assert digest_of(twin, *(data[i : i + 1] for i in range(len(data)))) == expected
    for company in COUNTS:
        streams = [twin.Sha256() for _ in range(company)]
        twin.update_together(streams, [data, b"with company " + data, data][:company])
        assert streams[0].digest() == streams[-1 if company == 3 else 0].digest() == expected
        if company > 1:
            assert streams[1].digest() == hashlib.sha256(b"with company " + data).digest()


@pytest.mark.parametrize("length", range(3 * BLOCK_BYTES + 2))
def test_every_length_around_a_block(twin: Any, length: int) -> None:
    data = Random(length).randbytes(length)
    expected = hashlib.sha256(data).digest()
    assert digest_of(twin, data) == expected
    for end in range(length + 1):
        assert digest_of(twin, data[:end], data[end:]) == expected


@given(
    name=st.sampled_from(TWINS),
    count=st.sampled_from(COUNTS),
    lengths=st.lists(st.tuples(*[st.integers(0, 300)] * 3), max_size=8),
    seed=st.integers(0, 1 << 32),
)
def test_streams_split_anywhere(
    name: str, count: int, lengths: list[tuple[int, int, int]], seed: int
) -> None:
    twin, random = load_twin(name, "sha256"), Random(seed)
    streams, definitions = (
        [twin.Sha256() for _ in range(count)],
        [hashlib.sha256() for _ in range(count)],
    )
    for each_length in lengths:
        pieces = [random.randbytes(length) for length in each_length[:count]]
        if random.random() < 0.3:
            for stream, piece in zip(streams, pieces, strict=True):
                stream.update(piece)
        else:
            twin.update_together(streams, pieces)
        for definition, piece in zip(definitions, pieces, strict=True):
            definition.update(piece)
        # Asking changes nothing.
        assert [stream.digest() for stream in streams] == [each.digest() for each in definitions]


LONG = [
    *[(1 << 20, 1 << 20), (1 << 20, 100), (70_001, 1 << 20), (0, 70_001)],
    *[(1 << 20, 1 << 20, 1 << 20), (70_001, 1 << 20, 200_000), (1 << 20, 0, 70_001), (1 << 20, 70_001, 64)],
]


@pytest.mark.parametrize("lengths", LONG)
def test_long_pieces_at_odd_addresses(twin: Any, lengths: tuple[int, ...]) -> None:
    """Long enough for the GIL to be let go of."""
    pieces = [memoryview(bytearray(Random(n).randbytes(n + 3)))[3:] for n in lengths]
    streams = [twin.Sha256() for _ in lengths]
    twin.update_together(streams, pieces)
    assert [stream.digest() for stream in streams] == [hashlib.sha256(piece).digest() for piece in pieces]
    alone = twin.Sha256()
    alone.update(pieces[0])
    assert alone.digest() == streams[0].digest()


def test_a_length_in_bits_beyond_32_bits(twin: Any) -> None:
    block = bytes(1 << 20)
    stream, definition = twin.Sha256(), hashlib.sha256()
    for _ in range(513):
        stream.update(block)
        definition.update(block)
    assert stream.digest() == definition.digest()


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview, lambda data: memoryview(data).cast("H")])
def test_any_contiguous_buffer(twin: Any, buffer: Callable[[bytes], Any]) -> None:
    data = bytes(range(200))
    assert digest_of(twin, buffer(data)) == hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    ("wrong", "error"), [("text", TypeError), (None, TypeError), (memoryview(b"abcd")[::2], BufferError)]
)
def test_what_is_no_contiguous_buffer_is_refused_and_nothing_taken(
    twin: Any, wrong: Any, error: type[Exception]
) -> None:
    streams = [twin.Sha256() for _ in range(3)]
    with pytest.raises(error):
        streams[0].update(wrong)
    for pieces in [(wrong, b"right", b"right"), (b"right", wrong, b"right"), (b"right", b"right", wrong)]:
        with pytest.raises(error):
            twin.update_together(streams, pieces)
    assert {stream.digest() for stream in streams} == {hashlib.sha256().digest()}


@pytest.mark.parametrize("wrong", [(0, 0), (0, 1, 0), (0, 1, 1)])
def test_one_stream_is_not_two(twin: Any, wrong: tuple[int, ...]) -> None:
    streams = [twin.Sha256(), twin.Sha256()]
    with pytest.raises(ValueError, match="a stream is there twice"):
        twin.update_together([streams[place] for place in wrong], [b"a"] * len(wrong))
    assert streams[0].digest() == streams[1].digest() == hashlib.sha256().digest()


@pytest.mark.parametrize(("stream_count", "piece_count"), [(0, 0), (1, 0), (1, 2), (3, 2), (4, 4)])
def test_there_are_as_many_pieces_as_streams_and_not_too_many(
    twin: Any, stream_count: int, piece_count: int
) -> None:
    streams = [twin.Sha256() for _ in range(stream_count)]
    with pytest.raises(ValueError, match=f"got {stream_count} and {piece_count}"):
        twin.update_together(streams, [b"a"] * piece_count)
    assert all(stream.digest() == hashlib.sha256().digest() for stream in streams)


@pytest.mark.parametrize("place", [0, 1])
def test_other_objects_are_no_streams_and_nothing_is_taken(twin: Any, place: int) -> None:
    stream = twin.Sha256()
    streams = [stream]
    streams.insert(place, hashlib.sha256())
    with pytest.raises(TypeError, match="is no stream"):
        twin.update_together(streams, [b"a", b"b"])
    assert stream.digest() == hashlib.sha256().digest()


def test_the_lists_may_change_meanwhile(twin: Any) -> None:
    """Pieces this long are hashed without the GIL."""
    data = bytes(64 << 20)
    expected = hashlib.sha256(data).digest()
    streams = [twin.Sha256() for _ in range(2)]
    given_streams, given_pieces = list(streams), [data, data]
    go_on = threading.Event()

    def change() -> None:
        go_on.wait()
        given_streams[:] = [object()]
        given_pieces.clear()

    thread = threading.Thread(target=change)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(30)  # it goes on when the GIL is let go of, and not before
    try:
        go_on.set()
        twin.update_together(given_streams, given_pieces)
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert given_pieces == []
    assert [stream.digest() for stream in streams] == [expected] * 2

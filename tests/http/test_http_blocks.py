"""Blocks of bodies: parts of one mapping that nobody shares, and whose memory is given back."""

from __future__ import annotations

import ctypes
import gc
import mmap
import re
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from http_harness import Launch, Running, address_of
from hypothesis import given
from hypothesis import strategies as st

from sidegate.http.blocks import HUGE_PAGE_BYTES, KEEP_COUNT, BlockPool, whole_again
from sidegate.http.limits import Limits
from sidegate.http.message import Request, Response

KIB, MIB = 1024, 1024 * 1024
BLOCK = Limits().block_bytes
CAPACITY = Limits().in_flight_bytes
SMAPS = Path("/proc/self/smaps")
needs_smaps = pytest.mark.skipif(not SMAPS.exists(), reason="needs /proc to see what a mapping takes")


def is_part(view: memoryview) -> bool:
    """Whether a block is a part of a pool, and has no memory of its own."""
    return isinstance(view.obj, ctypes.Array)


def touch(view: memoryview) -> None:
    for start in range(0, len(view), mmap.PAGESIZE):
        view[start] = 1


def mapping_of(address: int) -> str:
    """Return what the kernel tells of the mapping that an address lies in."""
    sections = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", SMAPS.read_text(), flags=re.MULTILINE)
    for section in sections[1:]:
        start, end = (int(bound, 16) for bound in section.split(" ", 1)[0].split("-"))
        if start <= address < end:
            return section
    raise AssertionError(f"nothing is mapped at {address:#x}")


def resident_bytes(address: int) -> int:
    found = re.search(r"^Rss: +(\d+) kB", mapping_of(address), re.MULTILINE)
    assert found is not None
    return int(found[1]) * KIB


# What a block is.


def test_a_block_can_be_used_again_without_the_pool() -> None:
    pool = BlockPool(BLOCK, CAPACITY)
    view = pool.take(BLOCK)
    address, part = address_of(view), view[100:200]
    view.release()
    again = whole_again(part)
    assert again is not None
    assert (len(again), address_of(again), is_part(again)) == (BLOCK, address, True)
    with pytest.raises(ValueError, match="released"):
        len(part)
    own = pool.take(1000)
    assert whole_again(own) is None
    assert whole_again(b"abc") is None
    assert pool.give(own) == 1000
    assert pool.give(again) == BLOCK


def test_blocks_lie_on_page_boundaries_next_to_each_other() -> None:
    pool = BlockPool(BLOCK, CAPACITY)
    blocks = [pool.take(BLOCK) for _ in range(CAPACITY // BLOCK)]
    addresses = [address_of(block) for block in blocks]
    assert addresses[0] % HUGE_PAGE_BYTES == 0
    assert addresses == [addresses[0] + number * BLOCK for number in range(63)]
    assert BLOCK % mmap.PAGESIZE == 0
    assert all((block.nbytes, block.format, block.readonly) == (BLOCK, "B", False) for block in blocks)


def test_a_block_of_an_odd_size_begins_on_a_page_boundary_too() -> None:
    pool = BlockPool(5000, MIB)
    assert [address_of(pool.take(5000)) % mmap.PAGESIZE for _ in range(3)] == [0, 0, 0]


def test_what_is_no_whole_block_has_memory_of_its_own() -> None:
    pool = BlockPool(BLOCK, CAPACITY)
    small = pool.take(100 * KIB)
    assert (len(small), is_part(small)) == (100 * KIB, False)
    assert pool.give(small) == 100 * KIB
    assert pool.give(memoryview(b"not of a pool")) == 0


def test_past_the_capacity_a_block_has_memory_of_its_own() -> None:
    pool = BlockPool(BLOCK, 4 * BLOCK)
    blocks = [pool.take(BLOCK) for _ in range(5)]
    assert [is_part(block) for block in blocks] == [True] * 4 + [False]
    assert len(blocks[4]) == BLOCK
    for block in blocks:
        assert pool.give(block) == BLOCK
    assert is_part(pool.take(BLOCK))


# Who may have which.

Steps = st.lists(st.tuples(st.sampled_from(["take", "give", "lose", "clear", "sweep"]), st.integers(0, 11)))


def play(pool: BlockPool, steps: list[tuple[str, int]]) -> None:
    """Take blocks and let go of them, and see that what is in those that are held stays."""
    held: dict[int, memoryview] = {}
    for stamp, (step, number) in enumerate(steps):
        if step == "clear":
            pool.clear()
        elif step == "sweep":
            pool.sweep()
        elif step == "take":
            held[stamp] = pool.take(pool.block_bytes)
            held[stamp][:] = stamp.to_bytes(4) * (pool.block_bytes // 4)
        elif held:
            block = held.pop(list(held)[number % len(held)])
            if step == "give":
                pool.give(block)
            del block
        for there, kept in held.items():
            assert kept[:4] == kept[-4:] == there.to_bytes(4)


@given(Steps)
def test_no_block_is_anybody_elses(steps: list[tuple[str, int]]) -> None:
    size = 100 * KIB
    pool = BlockPool(size, 8 * size, keep_count=3)
    play(pool, steps)
    assert [is_part(block) for block in [pool.take(size) for _ in range(9)]] == [True] * 8 + [False]


def test_a_lost_block_is_used_again_only_when_no_view_of_it_is_left() -> None:
    pool = BlockPool(BLOCK, 2 * BLOCK)
    lost, other = pool.take(BLOCK), pool.take(BLOCK)
    piece = lost[1000:2000]
    address = address_of(lost)
    lost.release()
    del lost
    assert not is_part(pool.take(BLOCK)), "somebody still looks at it"
    piece.release()
    again = pool.take(BLOCK)
    assert (address_of(again), is_part(other)) == (address, True)


def test_a_block_may_be_lost_in_another_thread() -> None:
    pool = BlockPool(BLOCK, BLOCK)
    views = [pool.take(BLOCK)]
    may_end = threading.Event()

    def look(view: memoryview) -> None:
        may_end.wait(20)
        view.release()

    thread = threading.Thread(target=look, args=(views.pop(),))
    thread.start()
    assert not is_part(pool.take(BLOCK))
    may_end.set()
    thread.join()
    gc.collect()
    assert is_part(pool.take(BLOCK))


def test_the_block_given_last_is_taken_first() -> None:
    pool = BlockPool(BLOCK, CAPACITY)
    blocks = [pool.take(BLOCK) for _ in range(3)]
    address = address_of(blocks[1])
    for number in (0, 2, 1):
        pool.give(blocks[number])
    assert address_of(pool.take(BLOCK)) == address


# Memory.


@needs_smaps
def test_nothing_is_resident_before_it_is_written_to_and_after_it_is_cleared() -> None:
    pool = BlockPool(BLOCK, CAPACITY)
    blocks = [pool.take(BLOCK) for _ in range(40)]
    address = address_of(blocks[0])
    assert resident_bytes(address) == 0
    for block in blocks:
        touch(block)
    assert resident_bytes(address) >= 40 * BLOCK
    for block in blocks[:-1]:
        pool.give(block)
    pool.clear()
    # What is left in use keeps the pages that it has a part in.
    assert BLOCK <= resident_bytes(address) <= 2 * HUGE_PAGE_BYTES
    pool.give(blocks[-1])
    pool.clear()
    assert resident_bytes(address) == 0
    assert pool.take(BLOCK)[:4] == bytes(4)


@needs_smaps
def test_what_nobody_wanted_since_the_last_sweep_goes_back() -> None:
    pool = BlockPool(BLOCK, CAPACITY)

    def use(count: int) -> None:
        blocks = [pool.take(BLOCK) for _ in range(count)]
        for block in blocks:
            touch(block)
            pool.give(block)

    use(20)
    held = pool.take(BLOCK)  # in use all the time
    address = address_of(held)
    pool.sweep()
    use(5)
    assert resident_bytes(address) >= 20 * BLOCK
    pool.sweep()
    assert resident_bytes(address) <= 6 * BLOCK + 2 * HUGE_PAGE_BYTES
    use(5)
    before = resident_bytes(address)
    pool.sweep()
    assert resident_bytes(address) == before, "as many are wanted all the time"
    pool.sweep()
    assert BLOCK <= resident_bytes(address) <= 2 * HUGE_PAGE_BYTES, (
        "the one in use has a part in two pages at most"
    )


@needs_smaps
@pytest.mark.parametrize("backwards", [False, True])
def test_as_much_is_kept_as_is_meant_to_be(backwards: bool) -> None:
    pool = BlockPool(BLOCK, CAPACITY)
    blocks = [pool.take(BLOCK) for _ in range(63)]
    address = address_of(blocks[0])
    for block in blocks:
        touch(block)
    for block in reversed(blocks) if backwards else blocks:
        pool.give(block)
    kept = resident_bytes(address)
    assert KEEP_COUNT * BLOCK <= kept <= KEEP_COUNT * BLOCK + HUGE_PAGE_BYTES


@needs_smaps
def test_the_memory_of_lost_blocks_goes_back() -> None:
    pool = BlockPool(BLOCK, CAPACITY)
    blocks = [pool.take(BLOCK) for _ in range(40)]
    address = address_of(blocks[0])
    for block in blocks:
        touch(block)
    del block, blocks
    pool.give(pool.take(BLOCK))
    assert resident_bytes(address) <= 2 * HUGE_PAGE_BYTES


# What the system may refuse.


@needs_smaps
@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(),
    reason="this kernel has no transparent huge pages",
)
def test_huge_pages_are_asked_for() -> None:
    """Whether there are any is the kernel's business: it may have no memory in one piece."""
    block = BlockPool(BLOCK, CAPACITY).take(BLOCK)
    flags = re.search(r"^VmFlags: (.*)$", mapping_of(address_of(block)), re.MULTILINE)
    assert flags is not None
    assert "hg" in flags[1].split()


class Refusing(mmap.mmap):
    """A mapping for which there are no huge pages, as in a kernel built without them."""

    def madvise(self, *arguments: int) -> None:
        if arguments == (getattr(mmap, "MADV_HUGEPAGE", None),):
            raise OSError(22, "Invalid argument")
        super().madvise(*arguments)


@pytest.mark.skipif(sys.platform != "linux", reason="asked for on Linux alone")
def test_without_huge_pages_small_ones_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "mmap", Refusing)
    pool = BlockPool(BLOCK, CAPACITY)
    block = pool.take(BLOCK)
    touch(block)
    assert is_part(block)
    pool.give(block)
    pool.clear()
    assert pool.take(BLOCK)[0] == 0


def test_where_address_space_is_refused_blocks_have_memory_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> mmap.mmap:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    pool = BlockPool(BLOCK, CAPACITY)
    block = pool.take(BLOCK)
    assert (len(block), is_part(block)) == (BLOCK, False)
    assert pool.give(block) == BLOCK
    pool.clear()


# Through a server.

PUT = b"PUT /%b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
FOUR_BLOCKS = Limits(block_bytes=128 * KIB, in_flight_bytes=512 * KIB)


def pool_of(server: Running) -> BlockPool:
    return server.server._service.pool


async def tell_blocks(request: Request) -> Response:
    """Read the body unless it is refused; answer how many of its blocks were parts of the pool."""
    if request.target == b"/refused":
        return Response(403)
    parts = []
    while block := await request.body.read():
        assert isinstance(block, memoryview)
        parts.append(is_part(block))
        request.body.recycle(block)
    return Response(200, body=f"{sum(parts)} of {len(parts)}".encode())


def test_small_bodies_need_no_mapping(launch: Launch) -> None:
    async def read(request: Request) -> Response:
        while block := await request.body.read():
            request.body.recycle(block)
        return Response(200)

    running = launch(read)
    peer = running.connect()
    for size in (1, 4 * KIB, 300 * KIB):
        assert peer.ask(PUT % (b"", size) + bytes(size)).status == 200
    assert pool_of(running)._mapping is None


def test_what_is_refused_or_broken_off_keeps_no_block(launch: Launch) -> None:
    """Connections that stay, with a body that nobody read, would use up the pool."""
    running = launch(tell_blocks, FOUR_BLOCKS)
    idle = []
    for _ in range(6):
        peer = running.connect()
        peer.send(PUT % (b"refused", 300 * KIB) + bytes(40 * KIB))
        assert peer.read().status == 403
        idle.append(peer)
        broken = running.connect()
        broken.send(PUT % (b"", 300 * KIB) + bytes(200 * KIB))
        broken.socket.shutdown(socket.SHUT_WR)
        broken.read_to_end()
    # One less than there are: with all of them unread, what comes next has no block.
    assert running.connect().ask(PUT % (b"", 384 * KIB) + bytes(384 * KIB)).body == b"3 of 3"
    for other in idle:
        other.close()


def wait_for_sweeps(pool: BlockPool) -> None:
    """Return when no free block is kept."""
    ends_at = time.monotonic() + 60
    while pool.free_count and time.monotonic() < ends_at:
        time.sleep(0.05)
    assert not pool.free_count


def test_blocks_are_kept_beyond_the_last_connection(launch: Launch) -> None:
    """The next job of a pipeline comes seconds later: fresh memory costs more than a short upload."""
    running = launch(tell_blocks, replace(FOUR_BLOCKS, linger_seconds=0.1))
    peer = running.connect()
    assert peer.ask(PUT % (b"", 384 * KIB) + bytes(384 * KIB)).body == b"3 of 3"
    kept = pool_of(running).free_count
    peer.close()
    time.sleep(0.3)  # a dozen sweeps for silent peers
    assert pool_of(running).free_count == kept > 0


def test_a_server_without_uploads_keeps_no_block_for_long(launch: Launch) -> None:
    running = launch(tell_blocks, replace(FOUR_BLOCKS, block_keep_seconds=0.2))
    peer = running.connect()
    assert peer.ask(PUT % (b"", 384 * KIB) + bytes(384 * KIB)).body == b"3 of 3"
    pool = pool_of(running)
    wait_for_sweeps(pool)
    assert peer.ask(PUT % (b"", 384 * KIB) + bytes(384 * KIB)).body == b"3 of 3"
    peer.close()
    wait_for_sweeps(pool)  # without connections, too

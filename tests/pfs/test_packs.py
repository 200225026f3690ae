from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from blake3 import blake3

from pfs.samples import noise
from sidegate.errors import Corrupt
from sidegate.pfs import pack_writing
from sidegate.pfs.compression import RAW, encode_payload
from sidegate.pfs.disk import StorageFull
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.pack_files import sync_pack
from sidegate.pfs.pack_format import ALIGNED_FROM_BYTES, HEADER_BYTES, PAGE_BYTES, RECORD_BYTES, PackRecord
from sidegate.pfs.pack_writing import PackWriter
from sidegate.pfs.packs import PackFile, PackMissing, read_index, recover, scan

PLAIN = [noise(100, 1), noise(40_000, 2), b"text " * 5000, noise(ALIGNED_FROM_BYTES, 3), b"", noise(7, 4)]


def add(writer: PackWriter, plain: bytes) -> PackRecord:
    encoding, payload = encode_payload((plain,), len(plain))
    return writer.append(ChunkId(blake3(plain).digest()), encoding, payload, len(plain))


@pytest.fixture
def writer(tmp_path: Path) -> PackWriter:
    return PackWriter(tmp_path / "packs", created_us=1)


def test_large_raw_payloads_start_on_a_page_and_small_ones_on_eight_bytes(writer: PackWriter) -> None:
    for record, plain in zip([add(writer, plain) for plain in PLAIN], PLAIN, strict=True):
        large = record.encoding == RAW and len(plain) >= ALIGNED_FROM_BYTES
        assert record.offset % (PAGE_BYTES if large else 8) == 0


def test_a_sealed_pack_is_read_from_its_footer(writer: PackWriter) -> None:
    records = [add(writer, plain) for plain in PLAIN]
    pack = PackFile.open(writer.path)
    assert read_index(pack) is None
    assert list(scan(pack)) == records
    writer.seal()
    writer.close()
    assert read_index(pack) == sorted(records)
    assert list(scan(pack)) == records, "the footer is no record"
    for record, plain in zip(records, PLAIN, strict=True):
        if record.encoding == RAW:
            assert pack.read(record.offset, record.stored_bytes) == plain


@pytest.mark.usefixtures("quick_answers_expected")
def test_while_quick_answers_are_given_packs_grow_bit_by_bit(
    writer: PackWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    pwritev = os.pwritev

    def recorded(fd: int, pieces: list[memoryview], offset: int) -> int:
        counts.append(pwritev(fd, pieces, offset))
        return counts[-1]

    monkeypatch.setattr(os, "pwritev", recorded)
    monkeypatch.setattr(pack_writing, "SHORT_WRITE_BYTES", 10_000)
    ways: list[None] = []
    monkeypatch.setattr(pack_writing, "give_way", lambda: ways.append(None))
    records = []
    for plain in PLAIN:
        counts.clear()
        ways.clear()
        records.append(add(writer, plain))
        # Who writes little keeps its turn.
        assert len(ways) == (len(counts) if sum(counts) > 10_000 else 0)
        assert max(counts) <= 10_000
    many = [bytes([number % 256]) for number in range(12_000)]
    plain = b"".join(many)
    records.append(writer.append(ChunkId(blake3(plain).digest()), RAW, many, len(plain)))
    assert len(ways) == 13, "the kernel takes a thousand pieces at a time, the first is the record's header"
    writer.close()
    assert list(scan(PackFile.open(writer.path))) == records


def test_a_pack_is_sealed_once(writer: PackWriter) -> None:
    add(writer, PLAIN[0])
    assert not writer.sealed
    writer.seal()
    size_bytes = writer.path.stat().st_size
    writer.seal()
    assert writer.sealed
    assert writer.path.stat().st_size == size_bytes


def test_an_empty_pack_can_be_sealed(writer: PackWriter) -> None:
    writer.seal()
    assert read_index(PackFile.open(writer.path)) == []


def test_a_pack_torn_at_any_byte_keeps_its_whole_records(writer: PackWriter) -> None:
    records = [add(writer, plain) for plain in PLAIN]
    writer.close()
    whole = writer.path.read_bytes()
    last_ends = [record.offset + record.stored_bytes for record in records]
    interesting = set(range(HEADER_BYTES)) | {0, len(whole)}
    for end in last_ends:
        interesting |= set(range(max(end - RECORD_BYTES - 20, 0), min(end + 20, len(whole))))
    for length in sorted(interesting):
        writer.path.write_bytes(whole[:length])
        expected = [record for record, end in zip(records, last_ends, strict=True) if end <= length]
        assert recover(writer.path) == expected, length
        assert recover(writer.path) == sorted(expected), "a second time it is sealed"


def test_garbage_after_the_last_record_is_cut_off(writer: PackWriter) -> None:
    records = [add(writer, plain) for plain in PLAIN]
    writer.close()
    with writer.path.open("ab") as file:
        file.write(noise(5000, "garbage"))
    assert recover(writer.path) == records
    assert read_index(PackFile.open(writer.path)) == sorted(records)


def test_a_damaged_payload_costs_only_its_record(writer: PackWriter) -> None:
    records = [add(writer, plain) for plain in PLAIN]
    writer.close()
    with writer.path.open("r+b") as file:
        file.seek(records[1].offset + 77)
        file.write(b"\0\0\0")
    assert recover(writer.path) == [records[0], *records[2:]]


@pytest.mark.parametrize("gap_bytes", [0, 3 << 20])
def test_a_damaged_header_costs_only_its_record(writer: PackWriter, gap_bytes: int) -> None:
    records = [add(writer, plain) for plain in (PLAIN[0], noise(gap_bytes + 500), PLAIN[2], PLAIN[1])]
    writer.close()
    with writer.path.open("r+b") as file:
        file.seek(records[1].offset - 20)
        file.write(b"\xff")
    assert recover(writer.path) == [records[0], *records[2:]]


def test_a_live_writer_is_left_alone(writer: PackWriter) -> None:
    record = add(writer, PLAIN[0])
    before = writer.path.read_bytes()
    assert recover(writer.path) is None
    writer.seal()
    assert recover(writer.path) is None, "sealed, but the catalog may not know it yet"
    writer.close()
    assert recover(writer.path) == [record]
    assert writer.path.read_bytes().startswith(before)


def test_a_damaged_footer_is_told(writer: PackWriter) -> None:
    add(writer, PLAIN[0])
    writer.seal()
    data = bytearray(writer.path.read_bytes())
    data[-80] ^= 1  # in the index
    writer.path.write_bytes(data)
    with pytest.raises(Corrupt, match="damaged footer"):
        read_index(PackFile.open(writer.path))


def test_a_damaged_trailer_makes_a_pack_unsealed(writer: PackWriter) -> None:
    record = add(writer, PLAIN[0])
    writer.seal()
    writer.close()
    data = bytearray(writer.path.read_bytes())
    data[-1] ^= 1
    writer.path.write_bytes(data)
    assert read_index(PackFile.open(writer.path)) is None
    assert recover(writer.path) == [record]


def test_another_file_is_no_pack(tmp_path: Path) -> None:
    path = tmp_path / "x.pack"
    path.write_bytes(b"SGPACK99" + bytes(200))
    with pytest.raises(Corrupt, match="not a pack file"):
        list(scan(PackFile.open(path)))


def test_a_missing_file_is_told_apart(tmp_path: Path) -> None:
    for function in (PackFile.open, recover):
        with pytest.raises(PackMissing):
            function(tmp_path / "none.pack")
    sync_pack(tmp_path / "none.pack")  # removed meanwhile: nothing to sync


def test_reading_past_the_end_is_corrupt(writer: PackWriter) -> None:
    with pytest.raises(Corrupt, match="ends before byte"):
        PackFile.open(writer.path).read(0, 65)


def test_a_failed_append_leaves_no_torn_record(writer: PackWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    first = add(writer, PLAIN[0])
    real = os.pwritev

    def full_disk(fd: int, buffers: list[bytes], offset: int) -> int:
        real(fd, [buffers[0], bytes(buffers[1])[:10]], offset)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwritev", full_disk)
    with pytest.raises(StorageFull):
        add(writer, noise(3000, "lost"))
    monkeypatch.setattr(os, "pwritev", real)
    second = add(writer, PLAIN[1])
    writer.close()
    assert recover(writer.path) == [first, second]


def test_a_short_write_is_continued(writer: PackWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwritev
    monkeypatch.setattr(os, "pwritev", lambda fd, buffers, offset: real(fd, [bytes(buffers[0])[:20]], offset))
    record = add(writer, PLAIN[1])
    assert PackFile.open(writer.path).read(record.offset, record.stored_bytes) == PLAIN[1]


def test_sync_reaches_the_disk_once_per_change(writer: PackWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(fd))
    add(writer, PLAIN[0])
    writer.sync()
    writer.sync()
    assert len(synced) == 1
    add(writer, PLAIN[1])
    writer.sync()
    assert writer.synced
    writer.seal()
    assert not writer.synced
    writer.sync()
    writer.close()
    writer.sync()
    assert len(synced) == 3


def test_a_failed_sync_is_told_every_time(writer: PackWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reports it once and may drop the pages: a later success would mean nothing."""

    def broken(fd: int) -> None:
        raise OSError(5, "Input/output error")

    add(writer, PLAIN[0])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(OSError, match="Input/output"):
            writer.sync()
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            writer.sync()
    assert not writer.synced


def test_room_ahead_is_reserved_and_given_back(writer: PackWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_writing, "RESERVED_AHEAD_BYTES", 100_000)
    writer._reserved_end = 100_000
    records = [add(writer, noise(40_000, number)) for number in range(4)]
    end = records[-1].offset + records[-1].stored_bytes
    assert end < writer.path.stat().st_size <= end + 100_000
    pack = PackFile.open(writer.path)
    assert read_index(pack) is None
    assert list(scan(pack)) == records, "zeros after the last record mean nothing"
    writer.seal()
    assert read_index(PackFile.open(writer.path)) == sorted(records)
    assert writer.path.stat().st_size < end + 1000


def test_a_file_system_that_reserves_nothing_is_written_to(
    writer: PackWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    writer._reserved_end = 0
    records = [add(writer, plain) for plain in PLAIN]
    assert list(scan(PackFile.open(writer.path))) == records


def test_an_abandoned_pack_with_room_ahead_is_recovered(
    writer: PackWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer._reserved_end = 0
    records = [add(writer, plain) for plain in PLAIN]
    assert recover(writer.path) is None, "its writer lives"
    writer.close()
    assert recover(writer.path) == records
    assert read_index(PackFile.open(writer.path)) == sorted(records)

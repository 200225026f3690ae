"""Decodes every worked example of docs/formats.md from the document itself.

The decoders here know only what the document says, and the code's own must agree.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from sidegate.native import IndexNode
from sidegate.native.cut_rule import CutRule, gear_table
from sidegate.pfs import cutting, nodes
from sidegate.pfs.encoding import Decoder
from sidegate.pfs.extents import Extent, content_hash, decode_extent, digest
from sidegate.pfs.files import decode_record
from sidegate.pfs.ids import ChunkId
from sidegate.pfs.nodes import Entry, child_at, entry_bytes
from sidegate.pfs.packs import PackFile, read_index, read_pack_name, scan
from sidegate.pfs.store import FORMAT_VERSION, Store

DOCUMENT = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
BLOCKS = re.findall(r"^```(hex|json) (\S+)\n(.*?)^```", DOCUMENT, re.DOTALL | re.MULTILINE)
HEX = {
    name: bytes.fromhex("".join(line.partition("#")[0] for line in body.splitlines()))
    for kind, name, body in BLOCKS
    if kind == "hex"
}
EXPECTED: dict[str, Any] = {name: json.loads(body) for kind, name, body in BLOCKS if kind == "json"}


def integer(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def integers(data: bytes) -> dict[str, Any]:
    values, at = [], 0
    while at < len(data):
        value, at = integer(data, at)
        values.append(value)
    return {"values": values}


def fields_of(extent: Extent) -> dict[str, Any]:
    return extent._asdict() | {"chunk": extent.chunk.hex()}


def extent(data: bytes) -> dict[str, Any]:
    decoder = Decoder(data)
    decoded = decode_extent(decoder)
    decoder.finish()
    return fields_of(decoded)


def record(data: bytes) -> dict[str, Any]:
    decoded = decode_record(data)
    assert isinstance(decoded.extents, tuple)
    assert decoded.content_hash == content_hash(decoded.extents)
    return {
        "size_bytes": decoded.size_bytes,
        "tag": decoded.tag,
        "modified_us": decoded.modified_us,
        "extents": [fields_of(found) for found in decoded.extents],
        "content_hash": decoded.content_hash.hex(),
        "attributes": [list(attribute) for attribute in decoded.attributes],
    }


def extent_list(data: bytes) -> dict[str, Any]:
    assert data[:4] == b"SGX1"
    count, at = integer(data, 5)
    entries = []
    for _ in range(count):
        node, at = data[at : at + 32], at + 32
        size_bytes, at = integer(data, at)
        extent_count, at = integer(data, at)
        entries.append({"node": node.hex(), "size_bytes": size_bytes, "extent_count": extent_count})
    assert at == len(data)
    return {"level": data[4], "entries": entries}


def index_node(data: bytes) -> dict[str, Any]:
    assert data[:4] == b"SGT1"
    decoded = IndexNode(data)
    entries = []
    for index, key in enumerate(decoded.keys):
        child = child_at(decoded, index)
        entries.append(
            {
                "key": key.decode(),
                "node": child.node.hex(),
                "file_count": child.file_count,
                "size_bytes": child.size_bytes,
            }
        )
    return {"level": decoded.level, "entries": entries}


def gear(data: bytes) -> dict[str, Any]:
    table = bytearray(blake3(b"sidegate gear table v1").digest(length=2048))
    for byte in range(256):
        struct.pack_into("<H", table, 8 * byte, ((byte ^ 128) + 1) * 40503 % 2**16)
    assert table.startswith(data)
    assert struct.unpack("<256Q", table) == gear_table()
    words = struct.unpack(f"<{len(data) // 8}Q", data)
    return {"seed": "sidegate gear table v1", "first_words": [f"{word:#018x}" for word in words]}


def tag(data: bytes) -> dict[str, Any]:
    chunk, offset, length = struct.unpack("<32sQQ", data)
    assert digest([Extent(ChunkId(chunk), offset, length, length, True)]) == blake3(data).digest()
    return {"parts": 1, "tag": blake3(data).hexdigest()[:32] + "-1"}


def file_hash(data: bytes) -> dict[str, Any]:
    chunk, length = struct.unpack("<32sQ", data)
    assert content_hash([Extent(ChunkId(chunk), 0, length, length, True)]) == blake3(data).digest()
    return {"file_hash": blake3(data).hexdigest()}


def crc_holds(data: bytes) -> bool:
    return zlib.crc32(data[:60]) == struct.unpack("<I", data[60:])[0]


def pack(data: bytes) -> dict[str, Any]:
    magic, pack_id, created_us = struct.unpack("<8s16sQ28x", data[:60])
    assert magic == b"SGPACK01"
    assert crc_holds(data[:64])
    magic, offset, count, index_hash = struct.unpack("<8sQQ32s4x", data[-64:-4])
    assert magic == b"SGPIDX01"
    assert crc_holds(data[-64:])
    index = data[offset:-64]
    assert blake3(index).digest() == index_hash
    assert len(index) == 56 * count
    records = []
    for chunk, at, stored_bytes, plain_bytes, encoding in struct.iter_unpack("<32sQIIB7x", index):
        header = data[at - 64 : at]
        assert crc_holds(header)
        assert struct.unpack("<4sB3xII32s12x", header[:60]) == (
            b"SGRC",
            encoding,
            stored_bytes,
            plain_bytes,
            chunk,
        )
        records.append(
            {
                "chunk": chunk.hex(),
                "offset": at,
                "stored_bytes": stored_bytes,
                "plain_bytes": plain_bytes,
                "encoding": encoding,
            }
        )
    assert records == sorted(records, key=lambda found: str(found["chunk"]))
    records.sort(key=lambda found: int(found["offset"]))
    return {"pack": pack_id.hex(), "created_us": created_us, "records": records}


DECODERS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "leb128": integers,
    "chunk-id": lambda data: {"chunk_id": blake3(data).hexdigest()},
    "gear-table": gear,
    "extent": extent,
    "file-hash": file_hash,
    "tag": tag,
    "record": record,
    "extent-list": extent_list,
    "index-node": index_node,
    "pack": pack,
}


def test_every_example_has_a_decoder_and_a_meaning() -> None:
    assert set(HEX) == set(DECODERS)
    assert set(EXPECTED) == {*DECODERS, "store"}


@pytest.mark.parametrize("name", DECODERS)
def test_an_example_means_what_it_says(name: str) -> None:
    assert DECODERS[name](HEX[name]) == EXPECTED[name]


def test_the_code_reads_the_pack(tmp_path: Path) -> None:
    path = tmp_path / "x.pack"
    path.write_bytes(HEX["pack"])
    file = PackFile.open(path)
    expected = EXPECTED["pack"]
    assert read_pack_name(file) == expected["pack"]
    found = [found._asdict() | {"chunk": found.chunk.hex()} for found in scan(file)]
    assert found == expected["records"]
    assert len(read_index(file) or ()) == len(found)


def test_the_table_of_splits() -> None:
    rows = re.findall(
        r"^\| (\d+) \| `(.+?)` \| (\d+) \| (\d+) \| (\d+) \| (yes|no) \|$", DOCUMENT, re.MULTILINE
    )
    assert len(rows) >= 8
    for level, key, weight, node_weight, draw, ends in rows:
        entry = Entry(key.encode(), bytes(int(weight) - len(key) - 4))
        hashed = blake3(bytes((int(level),)) + entry.key).digest()
        assert int.from_bytes(hashed[:4], "little") == int(draw)
        ruled = int(draw) * (16384 - 4096) < int(weight) << 32
        ruled = int(node_weight) >= 65536 or (int(node_weight) >= 4096 and ruled)
        assert ruled is (ends == "yes")
        assert entry_bytes(entry) == int(weight)
        assert nodes.ends_node(int(level), entry, int(node_weight)) is ruled


def test_the_parameters_are_those_of_the_code() -> None:
    rule = CutRule(cutting.MIN_BYTES, cutting.AVERAGE_BYTES, cutting.MAX_BYTES)
    text = DOCUMENT.replace("\n", " ")
    for number in (cutting.MIN_BYTES, cutting.AVERAGE_BYTES, cutting.MAX_BYTES):
        assert f"{number:,} bytes".replace(",", " ") in text
    assert f"`{rule.strict_mask:#018x}` and `{rule.loose_mask:#018x}`" in text


@pytest.mark.parametrize("title", ["Pack header", "Record header"])
def test_tables_of_fixed_fields_leave_no_gap(title: str) -> None:
    table = DOCUMENT[DOCUMENT.index(title) :]
    rows = re.findall(r"^\| (\d+) \| (\d+) \| ", table.split("\n\n", 2)[1], re.MULTILINE)
    position = 0
    for offset, size in rows:
        assert int(offset) == position
        position += int(size)
    assert position == 64


def test_a_store_is_described_as_documented(tmp_path: Path) -> None:
    Store.create(tmp_path)
    made = json.loads((tmp_path / "store.json").read_text())
    assert set(made) == set(EXPECTED["store"])
    assert made["format"] == EXPECTED["store"]["format"] == FORMAT_VERSION


def test_every_table_of_the_catalog_is_listed() -> None:
    from sidegate.pfs.catalog.schema import METADATA

    section = DOCUMENT[DOCUMENT.index("## Catalog") : DOCUMENT.index("## Versions")]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(METADATA.tables)

"""Every byte that the store keeps, pinned: another value here is another format.

`tests/vectors/README.md` says what the files hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from pfs.samples import MemoryChunks, crash, noise, put
from sidegate.native import IndexNode
from sidegate.pfs import cutting, nodes, pack_writing
from sidegate.pfs.compression import decode_payload
from sidegate.pfs.encoding import Decoder, encode_integer
from sidegate.pfs.extent_lists import list_nodes, load_extents, store_extents
from sidegate.pfs.extents import Extent, content_hash, decode_extent, digest, encode_extent
from sidegate.pfs.files import ExtentList, FileRecord, decode_record, encode_record
from sidegate.pfs.ids import ChunkId, NodeId
from sidegate.pfs.nodes import Entry, encode_node
from sidegate.pfs.pack_format import PackRecord, record_offset
from sidegate.pfs.pack_writing import PackWriter
from sidegate.pfs.packs import PackFile, read_index, recover, scan
from sidegate.pfs.store import Store
from sidegate.pfs.tree import NodeCache, Tree
from sidegate.pfs.tree_edit import build

VECTORS = Path(__file__).parent.parent / "vectors"
RECORDS = json.loads((VECTORS / "records.json").read_text())
TREES = json.loads((VECTORS / "trees.json").read_text())
CHUNKING = json.loads((VECTORS / "chunking.json").read_text())
PACK = json.loads((VECTORS / "pack.json").read_text())


def extent_of(fields: dict[str, Any]) -> Extent:
    values = fields | {"chunk": ChunkId(bytes.fromhex(fields["chunk"]))}
    return Extent(**values)


def record_of(fields: dict[str, Any]) -> FileRecord:
    extents: tuple[Extent, ...] | ExtentList
    if isinstance(fields["extents"], dict):
        extents = ExtentList(NodeId(bytes.fromhex(fields["extents"]["node"])), fields["extents"]["count"])
    else:
        extents = tuple(map(extent_of, fields["extents"]))
    return FileRecord(
        fields["size_bytes"],
        fields["tag"],
        fields["modified_us"],
        extents,
        bytes.fromhex(fields["content_hash"]) if fields["content_hash"] is not None else None,
        tuple((name, value) for name, value in fields["attributes"]),
    )


@pytest.mark.parametrize("case", RECORDS["integers"], ids=lambda case: str(case["value"]))
def test_integers(case: dict[str, Any]) -> None:
    assert encode_integer(case["value"]).hex() == case["hex"]
    assert Decoder(bytes.fromhex(case["hex"])).integer() == case["value"]


@pytest.mark.parametrize("case", RECORDS["extents"], ids=lambda case: case["name"])
def test_extents(case: dict[str, Any]) -> None:
    extent = extent_of(case["extent"])
    assert encode_extent(extent).hex() == case["hex"]
    assert decode_extent(Decoder(bytes.fromhex(case["hex"]))) == extent


def test_digests() -> None:
    extents = [extent_of(case["extent"]) for case in RECORDS["extents"]]
    assert digest(extents).hex() == RECORDS["digest"]
    assert content_hash(extents).hex() == RECORDS["content_hash"]


@pytest.mark.parametrize("case", RECORDS["records"], ids=lambda case: case["name"])
def test_records(case: dict[str, Any]) -> None:
    record = record_of(case["record"])
    assert encode_record(record).hex() == case["hex"]
    assert decode_record(bytes.fromhex(case["hex"])) == record


def numbered_extents(count: int) -> tuple[Extent, ...]:
    return tuple(
        Extent(ChunkId(blake3(b"%d" % n).digest()), 0, 1000 + n, 1000 + n, n == count - 1)
        for n in range(count)
    )


@pytest.mark.parametrize("case", TREES["extent_lists"], ids=lambda case: str(case["count"]))
def test_extent_lists(case: dict[str, Any]) -> None:
    chunks = MemoryChunks()
    stored = store_extents(chunks, numbered_extents(case["count"]))
    assert isinstance(stored, ExtentList)
    assert stored.node.hex() == case["root"]
    assert len(set(list_nodes(chunks, stored))) == case["nodes"]
    if "hex" in case:
        assert chunks.get(ChunkId(stored.node)).hex() == case["hex"]
    assert tuple(load_extents(chunks, stored)) == numbered_extents(case["count"])


@pytest.mark.parametrize("case", TREES["nodes"], ids=lambda case: case["name"])
def test_nodes(case: dict[str, Any]) -> None:
    entries = [Entry(key.encode(), bytes.fromhex(value)) for key, value in case["entries"]]
    data = encode_node(case["level"], entries, len(entries))
    assert data.hex() == case["hex"]
    assert blake3(data).hexdigest() == case["id"]
    node = IndexNode(data)
    assert [Entry(*row) for row in zip(node.keys, node.values, strict=True)] == entries


@pytest.mark.parametrize("case", TREES["splits"], ids=lambda case: case["key"])
def test_splits(case: dict[str, Any]) -> None:
    entry = Entry(case["key"].encode(), bytes(case["value_bytes"]))
    assert nodes.ends_node(case["level"], entry, case["node_bytes"]) is case["ends"]


def numbered_files(count: int) -> Iterator[Entry]:
    """Yield the entries of `trees.json`'s tree, in order."""
    paths = sorted(f"data/{n % 97:02}/file-{n:05}.csv" for n in range(count))
    for path in paths:
        number = int(path[-9:-4])
        chunk = ChunkId(blake3(path.encode()).digest())
        extents = (Extent(chunk, 0, number * 31 + 1, number * 31 + 1, True),)
        record = FileRecord(
            number * 31 + 1,
            f"{chunk.hex()[:32]}-1",
            1_700_000_000_000_000 + number,
            extents,
            content_hash(extents),
            (("content-type", "text/csv"),) if number % 3 == 0 else (),
        )
        yield Entry(path.encode(), encode_record(record))


@pytest.mark.parametrize("case", TREES["trees"], ids=lambda case: str(case["files"]))
def test_trees(case: dict[str, Any]) -> None:
    chunks = MemoryChunks()
    cache = NodeCache(chunks)
    root = build(cache, numbered_files(case["files"]))
    assert root.hex() == case["root"]
    assert cache.get(root).level == case["level"]
    assert len(chunks.stored) == case["nodes"]
    assert Tree(cache, root).totals() == (case["files"], case["size_bytes"])


def test_the_parameters_of_the_store() -> None:
    found = {name: getattr(cutting, name) for name in CHUNKING["parameters"]}
    assert found == CHUNKING["parameters"]
    assert {name: getattr(nodes, name) for name in TREES["parameters"]} == TREES["parameters"]


@pytest.mark.parametrize("case", CHUNKING["streams"], ids=lambda case: case["name"])
def test_chunk_ids_file_hashes_and_tags(store: Store, case: dict[str, Any]) -> None:
    data = blake3(b"sidegate chunk stream v1").digest(length=case["size_bytes"])
    if case["name"] == "lines":
        data = b"".join(b"%d;%d\n" % (n, n * n) for n in range(case["size_bytes"]))[: case["size_bytes"]]
    record = put(store, data)
    extents = tuple(load_extents(store.chunks, record.extents))
    assert [[extent.chunk.hex(), extent.length] for extent in extents] == case["chunks"]
    assert record.content_hash is not None
    assert record.content_hash.hex() == case["content_hash"]
    assert record.tag == case["tag"]


def pack_records() -> list[PackRecord]:
    return [
        PackRecord(
            ChunkId(bytes.fromhex(r["chunk"])),
            r["offset"],
            r["stored_bytes"],
            r["plain_bytes"],
            r["encoding"],
        )
        for r in PACK["records"]
    ]


def test_a_pack_is_written_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_writing.secrets, "token_bytes", lambda length: bytes.fromhex(PACK["name"]))
    writer = PackWriter(tmp_path, PACK["created_us"])
    assert writer.path == tmp_path / PACK["path"]
    for record, fields in zip(pack_records(), PACK["records"], strict=True):
        payload = bytes.fromhex(fields["payload"])
        assert writer.append(record.chunk, record.encoding, (payload,), record.plain_bytes) == record
    assert writer.path.read_bytes().hex() == "".join(PACK["hex"])[: writer.position * 2]
    writer.seal()
    writer.close()
    assert writer.path.read_bytes().hex() == "".join(PACK["hex"])


def test_a_pack_is_read_and_recovered(tmp_path: Path) -> None:
    path = tmp_path / "x.pack"
    whole = bytes.fromhex("".join(PACK["hex"]))
    path.write_bytes(whole)
    assert read_index(PackFile.open(path)) == sorted(pack_records())
    assert list(scan(PackFile.open(path))) == pack_records()
    for record, fields in zip(pack_records(), PACK["records"], strict=True):
        plain = decode_payload(record.encoding, bytes.fromhex(fields["payload"]), record.plain_bytes)
        assert blake3(plain).digest() == record.chunk
    path.write_bytes(whole[: PACK["unsealed_bytes"]])
    assert recover(path) == pack_records()
    assert path.read_bytes() == whole, "recovery writes the footer that sealing would have"


@pytest.mark.parametrize("case", PACK["placements"], ids=str)
def test_where_records_go(case: dict[str, int]) -> None:
    assert record_offset(case["position"], case["encoding"], case["stored_bytes"]) == case["offset"]


def test_a_store_directory(tmp_path: Path) -> None:
    Store.create(tmp_path)
    store = Store.open(tmp_path)
    store.repos.create("labs")
    store.stagings.begin_attempt("labs", "master")
    put(store, noise(100))
    found = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert found >= {"store.json", "catalog.db", "packs", "locks"}
    [pack] = tmp_path.glob("packs/*/*.pack")
    assert pack.parent.name == pack.name[:2]
    crash(store)
